//! The name space: which name is which resource, and which script.

use std::collections::BTreeSet;

use bootlace_core::boot::template::Language;
use bootlace_core::config::{BootKind, Config, Machine};
use bootlace_core::event::{DecidedBy, ScriptStep};
use bootlace_core::files::{FileRequest, Identity, Resource, resolve};
use bootlace_core::model::{Facts, Var};

use super::sample::{
    add_boot, chap, config, debian_loaders, facts, machine, name, request, rule, san, template,
};

const MAC: &str = "52:54:00:12:34:56";

fn bios() -> Facts {
    facts(&[(Var::Mac, MAC), (Var::Firmware, "bios")])
}

fn resource(name: &str) -> Resource {
    let (known, loaders) = (bios(), debian_loaders());
    resolve(&config(), name, &request(&known, "", &loaders)).resource
}

/// Asks for a script and gives its text and what it does.
fn ask(config: &Config, name: &str, request: &FileRequest<'_>) -> (String, ScriptStep) {
    let resolution = resolve(config, name, request);
    let event = resolution.script.unwrap();
    let Resource::Text { body, mime } = resolution.resource else { panic!("{:?}", resolution.resource) };
    assert!(mime.starts_with("text/plain"), "{mime}");
    assert_eq!(event.bytes, body.len() as u64);
    assert_eq!(event.name, name);
    (body, event.step)
}

#[test]
fn files_and_reserved_names() {
    let file = |name: &str| Resource::File(name.to_owned());
    assert_eq!(resource("debian/linux"), file("debian/linux"));
    assert_eq!(resource("//debian\\linux"), file("debian/linux"));
    assert_eq!(resource("/files/script"), file("script"), "the alias reaches what a reserved name hides");
    assert_eq!(resource("files"), file("files"));
    assert_eq!(resource("ipxe/undionly.kpxe"), file("undionly.kpxe"));
    assert_eq!(resource("pxelinux.cfg/default"), file("pxelinux.cfg/default"));
    assert_eq!(resource("autoexec.ipxe"), file("autoexec.ipxe"));
    for name in ["../etc/passwd", "", "/", "answer/web1/preseed.cfg", "done/x", "ipxe", "ipxe/a/b", "a\nb"] {
        let Resource::Absent(why) = resource(name) else { panic!("{name}: {:?}", resource(name)) };
        assert!(!why.contains('\n'), "{why:?}");
    }
}

#[test]
fn what_is_known_decides_at_once() {
    let (known, loaders) = (bios(), debian_loaders());
    let (body, step) = ask(&config(), "boot.ipxe", &request(&known, "", &loaders));
    assert_eq!(step, ScriptStep::Boot { boot: name("local"), by: DecidedBy::Default });
    assert_eq!(body, "#!ipxe\nexit\n");
}

#[test]
fn the_machine_is_asked_for_what_decides_and_nothing_else() {
    let mut config = config();
    rule(&mut config, &[("manufacturer", &["QEMU*"]), ("serial", &["!VMware*"])], Some("rescue"));
    let (known, loaders) = (bios(), debian_loaders());
    let (body, step) = ask(&config, "boot.ipxe", &request(&known, "", &loaders));
    assert_eq!(step, ScriptStep::Identify);
    let url = "http://10.188.0.10/script?mac=${netX/mac}&serial=${serial:uristring}\
               &manufacturer=${manufacturer:uristring} ||";
    assert!(body.lines().nth(1).unwrap().ends_with(url), "{body}");
    // QEMU reports no serial, so it is none of VMware's.
    let query = "mac=52:54:00:12:34:56&serial=&manufacturer=QEMU";
    let (body, step) = ask(&config, "script", &request(&known, query, &loaders));
    assert_eq!(step, ScriptStep::Boot { boot: name("rescue"), by: DecidedBy::Rule(1) });
    assert!(body.contains("hostname=52-54-00-12-34-56"), "{body}");
    let (_, step) = ask(&config, "script", &request(&known, "manufacturer=Dell", &loaders));
    assert_eq!(step, ScriptStep::Boot { boot: name("local"), by: DecidedBy::Default });
}

#[test]
fn a_template_that_needs_more_asks_for_it() {
    let mut config = config();
    config.default = name("custom");
    let (known, loaders) = (bios(), debian_loaders());
    let (body, step) = ask(&config, "boot.ipxe", &request(&known, "", &loaders));
    assert_eq!(step, ScriptStep::Identify);
    assert!(body.contains("serial=${serial:uristring}"), "{body}");
    let (body, _) = ask(&config, "script", &request(&known, "serial=X%201", &loaders));
    assert_eq!(body, "#!ipxe\necho Hello X_1\n");
    let (body, _) = ask(&config, "script", &request(&known, "", &loaders));
    assert_eq!(body, "#!ipxe\necho Hello \n", "a machine without a serial boots all the same");
}

