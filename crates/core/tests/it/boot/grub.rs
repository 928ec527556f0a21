//! Configs for GRUB: as they go out (fixtures/scripts), by which names, and that no value is more than one word.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bootlace_core::boot::template::Language;
use bootlace_core::config::{BootKind, Config, LocalHow, Location, Source as ConfigSource, load};
use bootlace_core::event::{DecidedBy, Protocol, ScriptEvent, ScriptStep};
use bootlace_core::explain::grub::commands;
use bootlace_core::files::{FileRequest, Identity, Resource, resolve};
use bootlace_core::model::{Facts, Text, Timestamp, Var};
use bootlace_core::oneshot::{Offered, OneShot, OneShots, Owner, Stage, Taker};
use bootlace_core::session::SessionId;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, RngSeed};

use super::sample::{
    add_boot, config, debian_loaders, facts, linux, local, machine, menu, name, request, rule, template,
};

const MAC: &str = "00:12:34:56:78:90";
const UUID: &str = "4c4c4544-0039-4e10-804e-b9c04f4d344a";

fn known() -> Facts {
    facts(&[(Var::Mac, MAC), (Var::Firmware, "uefi-x64")])
}

fn ask(config: &Config, asked: &str, facts: &Facts, protocol: Protocol) -> (Resource, ScriptEvent) {
    let loaders = debian_loaders();
    let request = FileRequest { protocol, ..request(facts, "", &loaders) };
    let resolution = resolve(config, asked, &request);
    (resolution.resource, resolution.script.expect("a config is made"))
}

/// The config that a machine whose boot is decided gets.
fn config_for(config: &Config, boot: &str, protocol: Protocol) -> String {
    let mut config = config.clone();
    config.machines.extend([machine("web1", &[MAC], Some(boot))]);
    body(ask(&config, "grub/grub.cfg", &known(), protocol).0)
}

fn body(resource: Resource) -> String {
    match resource {
        Resource::FileOrText { body, .. } => body,
        other => panic!("{other:?}"),
    }
}

fn golden(name: &str, text: &str) {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../../fixtures/scripts", &format!("grub-{name}.cfg")].iter().collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, kept, "{name}: UPDATE_GOLDEN=1 accepts the new text");
}

#[test]
fn every_kind() {
    let mut config = config();
    add_boot(&mut config, "own", local(LocalHow::Efi("/EFI/mine/it's.efi".into())));
    add_boot(&mut config, "leave", local(LocalHow::Exit));
    let seed = linux("ds=nocloud;s=http://{{ server.ip }}/$x{y}/ {{ vars.quoted }}");
    add_boot(&mut config, "seed", seed);
    config.boots.get_mut(&name("seed")).unwrap().vars = [("quoted".to_owned(), "a=\"b\"".to_owned())].into();
    add_boot(&mut config, "elsewhere", {
        BootKind::Efi { file: Location::Url(template("https://example.com/x.efi", Language::Url)) }
    });
    let all = [
        "local",
        "own",
        "leave",
        "rescue",
        "salstar",
        "grub",
        "custom",
        "san",
        "pxelinux",
        "menu",
        "more",
        "seed",
        "elsewhere",
    ];
    for boot in all {
        golden(boot, &config_for(&config, boot, Protocol::Tftp));
    }
    golden("http-rescue", &config_for(&config, "rescue", Protocol::Http));
    config.http.port = 8080;
    golden("http-port-rescue", &config_for(&config, "rescue", Protocol::Http));
}

