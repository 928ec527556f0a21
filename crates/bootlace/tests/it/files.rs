//! The file plane on real folders, links and races.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bootlace::files::{Body, Content, FilePlane, OpenError, READ_BYTES, ReadNow};
use tempfile::TempDir;

/// A host's folders: `boot` is served, `loaders` and the file `other/ipxe.efi` may be followed into, and
/// nothing in `secret` may ever come out.
struct Host {
    dir: TempDir,
    plane: FilePlane,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["boot/debian", "loaders/efi", "other", "secret"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("boot/debian/linux"), "a kernel").unwrap();
        fs::write(at("loaders/undionly.kpxe"), "a loader").unwrap();
        fs::write(at("loaders/efi/deep.efi"), "a deep loader").unwrap();
        fs::write(at("other/ipxe.efi"), "an efi loader").unwrap();
        fs::write(at("other/private"), "SECRET").unwrap();
        fs::write(at("secret/shadow"), "SECRET").unwrap();
        symlink(at("other/ipxe.efi"), at("loaders/linked.efi")).unwrap();
        let follow = [at("loaders"), at("other/ipxe.efi"), at("not-installed")];
        let plane = FilePlane::new(&at("boot"), &follow).unwrap();
        Self { dir, plane }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.path("boot").join(name)).unwrap();
    }

    /// What a machine gets: the text, or the reason in short.
    fn get(&self, name: &str) -> Result<String, &'static str> {
        match self.plane.open(name) {
            Ok(content) => Ok(text(&content)),
            Err(OpenError::Absent) => Err("absent"),
            Err(OpenError::Refused(_)) => Err("refused"),
            Err(OpenError::Image(_)) => Err("a broken image"),
            Err(OpenError::Io(error)) => panic!("{name}: {error}"),
        }
    }
}

