//! `bootlace image` and `bootlace overlay`, on a folder of images without a server.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use bootlace_disk::{Disk, Generation, Generations, Image, Space};

use crate::world::folder;

const CONFIG: &str = r#"
state_dir = "state"
boot_dir = "boot"
images = "images"
default = "seat"
[boot.seat]
kind = "disk"
image = "golden"
[[iscsi.target]]
name = "iqn.2026-01.example:tools"
file = "images/tools.img"
mode = "read-only"
"#;

struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Self {
        let lab = Self(folder(CONFIG));
        for made in ["state/overlays", "state/manifests", "images"] {
            fs::create_dir_all(lab.path(made)).unwrap();
        }
        for (name, byte) in [("golden", 1), ("tools", 2), ("old", 3), ("spare", 4)] {
            fs::write(lab.path(&format!("images/{name}.img")), vec![byte; 8192]).unwrap();
        }
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn image(&self, arguments: &[&str]) -> Result<String, String> {
        self.bootlace("image", arguments)
    }

    fn bootlace(&self, noun: &str, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootlace"));
        command.arg(noun).args(arguments).arg("-c").arg(self.path("bootlace.toml"));
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        match output.status.code() {
            Some(0) => Ok(text(output.stdout)),
            Some(1) => Err(text(output.stderr)),
            code => panic!("{code:?}: {}", text(output.stderr)),
        }
    }

    fn open(&self, name: &str) -> Image {
        let file = format!("{name}.img");
        Image::open(&self.path("images").join(&file), &self.path("state/manifests").join(&file)).unwrap()
    }

    /// A disk of a machine's that lies over an image, with a block of its own.
    fn disk_over(&self, name: &str) {
        let generations = Generations::new(self.path("state/overlays"), None);
        let first = Generation { number: 1, token: 1 };
        let disk = generations.login("web1+seat", first, self.open(name).into(), 8192, Space::Unlimited, 0);
        Disk::from(disk.unwrap()).write(512, &[9; 512]).unwrap();
    }
}

#[test]
fn what_an_image_is_and_who_needs_it() {
    let lab = Lab::new();
    lab.disk_over("golden");
    let info: serde_json::Value =
        serde_json::from_str(&lab.image(&["info", "golden", "--json"]).unwrap()).unwrap();
    assert_eq!(info["format"], "raw");
    assert_eq!(info["size"], 8192);
    assert_eq!(info["id"], lab.open("golden").id().to_string());
    assert_eq!(info["boots"], serde_json::json!(["seat"]));
    assert_eq!(info["disks"], serde_json::json!(["web1+seat"]));
    let shown = lab.image(&["info", "tools.img"]).unwrap();
    assert!(shown.contains("iqn.2026-01.example:tools") && !shown.contains("boots"), "{shown}");
    assert!(lab.image(&["info", "absent"]).unwrap_err().contains("there is no image absent"));
}

