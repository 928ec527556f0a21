//! Images of optical discs as folders: every file in them as bsdtar unpacks it, and a boot out of one.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::initrd::{Initrd, NETWORK_MODULES};
use bootlace_lab::{Firmware, Host, Machine};

use super::served::SERVER;
use super::stage::{Files, Stage, WEB1_MAC, web1_boots};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "iso-serves",
        shows: "each file of ISO 9660 and UDF images by HTTP and TFTP as bsdtar unpacks it, and a kernel booted out of one",
        run: serves,
    },
    Scenario {
        name: "iso-large",
        shows: "a file of more than 4 GiB inside images: whole, and ranges of it across the parts that it is in",
        run: large,
    },
];

/// A machine that boots a kernel out of an image.
const BOOTS: &str = r#"
[boot.rescue]
kind = "linux"
kernel = "discs/rock-ridge.iso/install.amd/vmlinuz"
initrd = ["discs/rock-ridge.iso/install.amd/initrd.gz"]
cmdline = "console=ttyS0 hostname={{ machine.name }}"
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
boot = "rescue"
"#;

/// How images are made, each of the same tree.
const IMAGES: &[(&str, &str, &[&str])] = &[
    ("rock-ridge", "xorriso", &["-as", "mkisofs", "-quiet", "-R", "-J"]),
    ("relocated", "genisoimage", &["-quiet", "-R"]),
    ("joliet", "genisoimage", &["-quiet", "-J", "-joliet-long", "-D"]),
    ("udf", "genisoimage", &["-quiet", "-R", "-D", "-udf"]),
    ("plain", "genisoimage", &["-quiet", "-D", "-iso-level", "2"]),
];

fn serves(context: &Context) -> Result<()> {
    let tree = context.dir().join("tree");
    plant(context, &tree)?;
    let files = Files::new(context, BOOTS)?;
    let discs = context.dir().join("boot/discs");
    fs::create_dir(&discs)?;
    for (name, program, arguments) in IMAGES {
        let image = discs.join(format!("{name}.iso"));
        run(Command::new(program).args(*arguments).arg("-o").arg(&image).arg(&tree))?;
    }
    let stage = files.serve()?;
    let client = stage.lan.host("client", "10.188.0.20/24")?;
    let boot = stage.switch_on(&Machine::new("web1", WEB1_MAC, Firmware::SeaBios))?;
    for (name, _, _) in IMAGES {
        let count = compare(&stage, &client, &discs.join(format!("{name}.iso")))?;
        context.note(&format!("{name}: {count} files as bsdtar unpacks them"));
    }
    web1_boots(context, &boot.machine)?;
    boot.went_as_foretold(&stage)
}

/// The tree of the images: what installers have, and what readers of such images get wrong.
fn plant(context: &Context, tree: &Path) -> Result<()> {
    let deep = tree.join("1/2/3/4/5/6/7/8/9/10");
    for folder in [&tree.join("install.amd"), &tree.join("pool"), &deep] {
        fs::create_dir_all(folder)?;
    }
    let guest = context.guest()?;
    fs::copy(guest.image(), tree.join("install.amd/vmlinuz"))?;
    let initrd = Initrd { modules: NETWORK_MODULES, commands: "", files: &[] };
    initrd.write(&guest, &tree.join("install.amd/initrd.gz"))?;
    for number in 0..300 {
        let text = format!("package {number}\n").repeat(number);
        fs::write(tree.join(format!("pool/package-{number}_1.0-1_amd64.deb")), text)?;
    }
    fs::write(deep.join("file.txt"), "deep\n")?;
    fs::write(tree.join("empty.txt"), "")?;
    fs::write(tree.join("Grüße.txt"), "grüße\n")?;
    fs::write(tree.join(format!("{}.txt", "n".repeat(60))), "a long name\n")?;
    symlink("install.amd/vmlinuz", tree.join("kernel"))?;
    symlink("install.amd", tree.join("install"))?;
    Ok(())
}

