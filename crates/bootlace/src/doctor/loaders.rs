//! Loaders: what firmware fetches first.

use std::sync::Arc;

use bootlace_core::boot::loader::candidates;
use bootlace_core::boot::signed;
use bootlace_core::config::Config;
use bootlace_core::finding::Finding;
use bootlace_core::model::Firmware;

use super::{Code, error, warning};
use crate::files::FilePlane;
use crate::serving::{Edition, Serving};

/// What nearly every network has. Others are only missed when a machine comes with one, which its boot then says.
const COMMON: [Firmware; 2] = [Firmware::Bios, Firmware::UefiX64];

pub(super) fn missing(config: &Config) -> Vec<Finding> {
    let plane = match FilePlane::of(config) {
        Ok(plane) => Arc::new(plane),
        Err(error) => return vec![no_folder(config, &error)],
    };
    let serving = Serving::new(config.clone(), Arc::clone(&plane), Edition::first());
    let folder = config.boot_dir.display();
    let common = COMMON.into_iter().filter(|&firmware| serving.loaders.pick(firmware, None).is_err());
    let common = common.map(|firmware| {
        warning(Code::LoaderMissing, format!("there is no loader for {firmware}"))
            .evidence(format!(
                "none of {} is in {folder} or a folder of `follow`",
                candidates(firmware).join(", ")
            ))
            .fix(format!("apt-get install ipxe, or put one of them into {folder}"))
    });
    let overrides = config.machines.iter().map(|machine| &machine.overrides);
    let overrides = overrides.chain(config.rules.iter().map(|rule| &rule.overrides));
    let mut named: Vec<&str> = overrides.filter_map(|overrides| overrides.loader.as_deref()).collect();
    named.sort_unstable();
    named.dedup();
    let signed = named.contains(&signed::LOADER).then(|| serving.loaders.pick(Firmware::UefiX64, Some(signed::LOADER)));
    let signed = signed.and_then(Result::err).map(|none| {
        warning(Code::LoaderMissing, none.to_string()).fix(
            "bootlace loaders fetch, and reload the server; where it was fetched, bootlace loaders verify says what is wrong",
        )
    });
    named.retain(|name| *name != signed::LOADER);
    let named = named.into_iter().filter(|name| plane.open(name).is_err()).map(|name| {
        warning(Code::LoaderMissing, format!("the config names the loader {name}, which is not there"))
            .fix(format!("put it into {folder}"))
    });
    common.chain(named).chain(signed).collect()
}

fn no_folder(config: &Config, why: &std::io::Error) -> Finding {
    let folder = config.boot_dir.display();
    let fix = match config.follow.iter().find(|folder| !folder.is_dir()) {
        Some(follow) if config.boot_dir.is_dir() => {
            format!("take {} out of `follow`, or make it", follow.display())
        }
        _ => format!("mkdir -p {folder}"),
    };
    error(Code::BootDirMissing, format!("boot_dir {folder} or a folder of `follow` cannot be opened"))
        .evidence(why.to_string())
        .fix(fix)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bootlace_core::config::{Files, Source, load};

    use super::*;

    #[test]
    fn what_is_missing_is_named_and_what_is_there_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let text = "boot_dir = \"boot\"\nfollow = []\n[[machine]]\nname = \"a\"\nmac = [\"52:54:00:00:00:01\"]\n\
                    loader = \"mine.efi\"\n";
        let source = Source { name: "x".into(), folder: folder.path().to_owned(), text: text.into() };
        let config = load(&source, &Files::new()).unwrap().config;
        let said = || missing(&config).into_iter().map(|finding| finding.message).collect::<Vec<_>>();
        assert!(said()[0].contains("cannot be opened"), "{:?}", said());
        let boot = folder.path().join("boot");
        fs::create_dir(&boot).unwrap();
        fs::write(boot.join("undionly.kpxe"), "x").unwrap();
        let found = said();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("uefi-x64") && found[1].contains("mine.efi"), "{found:?}");
        fs::write(boot.join("snponly.efi"), "x").unwrap();
        fs::write(boot.join("mine.efi"), "x").unwrap();
        assert!(said().is_empty());
    }
}
