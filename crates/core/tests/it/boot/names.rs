//! The name space: which name is which resource, and which script.

use std::collections::BTreeSet;

use bootlace_core::boot::loader::Loader;
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
    let (Resource::Text { body, mime } | Resource::FileOrText { body, mime, .. }) = resolution.resource
    else {
        panic!("{:?}", resolution.resource)
    };
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
    assert_eq!(resource("pxelinux.cfg/notes"), file("pxelinux.cfg/notes"), "not a name that pxelinux tries");
    for name in ["../etc/passwd", "", "/", "answer/web1/preseed.cfg", "done/x", "ipxe", "ipxe/a/b", "a\nb"] {
        let Resource::Absent(why) = resource(name) else { panic!("{name}: {:?}", resource(name)) };
        assert!(!why.contains('\n'), "{why:?}");
    }
}

#[test]
fn the_folders_of_the_signed_ipxe() {
    for name in [
        "ipxe/x86_64-sb/snponly-shim.efi",
        "ipxe/x86_64-sb/snponly.efi",
        "ipxe/arm64-sb/ipxe.efi",
        // What a shim asks for beside itself: absent, and nothing else.
        "ipxe/x86_64-sb/mmx64.efi",
        "ipxe/x86_64-sb/revocations.efi",
    ] {
        assert_eq!(resource(name), Resource::File(name.to_owned()));
    }
    assert_eq!(file_before_script("ipxe/x86_64-sb/autoexec.ipxe"), "ipxe/x86_64-sb/autoexec.ipxe");
    assert_eq!(file_before_script("ipxe/arm64-sb/autoexec.ipxe"), "ipxe/arm64-sb/autoexec.ipxe");
    assert!(matches!(resource("ipxe/x86_64/snponly.efi"), Resource::Absent(_)));
}

