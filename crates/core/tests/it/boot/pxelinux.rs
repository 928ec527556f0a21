//! Configs for pxelinux and U-Boot: as they go out (fixtures/scripts), by which names, when a tree of the user's counts, and
//! that no value is more than its line.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use bootlace_core::boot::template::Language;
use bootlace_core::config::{BootKind, Config, LocalHow, Location, Pxelinux, Source as ConfigSource, load};
use bootlace_core::event::{DecidedBy, Protocol, ScriptEvent, ScriptStep};
use bootlace_core::files::{FileRequest, Identity, Resource, resolve};
use bootlace_core::model::{Facts, Text, Var};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, RngSeed};

use super::sample::{
    add_boot, config, debian_loaders, facts, linux, local, machine, menu, name, pxelinux, qemu_rom, request,
    template,
};

const MAC: &str = "00:12:34:56:78:90";
const RAW_UUID: &str = "44454c4c-3900-104e-804e-b9c04f4d344a";
const BY_MAC: &str = "pxelinux.cfg/01-00-12-34-56-78-90";

fn known() -> Facts {
    facts(&[(Var::Mac, MAC), (Var::Firmware, "bios")])
}

fn asked(config: &Config, name: &str, request: &FileRequest<'_>) -> (Resource, Option<ScriptEvent>) {
    let resolution = resolve(config, name, request);
    (resolution.resource, resolution.script)
}

fn ask(config: &Config, name: &str, facts: &Facts, protocol: Protocol) -> (Resource, Option<ScriptEvent>) {
    let loaders = debian_loaders();
    asked(config, name, &FileRequest { protocol, ..request(facts, "", &loaders) })
}

fn step(config: &Config, name: &str, facts: &Facts) -> ScriptStep {
    ask(config, name, facts, Protocol::Tftp).1.expect("a config is made").step
}

/// The config that a machine whose boot is decided gets.
fn config_for(config: &Config, boot: &str, name: &str, protocol: Protocol) -> Resource {
    let mut config = config.clone();
    config.machines.extend([machine("web1", &[MAC], Some(boot))]);
    ask(&config, name, &known(), protocol).0
}

fn body(resource: Resource) -> String {
    match resource {
        Resource::FileOrText { body, .. } => body,
        other => panic!("{other:?}"),
    }
}

fn golden(name: &str, text: &str) {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../../fixtures/scripts", &format!("pxelinux-{name}.cfg")]
            .iter()
            .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, kept, "{name}: UPDATE_GOLDEN=1 accepts the new text");
}

#[test]
fn every_kind() {
    let mut config = config();
    add_boot(&mut config, "leave", local(LocalHow::Exit));
    add_boot(&mut config, "takes-initrd", linux("initrd=mine quiet"));
    add_boot(&mut config, "elsewhere", {
        let kernel = Location::Url(template("http://mirror.example.com/linux", Language::Url));
        let cmdline = template("", Language::KernelArgs);
        BootKind::Linux { kernel, initrd: Vec::new(), cmdline, shim: None }
    });
    let all = [
        "local",
        "leave",
        "rescue",
        "salstar",
        "grub",
        "custom",
        "san",
        "menu",
        "more",
        "takes-initrd",
        "elsewhere",
    ];
    let of = |boot: &str, protocol| body(config_for(&config, boot, BY_MAC, protocol));
    for boot in all {
        golden(boot, &of(boot, Protocol::Tftp));
    }
    golden("http-rescue", &of("rescue", Protocol::Http));
    let uboot = |boot| body(config_for(&config, boot, "pxelinux.cfg/default-arm", Protocol::Tftp));
    golden("uboot-leave", &uboot("leave"));
    golden("uboot-menu", &uboot("menu"));
    // Its two initial file systems are one too many.
    golden("uboot-rescue", &uboot("rescue"));
    let mut config = config.clone();
    config.http.port = 8080;
    golden("http-port-rescue", &body(config_for(&config, "rescue", BY_MAC, Protocol::Http)));
}

#[test]
fn uboot_boots_by_names_beside_its_config() {
    let mut config = config();
    let BootKind::Linux { kernel, cmdline, .. } = linux("console=ttyAMA0") else { unreachable!("a kernel") };
    let initrd = vec![Location::File("initrd".into())];
    add_boot(&mut config, "board", BootKind::Linux { kernel, initrd, cmdline, shim: None });
    config.default = name("board");
    let board = facts(&[(Var::Mac, MAC), (Var::Firmware, "arch-22")]);
    let at_root = ask(&config, BY_MAC, &board, Protocol::Tftp).0;
    golden("uboot-board", &body(at_root));
    let below = body(ask(&config, &format!("boards/{BY_MAC}"), &board, Protocol::Tftp).0);
    assert!(below.starts_with("MENU TITLE Bootlace: boot board: U-Boot finds files"), "{below}");
}