fn text(content: &Content) -> String {
    let Body::File(file) = &content.body else { panic!("not a file") };
    let mut bytes = vec![0; usize::try_from(content.len).unwrap()];
    let count = file.read_waiting(0, &mut bytes).unwrap();
    bytes.truncate(count);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn files_are_found_by_path_and_as_bare_loader_names() {
    let host = Host::new();
    assert_eq!(host.get("debian/linux").as_deref(), Ok("a kernel"));
    assert_eq!(host.get("undionly.kpxe").as_deref(), Ok("a loader"));
    assert_eq!(host.get("ipxe.efi").as_deref(), Ok("an efi loader"), "a file entry of `follow`");
    assert_eq!(host.get("linked.efi").as_deref(), Ok("an efi loader"), "from one entry into the other");
    assert_eq!(host.get("efi/deep.efi"), Err("absent"), "only bare names are looked up in `follow`");
    assert_eq!(host.get("private"), Err("absent"), "the neighbour of a file entry");
    assert_eq!(host.get("debian/linux/x"), Err("absent"));
    assert_eq!(host.get("debian"), Err("refused"), "a folder");
    fs::write(host.path("boot/undionly.kpxe"), "my own").unwrap();
    assert_eq!(host.get("undionly.kpxe").as_deref(), Ok("my own"), "boot_dir comes first");
    let inventory = host.plane.inventory(["undionly.kpxe", "ipxe.efi", "snponly.efi", "debian"]);
    let has = |name| inventory.has(name);
    assert!(has("undionly.kpxe") && has("ipxe.efi"));
    assert!(!has("snponly.efi") && !has("debian") && !has("linked.efi"));
}

#[test]
fn links_stay_beneath_boot_dir_or_lead_into_follow() {
    let host = Host::new();
    let cases = [
        ("relative", PathBuf::from("debian/linux"), Ok("a kernel")),
        ("absolute", host.path("boot/debian/linux"), Ok("a kernel")),
        ("loader", host.path("loaders/undionly.kpxe"), Ok("a loader")),
        ("dotted", PathBuf::from("../loaders/undionly.kpxe"), Ok("a loader")),
        ("efi", host.path("loaders/linked.efi"), Ok("an efi loader")),
        ("chained", PathBuf::from("loader"), Ok("a loader")),
        ("shadow", host.path("secret/shadow"), Err("refused")),
        ("climb", PathBuf::from("../secret/shadow"), Err("refused")),
        ("beside", host.path("loaders/../secret/shadow"), Err("refused")),
        ("private", host.path("other/private"), Err("refused")),
        ("passwd", PathBuf::from("/etc/passwd"), Err("refused")),
        ("process", PathBuf::from("/proc/self/root/etc/passwd"), Err("refused")),
        ("dangling", host.path("loaders/none"), Err("absent")),
        ("loop", PathBuf::from("loop"), Err("refused")),
        ("itself", host.path("boot/itself"), Err("refused")),
        ("follow-folder", host.path("loaders"), Err("refused")),
        ("folder", host.path("loaders/efi"), Err("refused")),
    ];
    for (name, target, _) in &cases {
        host.link(target, name);
    }
    for (name, _, expect) in &cases {
        assert_eq!(host.get(name).as_deref().map_err(|why| *why), *expect, "{name}");
    }
    assert_eq!(host.get("folder/deep.efi").as_deref(), Ok("a deep loader"), "a link in the middle of a path");
    host.link(host.path("secret"), "vault");
    assert_eq!(host.get("vault/shadow"), Err("refused"));
}

/// An image of `fixtures/iso`.
fn image() -> Vec<u8> {
    let text = include_str!("../../../../fixtures/iso/rock-ridge.txt");
    let mut lines = text.lines();
    let size = lines.next().and_then(|line| line.strip_prefix("size ")).unwrap();
    let mut image = vec![0; size.parse().unwrap()];
    for (offset, bytes) in lines.map(|line| line.split_once(' ').unwrap()) {
        let offset = usize::from_str_radix(offset, 16).unwrap();
        for (index, pair) in bytes.as_bytes().chunks(2).enumerate() {
            image[offset + index] = u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        }
    }
    image
}

#[test]
fn an_image_is_a_folder_too() {
    let host = Host::new();
    let mut image = image();
    fs::write(host.path("boot/debian/disc.iso"), &image).unwrap();
    fs::write(host.path("loaders/disc.iso"), &image).unwrap();
    fs::write(host.path("secret/disc.iso"), &image).unwrap();
    host.link(host.path("loaders/disc.iso"), "linked.iso");
    host.link(host.path("secret/disc.iso"), "secret.iso");
    for iso in ["debian/disc.iso", "linked.iso"] {
        assert_eq!(host.get(&format!("{iso}/vmlinuz")).as_deref(), Ok("a kernel\n"), "{iso}");
        assert_eq!(host.get(&format!("{iso}/empty")).as_deref(), Ok(""), "{iso}");
        assert_eq!(host.get(&format!("{iso}/install.amd")), Err("refused"), "a folder");
        assert_eq!(host.get(&format!("{iso}/none")), Err("absent"));
        assert_eq!(host.get(&format!("{iso}/out")), Err("a broken image"), "a link to /etc/passwd");
    }
    assert_eq!(host.get("disc.iso/vmlinuz"), Err("absent"), "in `follow` are loaders, not trees");
    assert_eq!(host.get("secret.iso/vmlinuz"), Err("absent"), "the image is no machine's business");
    let end = image.len() / 10;
    image.truncate(end);
    fs::write(host.path("boot/cut.iso"), &image).unwrap();
    assert_eq!(host.get("cut.iso/vmlinuz"), Err("a broken image"));
}

#[test]
fn only_regular_files_are_served() {
    let host = Host::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, host.path("boot/fifo"), rustix::fs::Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(host.path("boot/socket")).unwrap();
    assert_eq!(host.get("fifo"), Err("refused"));
    assert_eq!(host.get("socket"), Err("refused"));
}

/// Whoever may write to boot_dir swaps links as fast as it can: what comes out is the loader, never a file from
/// outside.
#[test]
fn a_link_that_is_swapped_during_the_lookup_gives_nothing_away() {
    let host = Host::new();
    let stop = AtomicBool::new(false);
    let (boot, loader, shadow) =
        (host.path("boot"), host.path("loaders/undionly.kpxe"), host.path("secret/shadow"));
    host.link(&loader, "swapped");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for target in [&shadow, &loader].into_iter().cycle() {
                symlink(target, boot.join("next")).unwrap();
                fs::rename(boot.join("next"), boot.join("swapped")).unwrap();
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let answers: Vec<_> = (0..2000).map(|_| host.get("swapped")).collect();
        stop.store(true, Ordering::Relaxed);
        for answer in answers {
            assert!(matches!(answer.as_deref(), Ok("a loader") | Err(&"refused")), "{answer:?}");
        }
    });
}