/// The root's `ipxe.efi` is for machines that were sent a signed shim what that is to start, and a file for others.
#[test]
fn a_shim_that_lost_its_name_gets_what_it_was_sent_for() {
    let loaders = ["snponly.efi", "ipxe/x86_64-sb/snponly-shim.efi"].into_iter().collect();
    let asked = |loader: Option<&str>, firmware: &str, name: &str| {
        let mut config = config();
        let mut web1 = machine("web1", &[MAC], Some("rescue"));
        web1.overrides.loader = loader.map(|loader| match loader {
            Loader::SIGNED_IPXE => Loader::SignedIpxe,
            file => Loader::File(file.to_owned()),
        });
        config.machines.extend([web1]);
        let known = facts(&[(Var::Mac, MAC), (Var::Firmware, firmware)]);
        match resolve(&config, name, &request(&known, "", &loaders)).resource {
            Resource::File(file) => file,
            other => panic!("{name}: {other:?}"),
        }
    };
    let signed = Some("ipxe-signed");
    assert_eq!(asked(signed, "uefi-x64", "ipxe.efi"), "ipxe/x86_64-sb/snponly.efi");
    assert_eq!(asked(signed, "http-x64", "/ipxe.efi"), "ipxe/x86_64-sb/snponly.efi");
    let full = Some("ipxe/x86_64-sb/ipxe-shim.efi");
    assert_eq!(asked(full, "uefi-x64", "ipxe.efi"), "ipxe/x86_64-sb/ipxe.efi");
    for (loader, firmware, name) in [
        (None, "uefi-x64", "ipxe.efi"),
        (signed, "bios", "ipxe.efi"),
        // There is no set for it.
        (signed, "uefi-arm64", "ipxe.efi"),
        (signed, "uefi-x64", "snponly.efi"),
        (signed, "uefi-x64", "a/ipxe.efi"),
    ] {
        assert_eq!(asked(loader, firmware, name), name, "{loader:?} on {firmware}");
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
    assert!(body.starts_with("#!ipxe\necho Bootlace: boot broken, script: line 2, column 9:"), "{body}");
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

/// The file that a name stands for before a script does.
fn file_before_script(name: &str) -> String {
    match resource(name) {
        Resource::FileOrText { file, .. } => file,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn generated_names_are_in_every_folder_and_a_file_comes_first() {
    for (name, file) in [
        ("autoexec.ipxe", "autoexec.ipxe"),
        ("/debian/12/autoexec.ipxe", "debian/12/autoexec.ipxe"),
        ("ipxe/autoexec.ipxe", "autoexec.ipxe"),
        ("files/x/autoexec.ipxe", "x/autoexec.ipxe"),
        ("tftp://10.188.0.10/MAC-525400123456.ipxe", "MAC-525400123456.ipxe"),
    ] {
        assert_eq!(file_before_script(name), file);
    }
    assert!(matches!(resource("answer/autoexec.ipxe"), Resource::Absent(_)));
    assert_eq!(resource("mac-.ipxe"), Resource::File("mac-.ipxe".to_owned()), "no machine, no script");
}

#[test]
fn autoexec_opens_the_interface_and_reports_what_the_decision_needs() {
    let mut config = config();
    rule(&mut config, &[("serial", &["X*"])], Some("rescue"));
    let (known, loaders) = (bios(), debian_loaders());
    let request = request(&known, "", &loaders);
    let (body, step) = ask(&config, "grub/autoexec.ipxe", &request);
    assert_eq!(step, ScriptStep::Identify, "a decision would be followed by the machine's DHCP");
    let mut lines = body.lines().skip(1);
    assert_eq!(lines.next(), Some("isset ${netX/ip} || dhcp ||"));
    let report =
        "chain --replace --autofree http://10.188.0.10/script?mac=${netX/mac}&serial=${serial:uristring} ||";
    assert_eq!(lines.next(), Some(report));
    config.rules.clear();
    let (body, step) = ask(&config, "autoexec.ipxe", &request);
    assert_eq!(step, ScriptStep::Identify, "also where all is known");
    assert!(body.contains("/script?mac=${netX/mac} ||\n"), "{body}");
}

const UUID: &str = "44454c4c-3900-104e-804e-b9c04f4d344a";

/// One machine with a password, two MACs and a UUID.
fn with_a_secret() -> Config {
    let mut config = config();
    add_boot(&mut config, "login", san(Some(chap("geheim"))));
    let mut web1 = machine("web1", &["52:54:00:00:00:77", MAC], Some("login"));
    web1.uuid = Some(UUID.parse().unwrap());
    config.machines.extend([web1]);
    config
}

fn names_of_web1() -> [String; 3] {
    [
        "a/mac-52-54-00-12-34-56.ipxe".into(),
        "uuid-4c4c4544-0039-4e10-804e-b9c04f4d344a.ipxe".into(),
        "HOSTNAME-WEB1.ipxe".into(),
    ]
}

#[test]
fn a_machine_that_asks_by_its_own_name_gets_what_boot_ipxe_gives() {
    let (known, loaders) = (bios(), debian_loaders());
    let config = with_a_secret();
    let request = request(&known, "", &loaders);
    let asked = ask(&config, "boot.ipxe", &request);
    assert!(asked.0.contains("geheim"), "{}", asked.0);
    for name in names_of_web1() {
        assert_eq!(ask(&config, &name, &request), asked, "{name}");
    }
}

#[test]
fn a_name_is_a_claim_and_brings_no_secret() {
    let loaders = debian_loaders();
    let config = with_a_secret();
    let own = bios();
    for name in names_of_web1() {
        for identity in [Identity::Claimed, Identity::Contradicted] {
            let (body, step) = ask(&config, &name, &FileRequest { identity, ..request(&own, "", &loaders) });
            assert!(!body.contains("geheim") && matches!(step, ScriptStep::Problem { .. }), "{name}: {body}");
        }
    }
    // It may say that it has the UUID: its MAC is what shows who it is.
    let stranger = facts(&[(Var::Mac, "52:54:00:99:99:99"), (Var::Firmware, "uefi-x64"), (Var::Uuid, UUID)]);
    for known in [stranger, Facts::new()] {
        for name in names_of_web1() {
            let event = resolve(&config, &name, &request(&known, "", &loaders)).script.unwrap();
            assert_eq!(event.step, ScriptStep::Identify, "{name}: the firmware of another tells nothing");
            assert_eq!(event.facts, Facts::new(), "{name}: to ask is not to report");
        }
    }
}

#[test]
fn a_name_without_a_machine_is_decided_by_rules_and_the_default() {
    let mut config = config();
    rule(&mut config, &[("mac", &["52:54:00:00:00:*"])], Some("custom"));
    rule(&mut config, &[("hostname", &["lab*"])], Some("custom"));
    rule(&mut config, &[("uuid", &[UUID])], Some("custom"));
    let script = template("#!ipxe\nshell\n", Language::Ipxe);
    add_boot(&mut config, "custom", BootKind::Ipxe { script });
    let (known, loaders) = (bios(), debian_loaders());
    let request = request(&known, "", &loaders);
    let boot_of = |name: &str| ask(&config, name, &request).1;
    let custom = |number| ScriptStep::Boot { boot: name("custom"), by: DecidedBy::Rule(number) };
    assert_eq!(boot_of("mac-525400000001.ipxe"), custom(1));
    assert_eq!(boot_of("mac-525400123456.ipxe"), ScriptStep::Identify, "it is asked for the rest");
}