#[test]
fn the_names_that_pxelinux_asks_for_are_in_every_folder() {
    let mut config = config();
    let mut web1 = machine("web1", &[MAC], Some("rescue"));
    web1.uuid = Some("4c4c4544-0039-4e10-804e-b9c04f4d344a".parse().unwrap());
    config.machines.extend([web1]);
    let loaders = debian_loaders();
    let known = known();
    let peer = Ipv4Addr::new(10, 188, 0, 61);
    let request = FileRequest { peer, protocol: Protocol::Tftp, ..request(&known, "", &loaders) };
    let addresses = ["0ABC003D", "0ABC003", "0ABC00", "0ABC0", "0ABC", "0AB", "0A", "0"];
    let mut endings = vec![RAW_UUID, "01-00-12-34-56-78-90"];
    endings.extend(addresses);
    for folder in ["", "bios/", "a/b/"] {
        for (at, ending) in endings.iter().enumerate() {
            let asked_for = format!("{folder}pxelinux.cfg/{ending}");
            let (resource, event) = asked(&config, &asked_for, &request);
            let event = event.expect("a config is made");
            let by = DecidedBy::Machine("web1".into());
            assert_eq!(event.step, ScriptStep::Boot { boot: name("rescue"), by }, "{asked_for}");
            let Resource::FileOrText { file, or_next, body, .. } = resource else { panic!("{resource:?}") };
            assert_eq!((file.as_str(), event.bytes), (asked_for.as_str(), body.len() as u64));
            // It comes to those after this one, so a file of the user's there is not passed over; what everybody gets is no
            // match for what is decided for this machine.
            let rest: Vec<_> =
                endings[at + 1..].iter().map(|name| format!("{folder}pxelinux.cfg/{name}")).collect();
            assert_eq!(or_next, rest, "{asked_for}");
        }
    }
    for other in ["pxelinux.cfg/readme", "pxelinux.cfg/01-00-12", "pxelinux.cfg/graphics.conf", "0ABC003D"] {
        let resolution = asked(&config, other, &request);
        assert_eq!(resolution, (Resource::File(other.to_owned()), None));
    }
}

#[test]
fn what_everybody_gets_comes_before_a_last_resort() {
    let mut config = config();
    let or_next = |config: &Config| match ask(config, "x/pxelinux.cfg/0", &known(), Protocol::Tftp).0 {
        Resource::FileOrText { or_next, .. } => or_next,
        other => panic!("{other:?}"),
    };
    assert_eq!(or_next(&config), ["x/pxelinux.cfg/default"], "nobody decided");
    config.machines.extend([machine("web1", &[MAC], Some("san"))]);
    assert_eq!(or_next(&config), ["x/pxelinux.cfg/default"], "pxelinux cannot do what is decided");
}

#[test]
fn a_tree_of_its_own_is_left_alone() {
    let mut config = config();
    config.machines.extend([machine("web1", &[MAC], Some("pxelinux"))]);
    let absent = |resource: Resource| match resource {
        Resource::FileOrAbsent { file, why } => {
            assert_eq!(file, BY_MAC);
            why
        }
        other => panic!("{other:?}"),
    };
    let (resource, event) = ask(&config, BY_MAC, &known(), Protocol::Tftp);
    assert_eq!(absent(resource), "boot pxelinux goes by the files of pxelinux that are there");
    assert_eq!(event, None);

    let loaders = debian_loaders();
    let (known, rom, custom) = (known(), qemu_rom(), name("custom"));
    let led = FileRequest { booting: Some(&custom), ..request(&known, "", &loaders) };
    let by_ipxe = FileRequest { features: Some(&rom), ..led };
    let why = absent(asked(&config, BY_MAC, &by_ipxe).0);
    assert!(why.contains("boot pxelinux"), "{why}");
    config.machines = [machine("web1", &[MAC], Some("custom"))].into_iter().collect();
    let why = absent(asked(&config, BY_MAC, &by_ipxe).0);
    assert_eq!(why, "boot custom led to pxelinux, which goes by the files that are there");
    // Nothing for iPXE led there: it is told why it does not boot, however often it asks.
    let (_, event) = asked(&config, BY_MAC, &led);
    assert!(matches!(event.unwrap().step, ScriptStep::Problem { .. }));
}