#[test]
fn the_folder_that_was_opened_is_the_one_that_is_served() {
    let host = Host::new();
    fs::rename(host.path("boot"), host.path("moved")).unwrap();
    symlink(host.path("secret"), host.path("boot")).unwrap();
    assert_eq!(host.get("debian/linux").as_deref(), Ok("a kernel"));
    assert_eq!(host.get("shadow"), Err("absent"));
}

#[test]
fn a_version_changes_with_the_file() {
    let host = Host::new();
    let first = host.plane.open("debian/linux").unwrap();
    assert_eq!(host.plane.open("debian/linux").unwrap().version, first.version);
    fs::write(host.path("boot/debian/linux"), "another kernel").unwrap();
    let second = host.plane.open("debian/linux").unwrap();
    assert_ne!(first.version, second.version);
    let etag = second.version.unwrap().etag;
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 8, "{etag}");
}

#[test]
fn reads_in_memory_need_no_thread_and_stop_at_the_length_of_the_opening() {
    let host = Host::new();
    let bytes: Vec<u8> = (0..2 * READ_BYTES + 100).map(|at| (at % 251) as u8).collect();
    fs::write(host.path("boot/image"), &bytes).unwrap();
    let content = host.plane.open("image").unwrap();
    fs::write(host.path("boot/image"), [&bytes[..], b"grown"].concat()).unwrap();
    let (mut read, mut buffer) = (Vec::new(), vec![0; 100_000]);
    loop {
        let count = match content.read_now(read.len() as u64, &mut buffer).unwrap() {
            ReadNow::Ready(0) => break,
            ReadNow::Ready(count) => count,
            ReadNow::WouldBlock => panic!("it was just written, so it is in the page cache"),
        };
        read.extend_from_slice(&buffer[..count]);
    }
    assert!(read == bytes);
    let script = Content::text("#!ipxe\n".to_owned(), "text/plain");
    assert_eq!(script.read_now(2, &mut buffer[..3]).unwrap(), ReadNow::Ready(3));
    assert_eq!(&buffer[..3], b"ipx");
    assert_eq!(script.read_now(7, &mut buffer).unwrap(), ReadNow::Ready(0));
}

#[test]
fn a_file_in_tmpfs_is_read_inline() {
    let shm = Path::new("/dev/shm");
    let Ok(dir) = tempfile::tempdir_in(shm) else { return };
    fs::write(dir.path().join("linux"), "in memory").unwrap();
    let plane = FilePlane::new(dir.path(), &[]).unwrap();
    let content = plane.open("linux").unwrap();
    let mut buffer = [0; 9];
    for _ in 0..2 {
        assert_eq!(content.read_now(0, &mut buffer).unwrap(), ReadNow::Ready(9));
        assert_eq!(&buffer, b"in memory");
    }
}

#[tokio::test]
async fn opening_from_a_task_gives_what_opening_in_a_thread_gives() {
    let host = Host::new();
    host.link(host.path("loaders/undionly.kpxe"), "loader");
    host.link(host.path("secret/shadow"), "shadow");
    let plane = Arc::new(host.plane);
    for _ in 0..2 {
        assert_eq!(text(&plane.open_async("debian/linux").await.unwrap()), "a kernel");
        assert_eq!(text(&plane.open_async("loader").await.unwrap()), "a loader");
        assert!(matches!(plane.open_async("shadow").await, Err(OpenError::Refused(_))));
        assert!(matches!(plane.open_async("none").await, Err(OpenError::Absent)));
    }
}
