//! Scripts as they go out, kept in fixtures/scripts. `UPDATE_GOLDEN=1` writes them anew.

use std::path::PathBuf;

use bootlace_core::boot::dialect::ipxe::{Platform, autoexec, chain_loader, identify, problem};
use bootlace_core::boot::template::Server;
use bootlace_core::config::{BootKind, Config, LocalHow, Location};
use bootlace_core::event::ScriptStep;
use bootlace_core::files::{Resource, resolve};
use bootlace_core::model::Var;

use super::sample::{
    SERVER, add_boot, chap, config, debian_loaders, done, facts, linux, local, machine, name, request, san,
};

const MAC: &str = "00:12:34:56:78:90";

fn golden(name: &str, script: &str) {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../../fixtures/scripts", &format!("{name}.ipxe")].iter().collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, script).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(script, kept, "{name}: UPDATE_GOLDEN=1 accepts the new text");
}

fn script_for(config: &Config, boot: &str, firmware: &str) -> String {
    let mut config = config.clone();
    config.machines.extend([machine("web1", &[MAC], Some(boot))]);
    let known = done(facts(&[(Var::Mac, MAC), (Var::Firmware, firmware), (Var::Serial, "S1")]));
    let loaders = debian_loaders();
    let resolution = resolve(&config, "boot.ipxe", &request(&known, "", &loaders));
    let step = resolution.script.unwrap().step;
    assert!(matches!(&step, ScriptStep::Boot { boot: given, .. } if *given == name(boot)), "{step:?}");
    match resolution.resource {
        Resource::Text { body, .. } => body,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_on_bios_and_uefi() {
    let mut config = config();
    add_boot(&mut config, "login", san(Some(chap("s3cret; ${x} \"y\""))));
    add_boot(&mut config, "sanboot", local(LocalHow::Sanboot));
    add_boot(&mut config, "shim", local(LocalHow::Efi("/EFI/debian/shimx64.efi".into())));
    for boot in ["local", "rescue", "salstar", "custom", "san", "login", "menu", "more", "sanboot", "shim"] {
        golden(&format!("bios-{boot}"), &script_for(&config, boot, "bios"));
        golden(&format!("uefi-{boot}"), &script_for(&config, boot, "uefi-x64"));
    }
    let mut signed = linux("console=ttyS0");
    let BootKind::Linux { shim, .. } = &mut signed else { panic!("{signed:?}") };
    *shim = Some(Location::File("debian/shimx64.efi".into()));
    add_boot(&mut config, "signed", signed);
    golden("bios-signed", &script_for(&config, "signed", "bios"));
    golden("uefi-signed", &script_for(&config, "signed", "uefi-x64"));
    golden("bios-pxelinux", &script_for(&config, "pxelinux", "bios"));
    golden("uefi-grub", &script_for(&config, "grub", "uefi-x64"));
}

#[test]
fn scripts_without_a_boot() {
    let mut config = config();
    config.hostname = Some("pxe.example.com".into());
    config.http.port = 8080;
    let server = Server::new(&config, SERVER);
    let vars = [Var::Serial, Var::Firmware, Var::Uuid].into();
    golden("identify", &identify(&vars, &server, Platform::Efi));
    golden("autoexec", &autoexec(&vars, &server, Platform::Efi));
    golden("chain-loader", &chain_loader("undionly.kpxe", "menu, https", &server, Platform::Bios));
    golden("chain-own-loader", &chain_loader("my loaders/snponly.efi", "iscsi", &server, Platform::Efi));
    let text = "boot custom, script: line 3: undefined value: `vars.role` is undefined; set it with `vars` \
                at the machine, a rule or the boot || reboot ; ${serial}\nshell";
    golden("problem", &problem(text, Platform::Bios));
}
