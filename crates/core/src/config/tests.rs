//! What the loader takes, that the docs know it, and that no text breaks it. How findings look is tested where
//! they are rendered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bootlace_wire::dhcp::{Code, Feature};
use proptest::prelude::*;

use super::keys::{Kind, SECTIONS};
use super::*;
use crate::crypt::{Hash, Phrase};
use crate::finding::Severity;

const DESIGN: &str = include_str!("../../../../fixtures/config/valid/design.toml");
const EMPTYISH: &str = include_str!("../../../../fixtures/config/valid/empty-ish.toml");
const EVERY_KIND: &str = include_str!("../../../../fixtures/config/valid/every-kind.toml");
const REFERENCE: &str = include_str!("../../../../docs/config.md");

fn source(text: &str) -> Source {
    Source { name: "bootlace.toml".to_owned(), folder: PathBuf::from("/etc/bootlace"), text: text.to_owned() }
}

fn named_files(main: &Source) -> Files {
    let text = |path: &PathBuf| match path.extension() {
        Some(extension) if extension == "ipxe" => "#!ipxe\nexit\n".to_owned(),
        // Adopted machines: none.
        Some(extension) if extension == "toml" => String::new(),
        _ => format!("a-secret-{:.7}\n", path.file_stem().unwrap().display()),
    };
    wanted(main).into_iter().map(|path| (path.clone(), Ok(text(&path)))).collect()
}

