//! The signed loaders: unpacked whole or not at all, pinned, and served only as pinned.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use bootlace::files::FilePlane;
use bootlace::loaders::{LOADER_BYTES_MAX, Pins, SET, State, Sum, home, install, unpack, verify};
use bootlace_core::config;
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use crate::world::{CONFIG, folder};

const FILES: [&str; 6] = [
    "arm64-sb/ipxe.efi",
    "arm64-sb/shimaa64.efi",
    "arm64-sb/snponly.efi",
    "x86_64-sb/ipxe.efi",
    "x86_64-sb/shimx64.efi",
    "x86_64-sb/snponly.efi",
];

/// A 64-bit EFI program with so many bytes of certificates and a name in it that tells it from others.
fn program(certificates: u32, name: &str) -> Vec<u8> {
    const PE: usize = 0x40;
    const OPTIONAL: usize = PE + 24;
    let mut bytes = vec![0; 1024];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x40;
    bytes[PE..PE + 4].copy_from_slice(b"PE\0\0");
    bytes[OPTIONAL..OPTIONAL + 2].copy_from_slice(&0x20b_u16.to_le_bytes());
    bytes[OPTIONAL + 108] = 16;
    bytes[OPTIONAL + 112 + 36..][..4].copy_from_slice(&certificates.to_le_bytes());
    bytes.extend(name.as_bytes());
    bytes
}

/// A release archive in the making.
struct Release(Builder<GzEncoder<Vec<u8>>>);

impl Release {
    fn new() -> Self {
        Self(Builder::new(GzEncoder::new(Vec::new(), Compression::fast())))
    }

    fn with(mut self, name: &str, kind: EntryType, bytes: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        // As bytes, since the builder refuses names that lead out.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        if kind == EntryType::Symlink {
            header.set_link_name("shimx64.efi").unwrap();
        }
        header.set_cksum();
        self.0.append(&header, bytes).unwrap();
        self
    }

    fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.with(name, EntryType::Regular, bytes)
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap().finish().unwrap()
    }
}

/// As upstream makes them: more than is used, links beside the shims.
fn release(version: &str) -> Vec<u8> {
    let mut release = Release::new()
        .with("ipxeboot/", EntryType::Directory, b"")
        .file("ipxeboot/x86_64/ipxe.efi", b"unsigned")
        .with("ipxeboot/x86_64-sb/snponly-shim.efi", EntryType::Symlink, b"")
        .file("ipxeboot/undionly.kpxe", b"for a BIOS");
    for name in FILES {
        release = release.file(&format!("ipxeboot/{name}"), &program(8, &format!("{version} {name}")));
    }
    release.bytes()
}

fn pinned(archive: &[u8]) -> (Pins, bootlace::loaders::Unpacked) {
    let files = unpack(archive).unwrap();
    let sums = files.iter().map(|(name, bytes)| ((*name).to_owned(), Sum::of(bytes))).collect();
    (Pins { archive: Sum::of(archive), release: "a test".to_owned(), files: sums }, files)
}

fn installed(version: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (pins, files) = pinned(&release(version));
    install(dir.path(), &pins, &files).unwrap();
    dir
}

/// The version of a set that is whole and as pinned.
#[track_caller]
fn version(home: &Path) -> String {
    let health = verify(home).unwrap().unwrap();
    assert!(health.is_fine() && health.files.len() == FILES.len(), "{:?}", health.files);
    let of = |name: &str| {
        let bytes = fs::read(home.join(SET).join(name)).unwrap();
        let text = String::from_utf8(bytes[1024..].to_vec()).unwrap();
        text.split_once(' ').unwrap().0.to_owned()
    };
    let version = of(FILES[0]);
    assert!(FILES.iter().all(|name| of(name) == version), "a mixture of two releases");
    version
}