#[test]
fn only_what_nobody_needs_is_removed() {
    let lab = Lab::new();
    lab.disk_over("old");
    // By another process, as a server is: what this one has open, those that other tests start have for a moment, too.
    let mut holder = Command::new("flock");
    holder.args(["--shared", "--no-fork"]).arg(lab.path("images/spare.img")).args([
        "sh",
        "-c",
        "echo held; cat",
    ]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut held = [0; 5];
    holder.stdout.as_mut().unwrap().read_exact(&mut held).unwrap();
    for (name, why) in
        [("golden", "boots name"), ("tools", "targets serve"), ("old", "web1+seat"), ("spare", "has")]
    {
        let refused = lab.image(&["rm", name]).unwrap_err();
        assert!(refused.contains(why), "{name}: {refused}");
        assert!(lab.path(&format!("images/{name}.img")).exists());
    }
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    lab.image(&["rm", "spare"]).unwrap();
    assert!(!lab.path("images/spare.img").exists() && !lab.path("state/manifests/spare.img").exists());
    assert!(lab.path("images/old.img").exists());
}

#[test]
fn what_is_imported_is_raw_and_replaces_nothing() {
    let lab = Lab::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/qcow2/plain.qcow2");
    let file = file.to_str().unwrap();
    let said = lab.image(&["import", file, "debian-12"]).unwrap();
    assert!(said.contains("debian-12.img"), "{said}");
    let (imported, original) = (lab.open("debian-12"), Image::open_afresh(Path::new(file)).unwrap());
    let content = |image: &Image| {
        let mut bytes = vec![0; usize::try_from(image.size()).unwrap()];
        image.read(0, &mut bytes).unwrap();
        bytes
    };
    assert!(content(&imported) == content(&original));
    let before = fs::read(lab.path("images/golden.img")).unwrap();
    assert!(lab.image(&["import", file, "golden"]).unwrap_err().contains("exists already"));
    assert_eq!(fs::read(lab.path("images/golden.img")).unwrap(), before);
    for (name, why) in [("../golden", "no name for an image"), (".hidden", "no name"), ("", "no name")] {
        assert!(lab.image(&["import", file, name]).unwrap_err().contains(why), "{name}");
    }
    let config = lab.path("bootlace.toml").with_extension("absent");
    assert!(lab.image(&["import", config.to_str().unwrap()]).unwrap_err().contains("cannot be used"));
}

#[test]
fn a_disk_is_promoted_over_the_current_version_only() {
    let lab = Lab::new();
    let golden = lab.path("images/golden.img");
    let (before, mut after) = (fs::read(&golden).unwrap(), fs::read(&golden).unwrap());
    after[512..1024].fill(9);
    let nothing = lab.bootlace("overlay", &["promote", "web1", "seat"]).unwrap_err();
    assert!(nothing.contains("web1 has written nothing for seat"), "{nothing}");
    lab.disk_over("golden");
    let said = lab.bootlace("overlay", &["promote", "web1", "seat"]).unwrap();
    assert!(said.contains("overlay reset web1 seat"), "{said}");
    assert!(fs::read(&golden).unwrap() == after);
    let images = fs::read_dir(lab.path("images")).unwrap().map(|entry| entry.unwrap().path());
    let former: Vec<_> = images.filter(|path| fs::read(path).unwrap() == before).collect();
    assert!(matches!(&former[..], [one] if one.to_str().unwrap().contains("/golden-")), "{former:?}");
    // It is found by its content once nobody has touched it for a while.
    File::options().write(true).open(&former[0]).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let refused = lab.bootlace("overlay", &["promote", "web1", "seat"]).unwrap_err();
    assert!(refused.contains("over a former version") && refused.contains("overlay export"), "{refused}");
    assert!(fs::read(&golden).unwrap() == after);
    let copy = lab.path("copy.img");
    lab.bootlace("overlay", &["export", "web1", "seat", copy.to_str().unwrap()]).unwrap();
    assert!(fs::read(copy).unwrap() == after);
    let other = lab.bootlace("overlay", &["promote", "web1", "absent"]).unwrap_err();
    assert!(other.contains("absent is no boot of kind disk"), "{other}");
}

/// Machines would only say that nothing can be started.
#[test]
fn what_is_no_image_yet_is_not_imported() {
    let lab = Lab::new();
    for (start, fix) in [
        (&b"\xfd7zXZ\0\0\0\0"[..], "xz -d"),
        (b"QFI\xfb\0\0\0\x03", "rename it"),
        (b"vhdxfile", "qemu-img convert"),
    ] {
        let file = lab.path("download.img");
        fs::write(&file, [start, &[0; 4096]].concat()).unwrap();
        let refused = lab.image(&["import", file.to_str().unwrap(), "new"]).unwrap_err();
        assert!(refused.contains(fix), "{refused}");
        assert!(!lab.path("images/new.img").exists());
    }
    fs::write(lab.path("tiny.img"), []).unwrap();
    let tiny = lab.path("tiny.img");
    assert!(lab.image(&["import", tiny.to_str().unwrap()]).unwrap_err().contains("is empty"));
    fs::write(&tiny, [1]).unwrap();
    lab.image(&["import", tiny.to_str().unwrap()]).unwrap();
    assert_eq!(lab.open("tiny").size(), 512);
}

#[test]
fn bytes_that_changed_by_themselves_are_noticed() {
    let lab = Lab::new();
    assert!(lab.image(&["verify", "spare"]).unwrap().contains("nothing was known"));
    let id = lab.open("spare").id().to_string();
    let manifest = lab.path("state/manifests/spare.img");
    let age = || {
        let later = SystemTime::now() + Duration::from_secs(3600);
        File::options().write(true).open(&manifest).unwrap().set_modified(later).unwrap();
    };
    age();
    assert!(lab.image(&["verify", "spare"]).unwrap().contains("as it was"));
    // A disk that forgets cannot be had here: what is known of the image is another's.
    let text = fs::read_to_string(&manifest).unwrap();
    let (stamp, _) = text.split_once("sha256 ").unwrap();
    let other = "ab".repeat(32);
    let sum = crc32c(format!("{stamp}{other}").as_bytes());
    fs::write(&manifest, format!("{stamp}sha256 {other}\ncrc32c {sum:08x}\n")).unwrap();
    age();
    let damaged = lab.image(&["verify", "spare"]).unwrap_err();
    assert!(damaged.contains("is damaged") && damaged.contains(&other) && damaged.contains(&id), "{damaged}");
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}