#[test]
fn a_peer_that_dhcp_never_saw_tells_its_firmware() {
    let (nothing, loaders) = (Facts::new(), debian_loaders());
    let (body, step) = ask(&config(), "boot.ipxe", &request(&nothing, "", &loaders));
    assert_eq!(step, ScriptStep::Identify);
    assert!(body.contains("buildarch=${buildarch:uristring}&platform=${platform:uristring}"), "{body}");
    let query = "mac=52:54:00:12:34:56&platform=efi&buildarch=x86_64";
    let (body, _) = ask(&config(), "script", &request(&nothing, query, &loaders));
    assert_eq!(body, "#!ipxe\nexit 1\n");
}

#[test]
fn a_choice_in_a_menu_reports_again_what_led_to_it() {
    let mut config = config();
    rule(&mut config, &[("product", &["*PC*"])], Some("menu"));
    let (known, loaders) = (bios(), debian_loaders());
    let query = "mac=52:54:00:12:34:56&product=Standard%20PC";
    let (body, step) = ask(&config, "script", &request(&known, query, &loaders));
    assert_eq!(step, ScriptStep::Boot { boot: name("menu"), by: DecidedBy::Rule(1) });
    let line = body.lines().find(|line| line.starts_with("chain")).unwrap();
    let (_, asked) = line.split_once('?').unwrap();
    assert_eq!(asked, "mac=${netX/mac}&product=${product:uristring}&boot=${choice} || goto failed");
    let picked = format!("{query}&boot=rescue");
    let (_, step) = ask(&config, "script", &request(&known, &picked, &loaders));
    assert_eq!(step, ScriptStep::Boot { boot: name("rescue"), by: DecidedBy::Menu(name("menu")) });
    let (_, step) = ask(&config, "script", &request(&known, "mac=52:54:00:12:34:56&boot=rescue", &loaders));
    assert_eq!(step, ScriptStep::Boot { boot: name("local"), by: DecidedBy::Default }, "no menu, no pick");
}

#[test]
fn a_template_that_fails_says_so_on_the_screen() {
    let mut config = config();
    let script = template("#!ipxe\necho {{ vars.missing }}\n", Language::Ipxe);
    add_boot(&mut config, "broken", BootKind::Ipxe { script });
    config.machines.extend([machine("web1", &[MAC], Some("broken"))]);
    let (known, loaders) = (bios(), debian_loaders());
    let (body, step) = ask(&config, "boot.ipxe", &request(&known, "", &loaders));
    let ScriptStep::Problem { boot, by, why } = step else { panic!("{step:?}") };
    assert_eq!((boot, by), (name("broken"), DecidedBy::Machine("web1".into())));
    assert!(why.contains("vars.missing") && why.contains("line 2"), "{why}");
    assert!(body.starts_with("#!ipxe\necho Bootlace: boot broken, script: line 2:"), "{body}");
    assert!(body.ends_with("exit\n"), "{body}");
}

#[test]
fn a_secret_is_for_a_confirmed_machine_only() {
    let mut config = config();
    add_boot(&mut config, "login", san(Some(chap("geheim"))));
    config.machines.extend([machine("web1", &[MAC], Some("login"))]);
    let (known, loaders) = (bios(), debian_loaders());
    let mut request = request(&known, "", &loaders);
    let (body, _) = ask(&config, "boot.ipxe", &request);
    assert!(body.contains("set password geheim\n"), "{body}");
    for identity in [Identity::Claimed, Identity::Contradicted] {
        request.identity = identity;
        let (body, step) = ask(&config, "boot.ipxe", &request);
        assert!(!body.contains("geheim") && matches!(step, ScriptStep::Problem { .. }), "{body}");
        let event = resolve(&config, "boot.ipxe", &request).script.unwrap();
        assert!(!format!("{event:?}").contains("geheim"));
    }
}

#[test]
fn a_secret_is_not_for_who_says_a_serial() {
    let mut config = config();
    add_boot(&mut config, "login", san(Some(chap("geheim"))));
    let with_serial = |mut machine: Machine| {
        machine.serial = Some("S-1".into());
        machine
    };
    config.machines.extend([with_serial(machine("web1", &["02:00:00:00:00:99"], Some("login")))]);
    let (known, loaders) = (bios(), debian_loaders());
    let (body, step) = ask(&config, "script", &request(&known, "serial=S-1", &loaders));
    assert!(!body.contains("geheim") && matches!(step, ScriptStep::Problem { .. }), "{body}");
    // An entry that knows no card can only go by what is said.
    let mut config = self::config();
    add_boot(&mut config, "login", san(Some(chap("geheim"))));
    config.machines.extend([with_serial(machine("web1", &[], Some("login")))]);
    let (body, _) = ask(&config, "script", &request(&known, "serial=S-1", &loaders));
    assert!(body.contains("set password geheim\n"), "{body}");
}

#[test]
fn asking_again_gives_the_same() {
    let (known, loaders) = (bios(), debian_loaders());
    let config = config();
    let request = request(&known, "serial=1", &loaders);
    let bodies: BTreeSet<_> = (0..3).map(|_| ask(&config, "script", &request).0).collect();
    assert_eq!(bodies.len(), 1);
}