#[test]
fn the_names_that_grub_asks_for_are_in_every_folder() {
    let mut config = config();
    let mut web1 = machine("web1", &[MAC], Some("rescue"));
    web1.uuid = Some(UUID.parse().unwrap());
    config.machines.extend([web1]);
    let names = [
        "grub.cfg".to_owned(),
        "grub/grub.cfg-01-00-12-34-56-78-90".to_owned(),
        format!("debian-installer/amd64/grub/grub.cfg-{UUID}"),
        "/grub/grub.cfg-44454c4c-3900-104e-804e-b9c04f4d344a".to_owned(),
        "EFI/x/grub.cfg-0ABC003D".to_owned(),
        "grub.cfg-0ABC0".to_owned(),
    ];
    for asked in names {
        let (resource, event) = ask(&config, &asked, &known(), Protocol::Tftp);
        let by = DecidedBy::Machine("web1".into());
        assert_eq!(event.step, ScriptStep::Boot { boot: name("rescue"), by }, "{asked}");
        let Resource::FileOrText { file, or_next, body, .. } = resource else { panic!("{resource:?}") };
        assert_eq!(file, asked.trim_start_matches('/'));
        assert_eq!(event.bytes, body.len() as u64);
        // GRUB comes to those after it, so a file of the user's there is not passed over.
        let folder = file.rfind('/').map_or("", |slash| &file[..=slash]);
        let by_mac = format!("{folder}grub.cfg-01-00-12-34-56-78-90");
        assert_eq!(or_next.contains(&by_mac), file.contains("cfg-4"), "{asked}: {or_next:?}");
        let shortest = format!("{folder}grub.cfg-0");
        assert_eq!(or_next.contains(&shortest), !file.ends_with("grub.cfg"), "{asked}: {or_next:?}");
    }
    let asked = "grub/grub.cfg.backup";
    let loaders = debian_loaders();
    let known = known();
    let resolution = resolve(&config, asked, &request(&known, "", &loaders));
    assert_eq!((resolution.resource, resolution.script), (Resource::File(asked.to_owned()), None));
}

#[test]
fn a_config_of_the_users_sources_the_arguments_of_its_machine() {
    let mut config = config();
    add_boot(&mut config, "quoted", linux("a={{ vars.quoted }}"));
    config.boots.get_mut(&name("quoted")).unwrap().vars = [("quoted".to_owned(), "it's".to_owned())].into();
    add_boot(&mut config, "pattern", linux("root=[a-z]*"));
    let piece = |boot: &str| {
        let mut config = config.clone();
        config.machines.extend([machine("web1", &[MAC], Some(boot))]);
        let (known, loaders) = (known(), debian_loaders());
        let resolution = resolve(&config, "boot/grub/grub.cfg-include", &request(&known, "", &loaders));
        assert_eq!(resolution.script, None, "a piece decides nothing");
        let text = body(resolution.resource);
        assert!(accepted(&text), "GRUB does not take\n{text}");
        text
    };
    let set = |value: &str| format!("set bootlace_cmdline='{value}'\nexport bootlace_cmdline\n");
    assert_eq!(piece("rescue"), set("console=ttyS0 hostname=web1"));
    assert_eq!(piece("local"), format!("# boot local has no arguments for a kernel\n{}", set("")));
    for (boot, why) in [("quoted", "cannot hand over"), ("pattern", "for a pattern")] {
        let text = piece(boot);
        assert!(text.starts_with("echo ") && text.contains(why) && text.ends_with(&set("")), "{text}");
    }
}

#[test]
fn a_name_of_another_machine_gets_that_ones_config_and_an_unknown_one_the_default() {
    let mut config = config();
    config.machines.extend([machine("web1", &[MAC], Some("rescue"))]);
    let stranger = facts(&[(Var::Mac, "52:54:00:00:00:01"), (Var::Firmware, "uefi-x64")]);
    let step = |asked: &str| ask(&config, asked, &stranger, Protocol::Tftp).1.step;
    let by = DecidedBy::Machine("web1".into());
    assert_eq!(step("grub.cfg-01-00-12-34-56-78-90"), ScriptStep::Boot { boot: name("rescue"), by });
    let default = ScriptStep::Boot { boot: name("local"), by: DecidedBy::Default };
    assert_eq!(step("grub.cfg"), default);
    assert_eq!(step("grub.cfg-01-02-00-00-00-00-09"), default);
}