fn load_valid(text: &str) -> Loaded {
    let main = source(text);
    load(&main, &named_files(&main)).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

fn boot(name: &str) -> BootName {
    BootName::new(name).unwrap()
}

#[test]
fn the_example_of_the_design_means_what_it_says() {
    let Loaded { config, .. } = load_valid(DESIGN);
    assert_eq!(config.interfaces, ["eth0"]);
    assert_eq!(config.server, Some([10, 188, 0, 10].into()));
    assert_eq!(config.hostname.as_deref(), Some("pxe.example.com"));
    assert_eq!(config.state_dir, Path::new("/var/lib/bootlace"));
    assert_eq!(config.boot_dir, Path::new("/srv/boot"));
    assert_eq!(config.follow, [Path::new("/usr/lib/ipxe")]);
    assert_eq!(config.templates, Path::new("/etc/bootlace/templates"));
    assert_eq!(config.default, boot("local"));
    assert_eq!(config.user.as_deref(), Some("bootlace"));
    assert_eq!((config.tftp.enabled, config.tftp.port, config.tftp.single_port), (true, 69, false));
    assert_eq!(config.tftp.ports, Some(5000..=5100));
    assert_eq!(config.http.port, 80);
    assert_eq!(config.admin.listen, Some("127.0.0.1:8470".parse().unwrap()));

    assert_eq!((config.dhcp.mode, config.dhcp.authoritative), (DhcpMode::Server, true));
    let [subnet] = &config.dhcp.subnets[..] else { panic!("{:?}", config.dhcp.subnets) };
    assert_eq!(subnet.cidr.to_string(), "10.188.0.0/24");
    assert_eq!(subnet.ranges, [[10, 188, 0, 60].into()..=[10, 188, 0, 70].into()]);
    assert_eq!((subnet.serve, subnet.lease), (Serve::All, Duration::from_secs(12 * 3600)));
    let options = BTreeMap::from([
        (Code::ROUTER, vec![10, 188, 0, 1]),
        (Code::DNS, vec![10, 188, 0, 20]),
        (Code::DOMAIN, b"example.com".to_vec()),
        (Code::NTP, vec![10, 188, 0, 1]),
    ]);
    assert_eq!(subnet.options, options);

    let [machine] = &config.machines[..] else { panic!("{:?}", config.machines) };
    assert_eq!((machine.name.as_str(), machine.macs[0].to_string().as_str()), ("web1", "00:12:34:56:78:90"));
    assert_eq!(machine.address, Some([10, 188, 0, 61].into()));
    assert_eq!(machine.overrides.boot, Some(boot("pxelinux")));
    assert_eq!(machine.overrides.loader.as_ref().and_then(|loader| loader.file()), Some("snponly.efi"));
    assert_eq!(machine.overrides.vars["role"], "web");
    let [rule] = &config.rules[..] else { panic!("{:?}", config.rules) };
    assert_eq!((rule.number, &rule.overrides.boot), (1, &Some(boot("rescue"))));
}

#[test]
fn the_boots_of_the_design_mean_what_they_say() {
    let Loaded { config, .. } = load_valid(DESIGN);
    let names: Vec<_> = config.boots.keys().map(BootName::as_str).collect();
    assert_eq!(names, ["custom", "here", "local", "menu", "pxelinux", "rescue", "salstar", "san"]);
    let kind = |name| &config.boot(&boot(name)).kind;
    assert!(matches!(kind("local"), BootKind::Local(LocalHow::Auto)));
    assert!(matches!(kind("here"), BootKind::Local(LocalHow::Auto)));
    assert!(matches!(kind("pxelinux"), BootKind::Pxelinux(Pxelinux { file, .. }) if file == "lpxelinux.0"));
    let BootKind::Linux { kernel, initrd, .. } = kind("rescue") else { panic!() };
    assert!(matches!(kernel, Location::File(name) if name == "debian/linux"));
    assert!(matches!(&initrd[..], [Location::File(name)] if name == "debian/initrd.gz"));
    assert!(matches!(kind("san"), BootKind::San(San { initiator: Some(_), chap: None, .. })));
    assert!(matches!(kind("salstar"), BootKind::Chain { .. }));
    assert!(matches!(kind("custom"), BootKind::Ipxe { .. }));
    let BootKind::Menu(menu) = kind("menu") else { panic!() };
    assert_eq!(menu.title, "What shall it be?");
    assert_eq!(menu.timeout, Some(Duration::from_secs(10)));
    assert_eq!((&menu.entries[..], &menu.default), (&[boot("local"), boot("rescue")][..], &boot("local")));
}

#[test]
fn an_almost_empty_config_boots_every_machine_from_its_disk() {
    let Loaded { config, .. } = load_valid(EMPTYISH);
    assert!(matches!(config.boot(&config.default).kind, BootKind::Local(LocalHow::Auto)));
    assert_eq!(config.dhcp.mode, DhcpMode::Off);
    assert!(config.follow.contains(&PathBuf::from("/usr/lib/ipxe")));
    assert_eq!(config.templates, Path::new("/etc/bootlace/templates"));
}

#[test]
fn the_other_spellings_mean_the_same() {
    let Loaded { config, .. } = load_valid(EVERY_KIND);
    assert_eq!(config.state_dir, Path::new("/etc/bootlace/state"));
    assert_eq!(config.admin.listen, None);
    let [first, second] = &config.dhcp.subnets[..] else { panic!() };
    assert_eq!((first.serve, first.lease), (Serve::Known, LEASE_INFINITE));
    assert_eq!(first.ranges[1], [10, 1, 0, 120].into()..=[10, 1, 0, 120].into());
    assert_eq!(first.options[&Code::DNS], [10, 1, 0, 2, 10, 1, 0, 3]);
    assert_eq!(second.options[&Code::ROUTER], [10, 2, 0, 1]);
    assert_eq!(config.dhcp.options[&Code::MTU], 1400u16.to_be_bytes());
    assert_eq!(config.dhcp.options[&Code::NTP], [10, 1, 0, 3, 10, 1, 0, 4]);
    let vars = &config.boot(&boot("netinst")).vars;
    assert_eq!((vars["count"].as_str(), vars["fast"].as_str()), ("3", "true"));
    assert_eq!(config.boot(&boot("netinst")).needs, [Feature::Https, Feature::Vlan].into());
    let BootKind::San(san) = &config.boot(&boot("disk-mutual")).kind else { panic!() };
    let chap = san.chap.as_ref().unwrap();
    assert_eq!((chap.username.as_str(), chap.password.expose()), ("machine", "a-secret-chap"));
    assert_eq!(chap.reverse.as_ref().unwrap().1.expose(), "a-secret-reverse");
    let disk = |name: &str| match &config.boot(&boot(name)).kind {
        BootKind::Disk(disk) => disk.clone(),
        other => panic!("{other:?}"),
    };
    let own = disk("own");
    assert_eq!((own.image.as_str(), own.mode, own.space), ("debian-12", DiskMode::Persistent, None));
    assert_eq!(own.chap, DiskChap::PerBoot);
    let fresh = disk("own-fresh");
    assert_eq!((fresh.mode, fresh.space, fresh.chap), (DiskMode::Reset, Some(20 << 30), DiskChap::Off));
    let weekly = disk("own-weekly");
    assert_eq!(weekly.mode, DiskMode::ResetAfter(Duration::from_secs(7 * 24 * 3600)));
    assert!(matches!(&weekly.chap, DiskChap::Static(chap) if chap.reverse.is_some()));
    assert_eq!((disk("own-ram").mode, disk("own-ram").space), (DiskMode::Ram, Some(RAM_SPACE_DEFAULT)));
    assert_eq!(config.images, Path::new("/srv/images"));
    let BootKind::Local(LocalHow::Efi(path)) = &config.boot(&boot("efi-path")).kind else { panic!() };
    assert_eq!(path, r"\EFI\debian\grubx64.efi");
    let serial = config.machines.iter().find_map(|machine| machine.serial.as_deref());
    assert_eq!(serial, Some("ABC 123"));
}

#[test]
fn wanted_names_scripts_and_secrets_even_of_a_broken_config() {
    let main = source(
        "colour = 1\ntemplates = \"../t\"\n[boot.a]\nkind = \"ipxe\"\nscript = \"a.ipxe\"\n\
         [boot.b]\nkind = \"san\"\npassword_file = \"/run/secret\"\n[password.1]\nfile = \"p\"\nrounds = 0\n",
    );
    let adopted = "/var/lib/bootlace/adopted/machines.toml";
    let expected =
        ["/etc/bootlace/../t/a.ipxe", "/etc/bootlace/p", "/run/secret", adopted].map(PathBuf::from);
    assert_eq!(wanted(&main), BTreeSet::from(expected));
}

#[test]
fn adopted_machines_count_as_far_as_the_config_has_none() {
    let main = source(
        "state_dir = \"/s\"\n[boot.rescue]\nkind = \"linux\"\nkernel = \"k\"\n\
         [[machine]]\nname = \"web1\"\nmac = \"52:54:00:00:00:01\"\nserial = \"X1\"\n",
    );
    let loaded = |adopted: &str| {
        let path = adopted_file(Path::new("/s"));
        load(&main, &Files::from([(path, Ok(adopted.to_owned()))]))
    };
    let sections = [
        adopted_section("web2", "52:54:00:00:00:02".parse().unwrap(), None, Some("a \"b\""), Some("rescue")),
        adopted_section("web3", "52:54:00:00:00:03".parse().unwrap(), None, Some("x1"), None),
        adopted_section("WEB1", "52:54:00:00:00:04".parse().unwrap(), None, Some("None"), None),
    ];
    let Loaded { config, warnings } = loaded(&sections.concat()).unwrap();
    let names: Vec<_> = config.machines.iter().map(|machine| machine.name.as_str()).collect();
    assert_eq!(names, ["web1", "web2"]);
    let web2 = config.machines.by_serial("a \"b\"").unwrap();
    assert_eq!((web2.name.as_str(), &web2.overrides.boot), ("web2", &Some(boot("rescue"))));
    let told: Vec<_> = warnings.iter().map(|warning| (warning.code, warning.message.as_str())).collect();
    let skipped =
        |name: &str| format!("the adopted machine `{name}` does not count: the config has it as `web1`");
    assert_eq!(told, [("config-adopted", skipped("web3").as_str()), ("config-adopted", &skipped("WEB1"))]);
    let broken = loaded("[[machine]]\nname = \"web2\"\nmac = \"x\"\n[dhcp]\n").unwrap_err();
    let places: Vec<_> = broken.iter().filter_map(|finding| finding.place.as_ref()).collect();
    assert!(
        broken.len() == 2 && places.iter().all(|place| place.file == "/s/adopted/machines.toml"),
        "{broken:?}"
    );
    assert!(loaded("").unwrap().config.machines.len() == 1 && load(&main, &Files::new()).is_ok());
    let path = adopted_file(Path::new("/s"));
    assert!(may_be_absent(&path) && !may_be_absent(Path::new("/s/machines.toml")));
    let unread = load(&main, &Files::from([(path, Err("I/O error".to_owned()))])).unwrap_err();
    let [finding] = &unread[..] else { panic!("{unread:?}") };
    assert!(
        finding.severity == Severity::Error
            && finding.message.contains("/s/adopted/machines.toml: I/O error")
    );
}

#[test]
fn secrets_are_not_shown() {
    let Loaded { config, .. } = load_valid(EVERY_KIND);
    assert!(!format!("{config:?}").contains("a-secret-chap"));
}

#[test]
fn a_password_is_shown_once_its_hash_is_made() {
    let shown = |config: &Config, name: &str| config.passwords.shown(name).unwrap();
    let read = |contents: &str| {
        let main =
            source("[password.root]\nfile = \"p\"\nmethod = \"md5\"\n[password.other]\nfile = \"q\"\n");
        let files = [("/etc/bootlace/p", contents), ("/etc/bootlace/q", "of others\n")];
        let files = files.map(|(path, text)| (PathBuf::from(path), Ok(text.to_owned())));
        load(&main, &files.into()).unwrap().config
    };
    let mut number = 0;
    let mut salt = || {
        number += 1;
        Ok::<_, ()>([number; 16])
    };
    let mut first = read("hello\n");
    assert_eq!(shown(&first, "root"), "hash-of-root");
    first.passwords.make(&mut salt).unwrap();
    let made = shown(&first, "root");
    assert!(made.starts_with("$1$") && made.parse::<Hash>().unwrap().matches(Phrase::new(b"hello").unwrap()));
    assert_eq!(first.passwords.concealed(&format!("a {made}.")), "a hash-of-root.");
    assert!(!format!("{first:?}").contains(&made));

    // Read again: only what has changed is made again.
    let mut same = read("hello");
    same.passwords.keep_made(&first.passwords);
    same.passwords.make(|| Err("no salt is needed")).unwrap();
    assert_eq!(shown(&same, "root"), made);
    let mut next = read("hallo\n");
    next.passwords.keep_made(&first.passwords);
    assert_eq!(
        (shown(&next, "root"), shown(&next, "other")),
        ("hash-of-root".into(), shown(&first, "other"))
    );
    assert_eq!(next.passwords.make(|| Err("salt")), Err("salt"));
    next.passwords.make(&mut salt).unwrap();
    assert!(shown(&next, "root").parse::<Hash>().unwrap().matches(Phrase::new(b"hallo").unwrap()));

    // Who writes a hash into the file gets that one, by whatever method it is.
    let hash = "$5$rounds=1000$abc$UxKib5kobt2BZp/yfOEWbjik.BPMiS9MzbXyO6zXMC0";
    let mut hashed = read(hash);
    hashed.passwords.make(&mut salt).unwrap();
    assert_eq!(shown(&hashed, "root"), hash);
}

#[test]
fn so_many_passwords_and_no_more() {
    let config =
        |count| -> String { (0..count).map(|n| format!("[password.p{n}]\nfile = \"p{n}\"\n")).collect() };
    assert!(load_valid(&config(PASSWORDS_MAX)).warnings.is_empty());
    let main = source(&config(PASSWORDS_MAX + 1));
    let findings = load(&main, &named_files(&main)).unwrap_err();
    let [finding] = &findings[..] else { panic!("{findings:#?}") };
    assert!(finding.message.starts_with("more than 32 passwords"), "{}", finding.message);
}

#[test]
fn thousands_of_machines_and_findings_are_no_problem() {
    let machine = |n: u32| {
        let mac = format!("02:00:00:00:{:02x}:{:02x}", n >> 8, n & 0xff);
        format!("[[machine]]\nname = \"m{n}\"\nmac = \"{mac}\"\naddress = \"10.9.{}.{}\"\n", n >> 8, n & 0xff)
    };
    let head = "[dhcp]\nmode = \"server\"\n[[dhcp.subnet]]\nsubnet = \"10.9.0.0/16\"\n";
    let text = head.to_owned() + &(1..=MACHINES).map(machine).collect::<String>();
    let loaded = load(&source(&text), &Files::new()).unwrap();
    assert_eq!((loaded.config.machines.len(), loaded.warnings.len()), (MACHINES as usize, 0));
    let twice = head.to_owned() + &(1..=MACHINES).flat_map(|n| [machine(n), machine(n)]).collect::<String>();
    assert_eq!(load(&source(&twice), &Files::new()).unwrap_err().len(), 3 * MACHINES as usize);
}

#[test]
fn the_reference_lists_every_key_and_no_other() {
    let mut documented = BTreeMap::new();
    let mut section = String::new();
    for line in REFERENCE.lines() {
        if let Some(title) = line.strip_prefix("## ").or(line.strip_prefix("### ")) {
            section = title.replace('`', "").to_lowercase();
            if section.starts_with("kind ") {
                documented.insert(section.clone(), BTreeSet::new());
            }
        } else if let Some(key) = line.strip_prefix("| `").and_then(|row| row.split('`').next()) {
            documented.entry(section.clone()).or_insert_with(BTreeSet::new).insert(key.to_owned());
        }
    }
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
    let sections = SECTIONS.iter().map(|section| (section.title.to_lowercase(), keys(section.keys)));
    let kinds = Kind::ALL.iter().map(|kind| (format!("kind {}", kind.name()), keys(kind.keys())));
    assert_eq!(documented, sections.chain(kinds).collect::<BTreeMap<_, _>>());
}

/// Loads a text, and checks what must hold whatever it says.
fn loads_or_explains(text: &str) {
    let main = source(text);
    let files = named_files(&main);
    match load(&main, &files) {
        Ok(Loaded { config, warnings }) => {
            assert!(warnings.iter().all(|finding| finding.severity != Severity::Error));
            let named = config.machines.iter().map(|machine| &machine.overrides);
            let named = named.chain(config.rules.iter().map(|rule| &rule.overrides));
            for name in named.filter_map(|overrides| overrides.boot.as_ref()).chain([&config.default]) {
                assert!(config.boots.contains_key(name), "{name}");
            }
        }
        Err(findings) => {
            assert!(findings.iter().any(|finding| finding.severity == Severity::Error));
            for place in findings.iter().filter_map(|finding| finding.place.as_ref()) {
                let inside = place.file != main.name || text.get(place.span.clone()).is_some();
                assert!(inside, "{place:?} in {text:?}");
            }
        }
    }
}

const MACHINES: u32 = 2000;
const KEYS_EACH_MAX: usize = 8;
const SECTIONS_MAX: usize = 8;
const HEADS: [&str; 12] = [
    "[dhcp]",
    "[[dhcp.subnet]]",
    "[tftp]",
    "[http]",
    "[admin]",
    "[boot.a]",
    "[boot.b]",
    "[password.a]",
    "[[machine]]",
    "[[rule]]",
    "[iscsi]",
    "[[iscsi.target]]",
];
const VALUES: [&str; 44] = [
    "'server'",
    "'off'",
    "'linux'",
    "'menu'",
    "'san'",
    "'ipxe'",
    "'efi'",
    "'chain'",
    "'a'",
    "'b'",
    "'local'",
    "true",
    "false",
    "-1",
    "0xff",
    "8080",
    "99999999999999999999",
    "1.5",
    "1979-05-27",
    "'10.0.0.0/24'",
    "'10.0.0.0/8'",
    "'10.0.0.1-10.0.0.9'",
    "'10.0.0.1'",
    "'10.0.0.255'",
    "'00:12:34:56:78:90'",
    "'{{ machine.name }}'",
    "'{{'",
    "\"\"\"\n\\u00e9{{ x\"\"\"",
    "'http://é/{{ x }}'",
    "'12h'",
    "'1m'",
    "'infinite'",
    "'a.ipxe'",
    "'../a'",
    "''",
    "'\u{1b}'",
    "{}",
    "{ 42 = '10.0.0.1', 1 = [] }",
    "{ serial = 'x', mac = ['!y'] }",
    "['a', 'b']",
    "['a', 'a', 1]",
    "[]",
    "'4c4c4544-0039-4e10-804e-b9c04f4d344a'",
    "'é'",
];

/// One section: keys that exist, in or out of place, with values that suit them or not.
fn section() -> impl Strategy<Value = String> {
    let known = SECTIONS.iter().flat_map(|section| section.keys);
    let keys: Vec<_> = known.chain(Kind::ALL.iter().flat_map(|kind| kind.keys())).copied().collect();
    let values = prop::sample::select(VALUES.to_vec());
    let entries = prop::collection::btree_map(prop::sample::select(keys), values, 0..KEYS_EACH_MAX);
    (prop::sample::select(HEADS.to_vec()), entries).prop_map(|(head, entries)| {
        let lines: String = entries.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        format!("{head}\n{lines}")
    })
}

/// Something that may stand anywhere by mistake.
fn piece() -> impl Strategy<Value = String> {
    let pieces: Vec<_> =
        VALUES.iter().chain(&HEADS).chain(&["", "\"", "'", "[", "]", "{", "}", "=", "\n", "#"]).collect();
    prop_oneof![
        prop::sample::select(pieces).prop_map(|piece| (*piece).to_owned()),
        any::<char>().prop_map(String::from),
    ]
}

/// Fixed, so that a failure is a failure every time.
fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 512,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x626f_6f74),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_sections_load_or_are_explained(sections in prop::collection::vec(section(), 0..SECTIONS_MAX)) {
        loads_or_explains(&sections.concat());
    }

    #[test]
    fn any_characters_load_or_are_explained(text in ".{0,64}") {
        loads_or_explains(&text);
    }

    #[test]
    fn a_config_with_a_piece_replaced_loads_or_is_explained(
        at in any::<prop::sample::Index>(),
        len in 0usize..40,
        piece in piece(),
    ) {
        let text = EVERY_KIND;
        let start = text.floor_char_boundary(at.index(text.len()));
        let end = text.ceil_char_boundary((start + len).min(text.len()));
        loads_or_explains(&format!("{}{piece}{}", &text[..start], &text[end..]));
    }
}