#[test]
fn a_release_is_unpacked_pinned_and_whole() {
    let archive = release("1");
    assert_eq!(unpack(&archive).unwrap().into_keys().collect::<Vec<_>>(), FILES);
    let dir = installed("1");
    assert_eq!(version(dir.path()), "1");
    let lock = fs::read_to_string(dir.path().join(SET).join("loaders.lock")).unwrap();
    assert!(lock.contains(&format!("# archive: {}", Sum::of(&archive))), "{lock}");
    let checked = Command::new("sha256sum")
        .args(["--check", "--quiet", "loaders.lock"])
        .current_dir(dir.path().join(SET))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn an_archive_with_anything_wrong_is_not_used() {
    let but = |skip: &str, name: &str, kind: EntryType, bytes: &[u8]| {
        let mut release = Release::new();
        for file in FILES.iter().filter(|file| **file != skip) {
            release = release.file(&format!("ipxeboot/{file}"), &program(8, file));
        }
        release.with(name, kind, bytes).bytes()
    };
    let shim = "x86_64-sb/shimx64.efi";
    let in_place = "ipxeboot/x86_64-sb/shimx64.efi";
    let fat = vec![0; LOADER_BYTES_MAX as usize + 1];
    let cases = [
        (but(shim, in_place, EntryType::Symlink, b""), "is a link or something else"),
        (but(shim, in_place, EntryType::Link, b""), "is a link or something else"),
        (but(shim, in_place, EntryType::Regular, b"#!ipxe\n"), "is no EFI program that carries a signature"),
        (
            but(shim, in_place, EntryType::Regular, &program(0, "")),
            "is no EFI program that carries a signature",
        ),
        (but(shim, in_place, EntryType::Regular, &fat), "more than a loader"),
        (but("", in_place, EntryType::Regular, &program(8, "")), "it has x86_64-sb/shimx64.efi twice"),
        (but(shim, "ipxeboot/other", EntryType::Regular, b""), "it lacks x86_64-sb/shimx64.efi"),
        (but("", "../x86_64-sb/ipxe.efi", EntryType::Regular, b""), "leads out of its folder"),
        (but("", "ipxeboot/../../etc/x", EntryType::Regular, b""), "leads out of its folder"),
        (but("", "/etc/x86_64-sb/ipxe.efi", EntryType::Regular, b""), "leads out of its folder"),
        (Release::new().bytes(), "it lacks"),
        (b"no gzip".to_vec(), "it cannot be unpacked"),
        (Vec::new(), "it cannot be unpacked"),
    ];
    for (archive, said) in cases {
        let error = format!("{:#}", unpack(&archive).unwrap_err());
        assert!(error.contains(said), "{error:?} for {said:?}");
    }
}

#[test]
fn an_archive_that_ends_early_or_was_damaged_is_not_used() {
    let whole = release("1");
    for len in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
        assert!(unpack(&whole[..len]).is_err(), "{len} of {} bytes", whole.len());
    }
    let mut damaged = whole;
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    assert!(unpack(&damaged).is_err(), "gzip's checksum is wrong");
}

#[test]
fn an_architecture_that_is_not_there_is_none() {
    let mut release = Release::new();
    for file in FILES.iter().filter(|file| file.starts_with("x86_64")) {
        release = release.file(&format!("v2/{file}"), &program(8, file));
    }
    assert_eq!(unpack(&release.bytes()).unwrap().len(), 3);
}

#[test]
fn whenever_the_power_fails_there_is_one_whole_release() {
    let dir = installed("1");
    let at = |name: &str| dir.path().join(format!("{SET}{name}"));
    let (pins, files) = pinned(&release("2"));
    // What each step of an installation leaves, the later ones as the earlier ones of the next.
    let half = || {
        fs::create_dir_all(at(".part").join("x86_64-sb")).unwrap();
        fs::write(at(".part").join("x86_64-sb/ipxe.efi"), "half").unwrap();
    };
    half();
    assert_eq!(version(dir.path()), "1", "while it is written");
    install(dir.path(), &pins, &files).unwrap();
    assert_eq!(version(dir.path()), "2");
    assert!(!at(".part").exists() && at(".old").exists());
    // Exchanged, and the former one not put away.
    fs::rename(at(".old"), at(".part")).unwrap();
    assert_eq!(version(dir.path()), "2");
    // The first one, written and not yet in its place.
    fs::remove_dir_all(at(".part")).unwrap();
    fs::rename(at(""), at(".part")).unwrap();
    assert_eq!(verify(dir.path()).unwrap(), None);
    install(dir.path(), &pins, &files).unwrap();
    assert_eq!(version(dir.path()), "2");
    install(dir.path(), &pins, &files).unwrap();
    assert_eq!(version(dir.path()), "2", "twice is once");
}