/// Fetches every file of an image and holds it against what bsdtar makes of it. Says how many there were.
fn compare(stage: &Stage<'_>, client: &Host, image: &Path) -> Result<usize> {
    let name = image.file_stem().and_then(|stem| stem.to_str()).context("an image has a name")?;
    let unpacked = stage.context.dir().join(format!("unpacked-{name}"));
    fs::create_dir(&unpacked)?;
    run(Command::new("bsdtar").env("LC_ALL", "C.UTF-8").arg("-xf").arg(image).arg("-C").arg(&unpacked))?;
    let mut names = Vec::new();
    walk(&unpacked, Path::new(""), &mut names)?;
    ensure!(names.len() >= 300, "bsdtar found only {} files in {name}", names.len());

    let fetched = stage.context.dir().join(format!("fetched-{name}"));
    fs::create_dir(&fetched)?;
    // A transfer by TFTP waits for each of its blocks: of the small files only every tenth goes that way.
    let by_tftp = |index: usize, name: &Path| index.is_multiple_of(10) || name.ends_with("file.txt");
    let mut config = String::new();
    for (index, file) in names.iter().enumerate() {
        let scheme = if by_tftp(index, file) { "tftp" } else { "http" };
        let url = format!("{scheme}://{SERVER}/discs/{name}.iso/{}", percent_encoded(file));
        config += &format!("url = \"{url}\"\noutput = \"{}\"\n", fetched.join(index.to_string()).display());
    }
    let list = stage.context.dir().join(format!("{name}.curl"));
    fs::write(&list, config)?;
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail-early", "--fail", "--tftp-blksize", "1428", "--config"]);
    let output = client.namespace().output(curl.arg(&list))?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    for (index, file) in names.iter().enumerate() {
        // curl writes no file where nothing came.
        let got = fs::read(fetched.join(index.to_string())).unwrap_or_default();
        ensure!(got == fs::read(unpacked.join(file))?, "{name}: {} is another", file.display());
    }
    Ok(names.len())
}

/// All files below a folder, also those that links lead to.
fn walk(root: &Path, folder: &Path, names: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let name = folder.join(entry?.file_name());
        let path = root.join(&name);
        if path.metadata()?.is_file() {
            names.push(name);
        } else if path.is_dir() {
            walk(root, &name, names)?;
        }
    }
    names.sort();
    Ok(())
}

fn percent_encoded(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let text = path.to_string_lossy();
    let encoded = text
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    encoded.collect()
}

const LARGE_BYTES: u64 = (4 << 30) + 5000;

fn large(context: &Context) -> Result<()> {
    let tree = context.dir().join("tree");
    fs::create_dir(&tree)?;
    let path = tree.join("large.img");
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    file.set_len(LARGE_BYTES)?;
    // Around the end of the largest part that ISO 9660 can say, and at both ends.
    for offset in [0, (4 << 30) - 4096, (4 << 30) - 1, LARGE_BYTES - 7] {
        file.write_all_at(b"MARKER!", offset)?;
    }
    let stage = Files::new(context, "")?.serve()?;
    let client = stage.lan.host("client", "10.188.0.20/24")?;
    let makers: &[(&str, &[&str])] = &[
        ("xorriso", &["-as", "mkisofs", "-quiet", "-R", "-iso-level", "3"]),
        ("genisoimage", &["-quiet", "-R", "-udf", "-allow-limited-size"]),
    ];
    for (program, arguments) in makers {
        let image = context.dir().join("boot/large.iso");
        run(Command::new(program).args(*arguments).arg("-o").arg(&image).arg(&tree))?;
        let url = format!("http://{SERVER}/large.iso/large.img");
        let whole = client.namespace().output(
            Command::new("bash").args(["-c", &format!("curl -sSf {url} | cmp - \"$0\"")]).arg(&path),
        )?;
        ensure!(whole.status.success(), "{program}: {}", String::from_utf8_lossy(&whole.stderr));
        let border = (4u64 << 30) - 4100;
        let mut curl = Command::new("curl");
        let range = format!("{border}-{}", border + 8191);
        let part = client.namespace().output(curl.args(["-sSf", "--range", &range, &url]))?;
        let mut expected = vec![0; 8192];
        file.read_exact_at(&mut expected, border)?;
        ensure!(part.stdout == expected, "{program}: the range {range} is another");
        context.note(&format!("{program}: {LARGE_BYTES} bytes are the same"));
        fs::remove_file(image)?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| {
        format!("{command:?} does not start: `cargo xtask setup` installs what is missing")
    })?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
