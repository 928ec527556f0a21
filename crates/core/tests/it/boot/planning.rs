//! Plans: what templates give, and what is refused with a reason.

use std::path::PathBuf;

use bootlace_core::boot::choose::choose;
use bootlace_core::boot::disk::{DiskId, DiskNames, NamedDisk, Unnamed};
use bootlace_core::boot::plan::{Action, Entrusted, Plan, PlanError, SanDisk, Source, Waiting, build};
use bootlace_core::boot::template::{Language, Server};
use bootlace_core::config::{
    BootKind, Config, DiskBoot, Location, San, Secret, Source as ConfigSource, load,
};
use bootlace_core::model::{Facts, Var};
use bootlace_core::oneshot::Offered;

use super::sample::{SERVER, add_boot, config, done, facts, linux, machine, name, template};

const MAC: &str = "00:12:34:56:78:90";

fn plan_for(config: &Config, boot: &str, facts: &Facts) -> Result<Plan, PlanError> {
    let choice = choose(config, Offered::default(), facts, None);
    build(config, &choice, &name(boot), facts, &Server::new(config, SERVER), Entrusted::default())
}

fn bios() -> Facts {
    done(facts(&[(Var::Mac, MAC), (Var::Firmware, "bios"), (Var::Serial, "A 1")]))
}