#[test]
fn what_differs_is_told_and_its_architecture_not_served() {
    let toml = CONFIG;
    let dir = folder(toml);
    let source =
        config::Source { name: "bootlace.toml".into(), folder: dir.path().to_owned(), text: toml.to_owned() };
    let there = |path: &std::path::PathBuf| path.exists() || !config::may_be_absent(path);
    let texts = config::wanted(&source).into_iter().filter(there).map(|path| {
        let text = fs::read_to_string(&path).map_err(|error| error.to_string());
        (path, text)
    });
    let config = config::load(&source, &texts.collect()).unwrap().config;
    let home = home(&config.state_dir);
    let (pins, files) = pinned(&release("1"));
    install(&home, &pins, &files).unwrap();
    let served = |name: &str| FilePlane::of(&config).unwrap().open(name).is_ok();
    assert!(served("ipxe/x86_64-sb/snponly-shim.efi") && served("ipxe/arm64-sb/snponly.efi"));
    assert!(!served("ipxe/x86_64-sb/loaders.lock") && !served("ipxe/loaders.lock"));

    let set = home.join(SET);
    fs::write(set.join("x86_64-sb/ipxe.efi"), program(8, "another")).unwrap();
    fs::write(set.join("x86_64-sb/more.efi"), "").unwrap();
    fs::remove_file(set.join("arm64-sb/ipxe.efi")).unwrap();
    fs::remove_file(set.join("arm64-sb/snponly.efi")).unwrap();
    symlink("/etc/passwd", set.join("arm64-sb/snponly.efi")).unwrap();
    let health = verify(&home).unwrap().unwrap();
    let state = |name: &str| &health.files.iter().find(|(file, _)| file == name).unwrap().1;
    assert!(matches!(state("x86_64-sb/ipxe.efi"), State::Differs { .. }));
    assert_eq!(*state("x86_64-sb/more.efi"), State::Extra);
    assert_eq!(*state("x86_64-sb/shimx64.efi"), State::Fine);
    assert_eq!(*state("arm64-sb/ipxe.efi"), State::Missing);
    assert!(matches!(state("arm64-sb/snponly.efi"), State::Unreadable(_)));
    for name in ["ipxe/x86_64-sb/snponly-shim.efi", "ipxe/x86_64-sb/snponly.efi", "ipxe/arm64-sb/snponly.efi"]
    {
        assert!(!served(name), "{name}");
    }
}

