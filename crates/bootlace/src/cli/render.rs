//! Findings as text: the file, the line, a caret and the fix.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use bootlace_core::config::{Files, Source};
use bootlace_core::finding::{Finding, Place, Severity};

/// Whether the text is for a terminal that shows colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// With escape sequences.
    Always,
}

impl Colour {
    /// What suits an output: colours for a terminal.
    pub fn of(output: &impl IsTerminal) -> Self {
        if output.is_terminal() { Self::Always } else { Self::Never }
    }
}

/// The texts that findings point into, by the name in [`Place::file`].
pub type Texts = BTreeMap<String, String>;

/// The texts that findings about a config can point into.
pub fn texts(main: &Source, files: &Files) -> Texts {
    let named = files
        .iter()
        .filter_map(|(path, text)| text.as_ref().ok().map(|text| (path.display().to_string(), text.clone())));
    named.chain([(main.name.clone(), main.text.clone())]).collect()
}

/// More would not be read, and each costs another walk over its file.
const FINDINGS_SHOWN_MAX: usize = 50;

/// Renders findings in their order, one paragraph each.
pub fn findings(findings: &[Finding], texts: &Texts, colour: Colour) -> String {
    let renderer = match colour {
        Colour::Never => Renderer::plain(),
        Colour::Always => Renderer::styled(),
    }
    .decor_style(DecorStyle::Ascii);
    let shown = findings.iter().take(FINDINGS_SHOWN_MAX);
    let mut paragraphs: Vec<_> =
        shown.map(|finding| renderer.render(&[group(finding, texts)]) + "\n").collect();
    if findings.len() > FINDINGS_SHOWN_MAX {
        paragraphs.push(format!("... and {} more\n", findings.len() - FINDINGS_SHOWN_MAX));
    }
    paragraphs.join("\n")
}

fn group<'a>(finding: &'a Finding, texts: &'a Texts) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = Group::with_title(level.primary_title(finding.message.as_str()).id(finding.code));
    let place = finding.place.as_ref();
    let text = place.and_then(|place| texts.get(&place.file)).filter(|text| !text.is_empty());
    match (place, text) {
        (Some(place), Some(text)) => group = group.element(snippet(place, text, finding)),
        (Some(place), None) => group = group.element(Origin::path(place.file.as_str())),
        (None, _) => {}
    }
    if let Some(evidence) = finding.evidence.as_deref().filter(|_| text.is_none()) {
        group = group.element(Level::NOTE.message(evidence));
    }
    if let Some(fix) = &finding.fix {
        group = group.element(Level::HELP.message(fix.as_str()));
    }
    group
}

fn snippet<'a>(
    place: &'a Place,
    text: &'a str,
    finding: &'a Finding,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let mut caret = AnnotationKind::Primary.span(inside(&place.span, text));
    if let Some(evidence) = &finding.evidence {
        caret = caret.label(evidence.as_str());
    }
    Snippet::source(text).path(place.file.as_str()).annotation(caret)
}

/// The span cut to the text and to whole characters: the file may be another by now.
fn inside(span: &Range<usize>, text: &str) -> Range<usize> {
    let floor = |at: usize| (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let start = floor(span.start);
    start..floor(span.end).max(start)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use bootlace_core::config;

    use super::*;

    /// How many configs the folders of `fixtures/config` hold.
    const VALID_COUNT: usize = 4;
    const INVALID_COUNT: usize = 19;

    fn fixtures(folder: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/config").join(folder)
    }

    /// The findings of a config in a folder of its own, rendered; scripts and secrets come from `files/`.
    fn checked(path: &Path) -> (bool, String) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(path).unwrap();
        let main = Source { name, folder: PathBuf::from("files"), text };
        let mut files = Files::new();
        for wanted in config::wanted(&main) {
            if let Ok(text) = fs::read_to_string(fixtures("").join(&wanted)) {
                files.insert(wanted, Ok(text));
            }
        }
        let texts = texts(&main, &files);
        match config::load(&main, &files) {
            Ok(loaded) => (true, findings(&loaded.warnings, &texts, Colour::Never)),
            Err(errors) => (false, findings(&errors, &texts, Colour::Never)),
        }
    }

    fn configs(folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(fixtures(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut configs: Vec<_> = entries.filter(|path| path.extension() == Some("toml".as_ref())).collect();
        configs.sort();
        configs
    }

    fn golden(path: &Path, actual: &str) {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(path, actual).unwrap();
        }
        let expected = fs::read_to_string(path).unwrap_or_default();
        assert_eq!(actual, expected, "{} (UPDATE_GOLDEN=1 accepts)", path.display());
    }

    #[test]
    fn broken_configs_say_what_is_wrong_where_and_what_to_write() {
        let configs = configs("invalid");
        assert_eq!(configs.len(), INVALID_COUNT);
        for path in configs {
            let (loads, rendered) = checked(&path);
            assert!(!loads, "{} loads", path.display());
            golden(&path.with_extension("txt"), &rendered);
        }
    }

    #[test]
    fn valid_configs_load_without_a_word() {
        let configs = configs("valid");
        assert_eq!(configs.len(), VALID_COUNT);
        for path in configs {
            assert_eq!(checked(&path), (true, String::new()), "{}", path.display());
        }
    }

    #[test]
    fn colour_is_only_where_it_was_asked_for() {
        let texts = Texts::from([("a".to_owned(), "key = 1\n".to_owned())]);
        let finding = Finding::error("config-type", "wrong").at("a", 6..7).fix("write 2").evidence("1");
        let plain = findings(std::slice::from_ref(&finding), &texts, Colour::Never);
        assert!(!plain.contains('\x1b'), "{plain}");
        assert!(findings(&[finding], &texts, Colour::Always).contains('\x1b'));
    }

    #[test]
    fn places_outside_the_text_harm_nothing() {
        let texts = Texts::from([("a".to_owned(), "é\n".to_owned()), ("empty".to_owned(), String::new())]);
        for (file, span) in [("a", 1..2), ("a", 5..9), ("a", 3..3), ("empty", 0..1), ("gone", 0..1)] {
            let finding = Finding::error("config-type", "wrong").at(file, span).evidence("this");
            let text = findings(&[finding], &texts, Colour::Never);
            assert!(text.contains("wrong") && text.contains("this"), "{text}");
        }
        let many = vec![Finding::warning("x", "again"); FINDINGS_SHOWN_MAX + 2];
        assert!(findings(&many, &texts, Colour::Never).ends_with("... and 2 more\n"));
        assert_eq!(findings(&[], &texts, Colour::Never), "");
    }
}
