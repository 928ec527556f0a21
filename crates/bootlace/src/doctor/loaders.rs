//! Loaders: what firmware fetches first.

use std::sync::Arc;

use bootlace_core::boot::loader::{Loader, candidates};
use bootlace_core::config::Config;
use bootlace_core::finding::Finding;
use bootlace_core::model::Firmware;

use super::{Code, error, warning};
use crate::files::FilePlane;
use crate::serving::{Edition, Serving, named_loaders};

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
    let secure = named_loaders(config).any(|loader| *loader == Loader::Secure);
    let secure = secure.then(|| serving.loaders.without_signed_boot()).flatten();
    let secure = secure.map(|why| {
        warning(Code::LoaderMissing, "the config has `loader = \"secure\"`, and no signed loader is there")
            .evidence(why.to_string())
            .fix("apt-get install shim-signed grub-efi-amd64-signed")
    });
    let mut named: Vec<&str> = named_loaders(config).filter_map(Loader::file).collect();
    named.sort_unstable();
    named.dedup();
    let signed = named_loaders(config).any(|loader| *loader == Loader::SignedIpxe);
    let signed = signed.then(|| serving.loaders.without_signed_ipxe()).flatten().map(|why| {
        warning(Code::LoaderMissing, "the config has `loader = \"ipxe-signed\"`, and the signed iPXE is not there")
            .evidence(why.to_string())
            .fix("bootlace loaders fetch, and reload the server; where it was fetched, bootlace loaders verify says what is wrong")
    });
    let named = named.into_iter().filter(|name| plane.open(name).is_err()).map(|name| {
        warning(Code::LoaderMissing, format!("the config names the loader {name}, which is not there"))
            .fix(format!("put it into {folder}"))
    });
    common.chain(secure).chain(signed).chain(named).collect()
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

    #[test]
    fn a_signed_boot_without_its_packages_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = "boot_dir = \"boot\"\nfollow = []\n[[rule]]\nmatch = {}\nloader = \"secure\"\n";
        let source = Source { name: "x".into(), folder: folder.path().to_owned(), text: text.into() };
        let config = load(&source, &Files::new()).unwrap().config;
        let boot = folder.path().join("boot");
        fs::create_dir(&boot).unwrap();
        for name in ["undionly.kpxe", "snponly.efi", "shimx64.efi"] {
            fs::write(boot.join(name), "x").unwrap();
        }
        let found = missing(&config);
        assert_eq!(found.len(), 1, "{found:?}");
        let evidence = found[0].evidence.as_deref().unwrap_or_default();
        assert!(evidence.contains("shimx64.efi") && evidence.contains("shim-signed"), "{found:?}");
    }
}