#[test]
fn a_name_of_another_machine_takes_nothing_away_from_it() {
    let mut config = config();
    config.machines.extend([machine("web1", &[MAC], Some("local"))]);
    let shot = OneShot {
        boot: name("rescue"),
        confirm: None,
        armed: Timestamp(0),
        expires: None,
        stage: Stage::Armed,
    };
    let shots = OneShots([(Owner::named("web1"), shot)].into());
    let next = Offered { all: Some(&shots), asker: None, now: Timestamp(0) };
    let loaders = debian_loaders();
    let boot = |known: &Facts, asked: &str| {
        let request = FileRequest { next, protocol: Protocol::Tftp, ..request(known, "", &loaders) };
        resolve(&config, asked, &request).script.unwrap().step
    };
    let stranger = facts(&[(Var::Mac, "52:54:00:00:00:01"), (Var::Firmware, "uefi-x64")]);
    let once = ScriptStep::Boot { boot: name("rescue"), by: DecidedBy::OneShot("web1".into()) };
    for asked in ["grub.cfg-01-00-12-34-56-78-90", "pxelinux.cfg/01-00-12-34-56-78-90"] {
        let usual = ScriptStep::Boot { boot: name("local"), by: DecidedBy::Machine("web1".into()) };
        assert_eq!(boot(&stranger, asked), usual, "{asked}");
        assert_eq!(boot(&known(), asked), once, "{asked}");
    }
    let by_ipxe = "mac-001234567890.ipxe";
    assert_eq!((boot(&stranger, by_ipxe), boot(&known(), by_ipxe)), (ScriptStep::Identify, once));
}

/// Nobody takes a one-shot by a piece, so that it would be there for the next boot, too.
#[test]
fn a_piece_is_of_a_one_shot_only_where_it_has_led() {
    let mut config = config();
    add_boot(&mut config, "usual", linux("usual"));
    config.machines.extend([machine("web1", &[MAC], Some("usual"))]);
    let shot = |stage| {
        let boot = name("rescue");
        OneShots(
            [(
                Owner::named("web1"),
                OneShot { boot, confirm: None, armed: Timestamp(0), expires: None, stage },
            )]
            .into(),
        )
    };
    let (known, loaders, rescue) = (known(), debian_loaders(), name("rescue"));
    let piece = |asked: &str, shots: &OneShots, booting| {
        let taker = Taker { session: SessionId(7), started: Timestamp(0) };
        let next = Offered { all: Some(shots), asker: Some(taker), now: Timestamp(0) };
        let request =
            FileRequest { next, booting, protocol: Protocol::Tftp, ..request(&known, "", &loaders) };
        let Resource::FileOrText { body, .. } = resolve(&config, asked, &request).resource else { panic!() };
        body
    };
    let taker = Taker { session: SessionId(7), started: Timestamp(0) };
    for asked in ["grub.cfg-include", "pxelinux.cfg/include/append"] {
        let armed = piece(asked, &shot(Stage::Armed), None);
        assert!(armed.contains("usual") && !armed.contains("hostname=web1"), "{armed}");
        for stage in [Stage::Taken(taker), Stage::Done(taker)] {
            let taken = piece(asked, &shot(stage), Some(&rescue));
            assert!(taken.contains("hostname=web1"), "{taken}");
        }
    }
}

#[test]
fn what_it_cannot_report_counts_as_no_and_the_trail_says_so() {
    let mut config = config();
    rule(&mut config, &[("serial", &["S*"])], Some("rescue"));
    rule(&mut config, &[("firmware", &["uefi-x64"])], Some("salstar"));
    let (_, event) = ask(&config, "grub.cfg", &known(), Protocol::Tftp);
    assert_eq!(event.step, ScriptStep::Boot { boot: name("salstar"), by: DecidedBy::Rule(2) });
    let trail: Vec<_> = event.trail.0.iter().map(|line| (&*line.what, &*line.result)).collect();
    assert!(trail.iter().any(|(what, result)| *what == "rule 1" && result.starts_with("no:")), "{trail:?}");
    assert!(
        trail.iter().any(|(what, result)| *what == "grub" && result.contains("counts as no")),
        "{trail:?}"
    );
}