#[test]
fn an_entry_counts_only_in_a_menu_that_leads_to_it() {
    let mut config = config();
    config.machines.extend([machine("web1", &[MAC], Some("menu"))]);
    let picked = |boot, menu| ScriptStep::Boot { boot: name(boot), by: DecidedBy::Menu(name(menu)) };
    assert_eq!(step(&config, "pxelinux.cfg/boot-rescue", &known()), picked("rescue", "menu"));
    let ScriptStep::Problem { boot, .. } = step(&config, "pxelinux.cfg/boot-san", &known()) else {
        panic!("pxelinux has no iSCSI")
    };
    assert_eq!(boot, name("san"));
    let by = DecidedBy::Machine("web1".into());
    let whole = ScriptStep::Boot { boot: name("menu"), by };
    assert_eq!(step(&config, "pxelinux.cfg/boot-salstar", &known()), whole);
}

fn tree(cmdline: &str, serial: &str, menu_title: &str) -> BootKind {
    let [cmdline, serial, menu_title] =
        [cmdline, serial, menu_title].map(|text| template(text, Language::KernelArgs));
    BootKind::Pxelinux(Pxelinux { file: "pxelinux.0".into(), cmdline, serial, menu_title })
}

#[test]
fn a_config_of_the_users_includes_what_differs() {
    let mut config = config();
    let kind = tree("hostname={{ machine.name }} quiet", "{{ vars.port }} 115200", "Room {{ vars.room }}");
    add_boot(&mut config, "tree", kind);
    let mut web1 = machine("web1", &[MAC], Some("tree"));
    web1.overrides.vars = [("port", "1"), ("room", "12 B")].map(|(k, v)| (k.into(), v.into())).into();
    config.machines.extend([web1]);
    let piece = |config: &Config, name: &str| {
        let (resource, event) =
            ask(config, &format!("pxelinux.cfg/include/{name}"), &known(), Protocol::Tftp);
        assert_eq!(event, None, "a piece decides nothing");
        body(resource)
    };
    assert_eq!(piece(&config, "append"), "APPEND hostname=web1 quiet\n");
    assert_eq!(piece(&config, "serial"), "SERIAL 1 115200\n");
    assert_eq!(piece(&config, "menu"), "MENU TITLE Room 12 B\n");
    config.boots.get_mut(&name("tree")).unwrap().kind = tree("", "ttyS0", "");
    let failed = piece(&config, "serial");
    assert!(
        failed.starts_with("SAY Bootlace: boot tree, serial: \"ttyS0\" is no serial console"),
        "{failed}"
    );
    config.boots.get_mut(&name("tree")).unwrap().kind = pxelinux("pxelinux.0");
    for name in ["append", "serial", "menu"] {
        assert_eq!(piece(&config, name), "# boot tree says nothing about it\n");
    }
    config.boots.get_mut(&name("tree")).unwrap().kind = linux("console=ttyS0");
    assert_eq!(piece(&config, "append"), "APPEND console=ttyS0\n");
}

/// A machine whose kernel is told the hash of a password.
fn with_password(boot: &str) -> Config {
    let main = ConfigSource {
        name: "bootlace.toml".into(),
        folder: PathBuf::new(),
        text: format!(
            "[password.root]\nfile = \"p\"\nmethod = \"md5\"\n[boot.a]\n{boot}\n\
             cmdline = \"x={{{{ password.root }}}}\"\n[[machine]]\nname = \"web1\"\nmac = \"{MAC}\"\nboot = \"a\"\n"
        ),
    };
    let files = [(PathBuf::from("p"), Ok("hello".to_owned()))];
    let mut config = load(&main, &files.into()).unwrap().config;
    config.passwords.make(|| Ok::<_, ()>([0; 16])).unwrap();
    config
}