#[test]
fn the_command_keeps_what_the_sum_vouches_for() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, sum) = (release("1"), Sum::of(&release("1")).to_string());
    let file = dir.path().join("ipxeboot.tar.gz");
    fs::write(&file, &archive).unwrap();
    let (file, to) = (file.to_str().unwrap(), dir.path().join("loaders"));
    let to = to.to_str().unwrap();
    let run = |arguments: &[&str], input: &[u8]| {
        let mut bootlace = Command::new(env!("CARGO_BIN_EXE_bootlace"));
        let pipes = bootlace.arg("loaders").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = pipes.stderr(Stdio::piped()).spawn().unwrap();
        // Whether it is read to its end is the command's business.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), said)
    };
    let unknown = run(&["fetch", "--from", file, "--to", to], b"");
    assert!(unknown.0 == 1 && unknown.1.contains(&format!("--sha256 {sum}")), "{unknown:?}");
    let other = "0".repeat(64);
    let wrong = run(&["fetch", "--from", file, "--to", to, "--sha256", &other], b"");
    assert!(wrong.0 == 1 && wrong.1.contains("is not what --sha256 says"), "{wrong:?}");
    assert!(!Path::new(to).exists(), "nothing of it was looked at");
    let nowhere = run(&["fetch", "--to", to], b"");
    assert!(nowhere.0 == 1 && nowhere.1.contains("curl -fL https://"), "{nowhere:?}");
    let none = run(&["verify", to], b"");
    assert!(none.0 == 1 && none.1.contains("bootlace loaders fetch"), "{none:?}");

    let fetched = run(&["fetch", "--from", "-", "--to", to, "--sha256", &sum], &archive);
    assert!(fetched.0 == 0 && fetched.1.contains("x86_64-sb/shimx64.efi"), "{fetched:?}");
    let fine = run(&["verify", to], b"");
    assert!(fine.0 == 0 && fine.1.contains("arm64-sb/ipxe.efi: fine"), "{fine:?}");
    fs::write(Path::new(to).join(SET).join("arm64-sb/ipxe.efi"), "tampered with").unwrap();
    let bad = run(&["verify", to], b"");
    assert!(
        bad.0 == 1 && bad.1.contains("arm64-sb/ipxe.efi: differs") && bad.1.contains("1 file in"),
        "{bad:?}"
    );
}

#[test]
fn the_list_says_what_there_is() {
    let dir = folder(CONFIG);
    fs::write(dir.path().join("boot/undionly.kpxe"), "for a BIOS").unwrap();
    let (pins, files) = pinned(&release("1"));
    install(&home(&dir.path().join("state")), &pins, &files).unwrap();
    let config = dir.path().join("bootlace.toml");
    let list = |more: &[&str]| {
        let mut bootlace = Command::new(env!("CARGO_BIN_EXE_bootlace"));
        let output = bootlace.args(["loaders", "list", "-c"]).arg(&config).args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let rows: Vec<serde_json::Value> = serde_json::from_str(&list(&["--json"])).unwrap();
    let row = |firmware: &str, name: &str| {
        rows.iter().find(|row| row["firmware"] == firmware && row["name"] == name).unwrap()
    };
    let bios = row("bios", "undionly.kpxe");
    assert_eq!((&bios["default"], &bios["file"]["signed"]), (&true.into(), &false.into()));
    assert_eq!(bios["supplier"], serde_json::json!({ "package": "ipxe" }));
    assert_eq!(bios["file"]["sha256"], Sum::of(b"for a BIOS").to_string());
    let shim = row("uefi-x64", "ipxe/x86_64-sb/snponly-shim.efi");
    assert_eq!((&shim["supplier"], &shim["file"]["signed"]), (&"fetch".into(), &true.into()));
    let secure = row("uefi-x64", "shimx64.efi");
    assert_eq!((&secure["file"], &secure["default"]), (&serde_json::Value::Null, &false.into()));
    let text = list(&[]);
    assert!(text.contains("package shim-signed") && text.contains("missing"), "{text}");
}

#[test]
fn the_check_says_what_is_missing_for_the_signed_ipxe() {
    let machine = "[[machine]]\nname = \"web2\"\nmac = \"52:54:00:00:00:02\"\nboot = \"rescue\"\nloader = \"ipxe-signed\"\n";
    let dir = folder(&format!("{CONFIG}{machine}"));
    let check = || {
        let mut bootlace = Command::new(env!("CARGO_BIN_EXE_bootlace"));
        let output = bootlace.args(["check", "-c"]).arg(dir.path().join("bootlace.toml")).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = check();
    assert!(said.contains("fetch it with `bootlace loaders fetch`"), "{said}");
    assert!(said.contains("boot rescue has no `shim`"), "{said}");
    let (pins, files) = pinned(&release("1"));
    install(&home(&dir.path().join("state")), &pins, &files).unwrap();
    let said = check();
    assert!(!said.contains("loaders fetch") && said.contains("boot rescue has no `shim`"), "{said}");
}