#[test]
fn an_entry_counts_only_in_a_menu_that_leads_to_it() {
    let mut config = config();
    config.machines.extend([machine("web1", &[MAC], Some("menu"))]);
    let step = |asked: &str| ask(&config, asked, &known(), Protocol::Tftp).1.step;
    let picked = |boot, menu| ScriptStep::Boot { boot: name(boot), by: DecidedBy::Menu(name(menu)) };
    assert_eq!(step("grub.cfg-boot-rescue"), picked("rescue", "menu"));
    let ScriptStep::Problem { boot, by, why } = step("grub.cfg-boot-san") else {
        panic!("GRUB has no iSCSI")
    };
    assert_eq!((boot, by), (name("san"), DecidedBy::Menu(name("more"))));
    assert!(why.contains("iSCSI"), "{why}");
    for not_there in ["salstar", "no-such-boot", "", "é"] {
        let by = DecidedBy::Machine("web1".into());
        let menu = ScriptStep::Boot { boot: name("menu"), by };
        assert_eq!(step(&format!("grub.cfg-boot-{not_there}")), menu, "{not_there}");
    }
}

fn hostile_sample() -> Config {
    let mut config = config();
    let args = "a={{ client.serial }} {{ vars.args }} b={{ client.asset }} c={{ vars.role }}";
    let BootKind::Linux { initrd, cmdline, .. } = linux(args) else { unreachable!("a kernel") };
    let kernel = Location::File("it's a/$linux{;}".into());
    add_boot(&mut config, "args", BootKind::Linux { shim: None, kernel, initrd, cmdline });
    let url = "http://{{ server.ip }}/{{ client.serial }}?a={{ client.asset }}&b={{ vars.role }}";
    add_boot(&mut config, "url", BootKind::Chain { url: template(url, Language::Url) });
    add_boot(&mut config, "choice", menu(&["args", "url"], "args", None));
    config
}

fn made(
    config: &Config,
    boot: &str,
    reported: &[String; 2],
    vars: &[String; 2],
    protocol: Protocol,
) -> String {
    let mut config = config.clone();
    config.default = name(boot);
    for boot in config.boots.values_mut() {
        boot.title.clone_from(&vars[0]);
        boot.vars = [("role".to_owned(), vars[0].clone()), ("args".to_owned(), vars[1].clone())].into();
    }
    let mut known = facts(&[(Var::Firmware, "uefi-x64")]);
    known.set(Var::Serial, Text::clean(reported[0].as_bytes()));
    known.set(Var::Asset, Text::clean(reported[1].as_bytes()));
    body(ask(&config, "grub.cfg", &known, protocol).0)
}

/// Text made of what means something to GRUB, and of anything.
fn value() -> impl Strategy<Value = String> {
    let dangerous = prop::sample::select(vec![
        "\n", " ", "\t", ";", "|", "&", "#", "\\", "$", "{", "}", "<", ">", "'", "\"", "if", "fi", "\0",
        "--id", "é", "]]", "reboot", "(", ")", ",", "x", "\u{a0}",
    ]);
    prop_oneof![
        prop::collection::vec(dangerous, 1..8).prop_map(|parts| parts.concat()),
        any::<String>(),
        "[ -~]{1,40}",
    ]
}

/// The names of the commands, in their order.
fn names(config: &str) -> Vec<String> {
    commands(config).into_iter().filter_map(|command| command.into_iter().next()).collect()
}

/// Whether GRUB's own parser takes a config. A host without it can only run the other tests; CI must not be such a host.
fn accepted(config: &str) -> bool {
    let spawned = Command::new("grub-script-check")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == ErrorKind::NotFound && std::env::var_os("CI").is_none() => return true,
        spawned => spawned.expect("grub-script-check is there: `cargo xtask setup` installs it"),
    };
    child.stdin.take().expect("a pipe").write_all(config.as_bytes()).expect("it reads");
    child.wait().expect("it ends").success()
}