fn linux_args(config: &Config, boot: &str) -> Vec<String> {
    match plan_for(config, boot, &bios()).unwrap().action {
        Action::Linux { args, .. } => args.iter().map(|arg| arg.as_str().to_owned()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_command_line_is_arguments() {
    let mut config = config();
    config.machines.extend([machine("web1", &[MAC], None)]);
    assert_eq!(linux_args(&config, "rescue"), ["console=ttyS0", "hostname=web1"]);
    add_boot(
        &mut config,
        "vars",
        linux("\n  a={{ vars.role }}\n{{ vars.more }} serial={{ client.serial }} "),
    );
    config.boots.get_mut(&name("vars")).unwrap().vars =
        [("role".into(), "boot".into()), ("more".into(), "b c".into())].into();
    assert_eq!(linux_args(&config, "vars"), ["a=boot", "b", "c", "serial=A_1"]);
    let mut known = machine("web1", &[MAC], None);
    known.overrides.vars = [("role".into(), "machine".into())].into();
    config.machines = vec![known].into();
    assert_eq!(linux_args(&config, "vars"), ["a=machine", "b", "c", "serial=A_1"], "machine over boot");
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do() {
    let mut config = config();
    let chain = |url: &str| BootKind::Chain { url: template(url, Language::Url) };
    let target = |text: &str| {
        BootKind::San(San {
            target: template(text, Language::Iscsi),
            initiator: None,
            chap: None,
            kernel: None,
        })
    };
    let iqn = "iqn.2007-08.com.example:x";
    let cases = [
        ("relative", chain("/menu.ipxe"), "no URL", "begin it with http://"),
        ("scheme", chain("gopher://x/"), "no URL", "begin it with http://"),
        ("blank", chain("http://x/a b"), "blank", "%20"),
        ("long", chain(&format!("http://x/{}", "a".repeat(3000))), "longer", ""),
        ("missing", chain("http://{{ vars.host }}/"), "vars.host", ""),
        ("cmdline", linux(&"a ".repeat(2000)), "longer", ""),
        ("control", linux("a\u{7f}b"), "control", ""),
        ("no-uri", target("san.example.com"), "iscsi:", "RFC 4173"),
        ("no-server", target(&format!("iscsi::6:3260:0:{iqn}")), "no server", "RFC 4173"),
        ("udp", target(&format!("iscsi:san:17:3260:0:{iqn}")), "protocol", "RFC 4173"),
        ("port", target(&format!("iscsi:san:6:iscsi:0:{iqn}")), "port", "RFC 4173"),
        ("lun", target(&format!("iscsi:san:6:3260:g:{iqn}")), "LUN", "RFC 4173"),
        ("no-target", target("iscsi:san:6:3260:0:"), "target", "RFC 4173"),
        ("few", target("iscsi:san:6:3260"), "fewer", "RFC 4173"),
        ("blank-iqn", target("iscsi:san:6:3260:0:iqn x"), "blank", "RFC 4173"),
    ];
    for (boot, kind, why, fix) in cases {
        add_boot(&mut config, boot, kind);
        let error = plan_for(&config, boot, &bios()).unwrap_err();
        assert!(error.message.contains(why), "{boot}: {error}");
        assert!(error.fix.as_deref().unwrap_or_default().contains(fix), "{boot}: {error}");
        assert!(error.to_string().contains(boot), "{error}");
    }
}

#[test]
fn iscsi_uris_of_all_shapes_pass() {
    let mut config = config();
    for uri in [
        "iscsi:10.0.0.1::::iqn.2007-08.com.example:x",
        "iscsi:10.0.0.1:6:3260:1-0-0-a:iqn.2007-08.com.example:x",
        "iscsi:[fe80::1]::3260::iqn.2007-08.com.example:x",
        "ISCSI:san:::2:naa.6001405abcdef",
    ] {
        let kind = San { target: template(uri, Language::Iscsi), initiator: None, chap: None, kernel: None };
        add_boot(&mut config, "x", BootKind::San(kind));
        assert!(plan_for(&config, "x", &bios()).is_ok(), "{uri}");
    }
}

#[test]
fn programs_of_another_firmware_are_refused() {
    let config = config();
    let uefi = done(facts(&[(Var::Mac, MAC), (Var::Firmware, "uefi-x64")]));
    let error = plan_for(&config, "pxelinux", &uefi).unwrap_err();
    assert!(error.to_string().contains("BIOS only"), "{error}");
    let error = plan_for(&config, "grub", &bios()).unwrap_err();
    assert!(error.to_string().contains("EFI program"), "{error}");
    assert!(plan_for(&config, "grub", &uefi).is_ok());
}

#[test]
fn urls_of_files_are_templates() {
    let mut config = config();
    let kind = BootKind::Efi {
        file: Location::Url(template("{{ server.url }}/{{ client.serial }}.efi", Language::Url)),
    };
    add_boot(&mut config, "by-serial", kind);
    let uefi = done(facts(&[(Var::Firmware, "uefi-x64"), (Var::Serial, "A/1")]));
    match plan_for(&config, "by-serial", &uefi).unwrap().action {
        Action::Efi { program } => assert_eq!(program, Source::Url("http://10.188.0.10/A%2F1.efi".into())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_error_quotes_no_hash() {
    let main = ConfigSource {
        name: "bootlace.toml".into(),
        folder: PathBuf::new(),
        text: "[password.root]\nfile = \"p\"\nmethod = \"md5\"\n[boot.a]\nkind = \"linux\"\nkernel = \"linux\"\n\
               cmdline = \"x={{ password.root }}\\u0001\"\n"
            .into(),
    };
    let files = [(PathBuf::from("p"), Ok("hello".to_owned()))];
    let mut config = load(&main, &files.into()).unwrap().config;
    config.passwords.make(|| Ok::<_, ()>([0; 16])).unwrap();
    let error = plan_for(&config, "a", &bios()).unwrap_err().to_string();
    assert!(error.contains("x=hash-of-root") && error.contains("control character"), "{error}");
}

/// Names disks after the moment.
#[derive(Debug)]
struct Names(Result<(), Unnamed>);

impl DiskNames for Names {
    fn name(&self, id: &DiskId, _disk: &DiskBoot) -> Result<NamedDisk, Unnamed> {
        let named = || NamedDisk { target: id.target("3-07-c0"), secret: Secret::new("of-this-boot".into()) };
        self.0.clone().map(|()| named())
    }
}

fn disk_plan(boot: &str, facts: &Facts, names: Option<&Names>) -> Result<Action, PlanError> {
    let text = "[iscsi]\nport = 3261\n[[machine]]\nname = \"Web1\"\nserial = \"A 1\"\n\
                [boot.own]\nkind = \"disk\"\nimage = \"i\"\n\
                [boot.open]\nkind = \"disk\"\nimage = \"i\"\nchap = \"off\"\n\
                [boot.fixed]\nkind = \"disk\"\nimage = \"i\"\nusername = \"seat\"\npassword_file = \"p\"\n";
    let main = ConfigSource { name: "bootlace.toml".into(), folder: PathBuf::new(), text: text.into() };
    let files = [(PathBuf::from("p"), Ok("a-fixed-secret".to_owned()))];
    let config = load(&main, &files.into()).unwrap().config;
    let choice = choose(&config, Offered::default(), facts, None);
    let entrusted = Entrusted { tokens: None, disks: names.map(|names| names as &dyn DiskNames) };
    let plan = build(&config, &choice, &name(boot), facts, &Server::new(&config, SERVER), entrusted)?;
    Ok(plan.action)
}

#[test]
fn a_disk_is_the_machines_own() {
    let names = Names(Ok(()));
    let login = |boot: &str, facts: &Facts| match disk_plan(boot, facts, Some(&names)).unwrap() {
        Action::San(SanDisk { target, initiator, chap }) => {
            let chap = chap.map(|chap| (chap.username, chap.password.expose().to_owned()));
            (target, initiator.unwrap(), chap)
        }
        other => panic!("{other:?}"),
    };
    let pair = |name: &str, secret: &str| Some((name.to_owned(), secret.to_owned()));
    let authority = "iqn.2024-08.internal.bootlace";
    let (target, initiator, chap) = login("own", &bios());
    assert_eq!(target, format!("iscsi:10.188.0.10:6:3261:0:{authority}:web1:own:3-07-c0"));
    assert_eq!(initiator, format!("{authority}:web1"));
    assert_eq!(chap, pair("web1", "of-this-boot"));
    assert_eq!(login("open", &bios()).2, None);
    assert_eq!(login("fixed", &bios()).2, pair("seat", "a-fixed-secret"));
    let unknown = done(facts(&[(Var::Mac, MAC), (Var::Firmware, "bios"), (Var::Serial, "")]));
    let (target, initiator, _) = login("own", &unknown);
    assert!(target.contains(":00-12-34-56-78-90:own:"), "{target}");
    assert_eq!(initiator, format!("{authority}:00-12-34-56-78-90"));
}

#[test]
fn a_disk_that_cannot_be_named_is_waited_for_or_told() {
    let later = disk_plan("own", &bios(), Some(&Names(Err(Unnamed::Later)))).unwrap();
    assert!(matches!(later, Action::Wait(Waiting::Disk)), "{later:?}");
    let never = Names(Err(Unnamed::Never("no such image".into())));
    let error = disk_plan("own", &bios(), Some(&never)).unwrap_err().to_string();
    assert_eq!(error, "boot own, image: no such image");
    let error = disk_plan("own", &bios(), None).unwrap_err().to_string();
    assert!(error.contains("nothing shows which machine this address is"), "{error}");
    let nobody = done(facts(&[(Var::Firmware, "bios"), (Var::Serial, "")]));
    let error = disk_plan("own", &nobody, Some(&Names(Ok(())))).unwrap_err().to_string();
    assert!(error.contains("nothing shows which machine"), "{error}");
}