#[test]
fn a_secret_is_for_a_confirmed_machine_only() {
    let linux = with_password("kind = \"linux\"\nkernel = \"linux\"");
    let tree = with_password("kind = \"pxelinux\"");
    let (loaders, known) = (debian_loaders(), known());
    let other = facts(&[(Var::Mac, "02:00:00:00:00:02"), (Var::Firmware, "bios")]);
    let text = |config: &Config, name: &str, facts: &Facts, identity: Identity| {
        let (resource, event) =
            asked(config, name, &FileRequest { identity, ..request(facts, "", &loaders) });
        assert!(!format!("{event:?}").contains("$1$"), "{name}: {event:?}");
        body(resource)
    };
    let piece = "pxelinux.cfg/include/append";
    let names = [(&linux, BY_MAC), (&linux, "pxelinux.cfg/default"), (&linux, piece), (&tree, piece)];
    for (config, name) in names {
        assert!(text(config, name, &known, Identity::Confirmed).contains("x=$1$"), "{name}");
        for identity in [Identity::Claimed, Identity::Contradicted] {
            let told = text(config, name, &known, identity);
            assert!(!told.contains("$1$") && told.starts_with("SAY Bootlace: boot a, cmdline"), "{told}");
        }
    }
    // Another machine, well known, that asks by this one's name.
    assert!(!text(&linux, BY_MAC, &other, Identity::Confirmed).contains("$1$"));
}

/// Text made of what means something to pxelinux, and of anything.
fn value() -> impl Strategy<Value = String> {
    let dangerous = prop::sample::select(vec![
        "\n", "\r", "\u{85}", "\u{2028}", " ", "\t", ",", "#", "LABEL x", "KERNEL", "initrd=", "^", "::",
        "\0", "-", "é", "x", "\u{a0}", "UI",
    ]);
    prop_oneof![
        prop::collection::vec(dangerous, 1..8).prop_map(|parts| parts.concat()),
        any::<String>(),
        "[ -~]{1,40}",
    ]
}

fn hostile_sample(file: &str) -> Config {
    let mut config = config();
    let args = "a={{ client.serial }} {{ vars.args }} b={{ client.asset }} c={{ vars.role }}";
    let BootKind::Linux { initrd, cmdline, .. } = linux(args) else { unreachable!("a kernel") };
    let kernel = Location::File(file.to_owned());
    add_boot(&mut config, "args", BootKind::Linux { shim: None, kernel, initrd, cmdline });
    add_boot(&mut config, "choice", menu(&["args", "local"], "args", Some(3)));
    config
}

/// The directives of a config, in their order.
fn directives(config: &str) -> Vec<&str> {
    config.split('\n').filter_map(|line| line.trim_start().split(' ').next()).collect()
}

proptest! {
    #![proptest_config(Cases {
        cases: 200, failure_persistence: None, rng_seed: RngSeed::Fixed(0x7078_656c), ..Cases::default()
    })]

    #[test]
    fn no_value_adds_a_line(
        reported in [value(), value()],
        vars in [value(), value()],
        file in value(),
        over_http: bool,
    ) {
        let protocol = if over_http { Protocol::Http } else { Protocol::Tftp };
        let made = |boot: &str, reported: [&str; 2], vars: [&str; 2], file: &str| {
            let mut config = hostile_sample(file);
            config.default = name(boot);
            for boot in config.boots.values_mut() {
                boot.title = vars[0].to_owned();
                boot.vars = [("role", vars[0]), ("args", vars[1])].map(|(k, v)| (k.into(), v.into())).into();
            }
            let mut known = known();
            known.set(Var::Serial, Text::clean(reported[0].as_bytes()));
            known.set(Var::Asset, Text::clean(reported[1].as_bytes()));
            body(ask(&config, BY_MAC, &known, protocol).0)
        };
        for boot in ["args", "choice"] {
            let got = made(boot, [&reported[0], &reported[1]], [&vars[0], &vars[1]], &file);
            prop_assert!(!got.contains(|c: char| c.is_control() && c != '\n'), "{:?}", got);
            let plain = made(boot, ["x"; 2], ["x"; 2], "linux");
            // What cannot be handed over is said instead.
            if got.starts_with("SAY Bootlace: boot args: ") {
                let rest: Vec<_> = directives(&got).into_iter().filter(|word| *word != "SAY").collect();
                prop_assert_eq!(rest, ["DEFAULT", "PROMPT", "TIMEOUT", "LABEL", "LOCALBOOT", ""], "{}", got);
            } else {
                prop_assert_eq!(directives(&got), directives(&plain), "{}", got);
            }
            if let Some(append) = got.lines().find_map(|line| line.strip_prefix("  APPEND ")) {
                prop_assert!(!append.contains("initrd="), "{}", got);
            }
        }
    }
}