proptest! {
    #![proptest_config(Cases {
        cases: 120, failure_persistence: None, rng_seed: RngSeed::Fixed(0x6772_7562), ..Cases::default()
    })]

    #[test]
    fn no_value_is_more_than_one_word(
        reported in [value(), value()],
        vars in [value(), value()],
        over_http: bool,
    ) {
        let config = hostile_sample();
        let protocol = if over_http { Protocol::Http } else { Protocol::Tftp };
        let plain = || std::array::from_fn(|_| "x".to_owned());
        for boot in ["args", "url", "choice"] {
            let got = made(&config, boot, &reported, &vars, protocol);
            prop_assert!(accepted(&got), "GRUB does not take\n{}", got);
            // What cannot be handed over is said instead: that config has no values but in `echo`.
            if got.contains("\nboot\n") || boot == "choice" {
                let expected = made(&config, boot, &plain(), &plain(), protocol);
                prop_assert_eq!(names(&got), names(&expected), "{}", got);
            } else {
                let told = names(&got);
                prop_assert!(told.iter().all(|name| ["echo", "sleep", "exit"].contains(&name.as_str())), "{}", got);
            }
        }
    }
}

#[test]
fn the_oracles_see_what_they_look_for() {
    let config = "linux 'a b'\\''c' \"d\\\"$e\" f\\ g # h\nif initrd x; then\nboot\nfi\n";
    let expected: [&[&str]; 5] =
        [&["linux", "a b'c", "d\"$e", "f g"], &["if", "initrd", "x"], &["then"], &["boot"], &["fi"]];
    assert_eq!(commands(config), expected);
    assert!(accepted(config));
    if Command::new("grub-script-check").arg("--version").output().is_ok() {
        assert!(!accepted("if true; then\n"), "an open `if`");
        assert!(!accepted("linux 'a\n"), "an open quote");
    }
}

/// A machine whose kernel is told the hash of a password.
fn with_password() -> Config {
    let main = ConfigSource {
        name: "bootlace.toml".into(),
        folder: PathBuf::new(),
        text: format!(
            "[password.root]\nfile = \"p\"\nmethod = \"md5\"\n[boot.a]\nkind = \"linux\"\nkernel = \"linux\"\n\
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
    let (config, loaders, known) = (with_password(), debian_loaders(), known());
    let names = [
        "grub.cfg",
        "grub/grub.cfg",
        "grub.cfg-01-00-12-34-56-78-90",
        "grub.cfg-0ABC003D",
        "grub.cfg-boot-a",
    ];
    let asked = |name: &str, facts: &Facts, identity: Identity| {
        let request = FileRequest { identity, ..request(facts, "", &loaders) };
        let resolution = resolve(&config, name, &request);
        let event = resolution.script.unwrap();
        assert!(!format!("{event:?}").contains("$1$"), "{name}: {event:?}");
        (body(resolution.resource), event.step)
    };
    for name in names {
        let (text, _) = asked(name, &known, Identity::Confirmed);
        assert!(text.contains("x=$1$"), "{name}: {text}");
        for identity in [Identity::Claimed, Identity::Contradicted] {
            let (text, step) = asked(name, &known, identity);
            assert!(!text.contains("$1$") && matches!(step, ScriptStep::Problem { .. }), "{name}: {text}");
        }
    }
    // Another machine, well known, that asks by this one's name.
    let other = facts(&[(Var::Mac, "02:00:00:00:00:02"), (Var::Firmware, "uefi-x64")]);
    let (text, step) = asked("grub.cfg-01-00-12-34-56-78-90", &other, Identity::Confirmed);
    assert!(!text.contains("$1$") && matches!(step, ScriptStep::Problem { .. }), "{text}");
}
