//! The config reader: any text is a config whose names all lead somewhere, or has an error; what it finds stands in
//! the text.

use bootlace_core::config::{self, Config, Files, Source};
use bootlace_core::finding::{Finding, Severity};

const NAME: &str = "bootlace.toml";

pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let source = Source { name: NAME.to_owned(), folder: "/etc/bootlace".into(), text };
    let wanted = config::wanted(&source);
    // A script for one, nothing to read for the next.
    let text = |number: usize| {
        if number.is_multiple_of(2) { Ok("#!ipxe\nexit\n".to_owned()) } else { Err("gone".to_owned()) }
    };
    let files: Files = wanted.into_iter().enumerate().map(|(number, path)| (path, text(number))).collect();
    let is_error = |finding: &Finding| finding.severity == Severity::Error;
    match config::load(&source, &files) {
        Ok(loaded) => {
            assert!(!loaded.warnings.iter().any(is_error));
            loaded.warnings.iter().for_each(|finding| check_finding(finding, &source));
            check_names(&loaded.config);
        }
        Err(findings) => {
            assert!(findings.iter().any(is_error));
            findings.iter().for_each(|finding| check_finding(finding, &source));
        }
    }
}

fn check_finding(finding: &Finding, source: &Source) {
    assert!(!finding.message.is_empty() && !finding.code.is_empty());
    if let Some(place) = finding.place.as_ref().filter(|place| place.file == NAME) {
        assert!(source.text.get(place.span.clone()).is_some(), "{:?} of {}", place.span, source.text.len());
    }
}

fn check_names(config: &Config) {
    assert!(config.boots.contains_key(&config.default));
    let machines = config.machines.iter().map(|machine| &machine.overrides);
    for overrides in machines.chain(config.rules.iter().map(|rule| &rule.overrides)) {
        assert!(overrides.boot.as_ref().is_none_or(|boot| config.boots.contains_key(boot)));
    }
    let mut reserved: Vec<_> = config.machines.iter().filter_map(|machine| machine.address).collect();
    let count = reserved.len();
    reserved.sort_unstable();
    reserved.dedup();
    assert_eq!(reserved.len(), count, "an address is reserved once");
}
