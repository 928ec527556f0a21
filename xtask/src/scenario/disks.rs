//! Machines with disks of the server's.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::initrd::Initrd;
use bootlace_lab::{Disk, Firmware, Host, Lan, Machine};

use super::context::{BOOT_LIMIT, STEP_LIMIT};
use super::served::{SERVER, Served};
use super::stage::{Boot, Files, Stage};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "disk-own",
        shows: "two machines boot from one image and write to it, one keeps that and one is reset, also over a kill and a restart of the server; what the one wrote then becomes the image of both",
        run: own,
    },
    Scenario {
        name: "disk-kernel",
        shows: "Debian's kernel and open-iscsi find by iBFT the disk that iPXE attached, with mutual CHAP, and what was synced before the plug was pulled",
        run: |context| kernel(context, Firmware::SeaBios),
    },
    Scenario {
        name: "disk-kernel-ovmf",
        shows: "the same by UEFI: the iBFT is then a table of ACPI that ipxe.efi made",
        run: |context| kernel(context, Firmware::Ovmf),
    },
    Scenario {
        name: "disk-kills",
        shows: "what QEMU's initiator wrote to a machine's disk, flushed or not, is there after each of fifty kills of the server",
        run: kills,
    },
];

const NETWORK: &str = r#"
images = "images"
[dhcp]
mode = "server"
authoritative = true
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.70"]
"#;
const BOOTS: &str = r#"
[boot.kept]
kind = "disk"
image = "golden"
[boot.fresh]
kind = "disk"
image = "golden"
mode = "reset"
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
boot = "kept"
[[machine]]
name = "web2"
mac = ["52:54:00:12:34:58"]
boot = "fresh"
"#;
const SAYS: &str = "BOOTLACE-LAB starts: ";

fn own(context: &Context) -> Result<()> {
    let images = context.dir().join("images");
    fs::create_dir(&images)?;
    let image = images.join("golden.img");
    Disk::that_counts(SAYS, &image)?;
    let before = fs::read(&image)?;
    let mut stage = Files::on(context, NETWORK, BOOTS)?.serve()?;
    let machine =
        |name: &str, last: u8| Machine::new(name, &format!("52:54:00:12:34:{last}"), Firmware::SeaBios);
    let (web1, web2) = (machine("web1", 57), machine("web2", 58));
    // The script that waits for the image would not be as foretold.
    stage.server.log().wait_for("sha256", STEP_LIMIT)?;
    let boots = [stage.switch_on(&web1)?, stage.switch_on(&web2)?];
    starts(&stage, &boots, [1, 1])?;
    let listed = stage.server.ask(&["overlay", "list"])?;
    context.note(&listed);
    ensure!(listed.contains("golden.img") && listed.contains("in use"), "{listed}");
    drop(boots);
    // Neither machine has flushed anything: iPXE never does.
    stage.server.kill()?;
    stage.server.revive()?;
    let boots = [stage.switch_on(&web1)?, stage.switch_on(&web2)?];
    starts(&stage, &boots, [2, 1])?;
    drop(boots);
    stage.server.end()?;
    stage.server.revive()?;
    starts(&stage, &[stage.switch_on(&web1)?, stage.switch_on(&web2)?], [3, 1])?;
    ensure!(fs::read(&image)? == before, "somebody wrote into the image");
    promoted(stage, &images, [&web1, &web2])
}

/// What the first machine wrote becomes the image of both, with and without a server that runs.
fn promoted(mut stage: Stage<'_>, images: &Path, machines: [&Machine; 2]) -> Result<()> {
    let [image, copy] = ["golden.img", "copy.img"].map(|name| images.join(name));
    let before = fs::read(&image)?;
    stage.server.end()?;
    let to = copy.to_str().context("a path of the lab's")?;
    stage.context.note(&stage.server.ask(&["overlay", "export", "web1", "kept", to])?);
    ensure!(fs::read(&image)? == before && fs::read(&copy)? != before, "the copy is not what web1 wrote");
    stage.server.revive()?;
    let said = stage.server.ask(&["overlay", "promote", "web1", "kept"])?;
    stage.context.note(&said);
    ensure!(said.contains("overlay reset web1 kept"), "{said}");
    ensure!(fs::read(&image)? == fs::read(&copy)?, "what was promoted is not what was exported");
    let names = fs::read_dir(images)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let former = names.iter().find(|path| ![&image, &copy].contains(path));
    ensure!(
        fs::read(former.context("the former version has no name")?)? == before,
        "that is not the former version"
    );
    stage.server.ask(&["overlay", "reset", "web1", "kept"])?;
    let boots = machines.map(|machine| stage.switch_on(machine));
    let [web1, web2] = boots;
    counted(&stage, &[web1?, web2?], [4, 4])
}

/// Waits until both have started from their disks, for how many times in all.
fn starts(stage: &Stage<'_>, boots: &[Boot; 2], counts: [u8; 2]) -> Result<()> {
    counted(stage, boots, counts)?;
    boots.iter().try_for_each(|boot| boot.went_as_foretold(stage))
}

fn counted(stage: &Stage<'_>, boots: &[Boot; 2], counts: [u8; 2]) -> Result<()> {
    for (boot, count) in boots.iter().zip(counts) {
        let line = boot.machine.console().line_from(SAYS, BOOT_LIMIT)?;
        stage.context.note(&format!("{}: {line}", boot.mac));
        ensure!(line.trim_end().ends_with(&format!("{SAYS}{count}")), "{line} instead of {count}");
    }
    Ok(())
}

/// Debian's packages that open-iscsi's small initiator is of, and what is taken of each.
pub(super) const ISCSISTART: [(&str, &str); 7] = [
    ("open-iscsi", "sbin/iscsistart"),
    ("libopeniscsiusr", "usr/lib/x86_64-linux-gnu/libopeniscsiusr.so.0.2.0"),
    ("libssl3", "usr/lib/x86_64-linux-gnu/libcrypto.so.3"),
    ("libkmod2", "usr/lib/x86_64-linux-gnu/libkmod.so.2"),
    ("libzstd1", "usr/lib/x86_64-linux-gnu/libzstd.so.1"),
    ("liblzma5", "lib/x86_64-linux-gnu/liblzma.so.5"),
    ("libc6", "lib/x86_64-linux-gnu/libc.so.6"),
];
/// Of the last package, what starts programs.
const LOADER: &str = "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
const KERNEL: &str = r#"
[boot.seat]
kind = "disk"
image = "empty"
kernel = "vmlinuz"
initrd = ["initrd"]
cmdline = "console=ttyS0 iscsi_auto"
username = "seat"
password_file = "seat.secret"
reverse_username = "server"
reverse_password_file = "server.secret"
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
boot = "seat"
"#;
/// What Debian's initial file system does with `iscsi_auto`, in short; then a file system, on which something is written once and found
/// again.
const COMMANDS: &str = r#"chmod +x /bin/iscsistart /bin/ld-linux-x86-64.so.2
iscsi() { /bin/ld-linux-x86-64.so.2 --library-path /bin /bin/iscsistart "$@"; }
iscsi -N
iscsi -b
n=0
while [ ! -b /dev/sda ] && [ $n -lt 600 ]; do usleep 100000; n=$((n+1)); done
mkdir /tmp/disk
mount -t ext4 /dev/sda /tmp/disk 2>/dev/null || { mke2fs /dev/sda >/dev/null; mount -t ext4 /dev/sda /tmp/disk; }
if [ -f /tmp/disk/sum ]; then
    (cd /tmp/disk && sha256sum -c sum) && echo "BOOTLACE-LAB found"
else
    dd if=/dev/urandom of=/tmp/disk/data bs=64k count=64 2>/dev/null
    (cd /tmp/disk && sha256sum data >sum)
    sync
    echo "BOOTLACE-LAB written"
    while :; do dd if=/dev/urandom of=/tmp/disk/more bs=64k count=64 2>/dev/null; done
fi
"#;
const MODULES: [&str; 5] = ["virtio_pci", "virtio_net", "iscsi_tcp", "iscsi_ibft", "sd_mod"];

fn kernel(context: &Context, firmware: Firmware) -> Result<()> {
    let images = context.dir().join("images");
    fs::create_dir(&images)?;
    fs::File::create(images.join("empty.img"))?.set_len(64 << 20)?;
    fs::write(context.dir().join("seat.secret"), "seat-secret-1\n")?;
    fs::write(context.dir().join("server.secret"), "server-secret-2\n")?;
    let mut files = Vec::new();
    for (package, file) in ISCSISTART.into_iter().chain([("libc6", LOADER)]) {
        let name = Path::new(file).file_name().and_then(|name| name.to_str()).context("a file has a name")?;
        files.push((format!("bin/{name}"), fs::read(context.debian(package)?.join(file))?));
    }
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let stage = Files::on(context, NETWORK, KERNEL)?;
    let guest = context.guest()?;
    fs::copy(guest.image(), context.dir().join("boot/vmlinuz"))?;
    Initrd { modules: &MODULES, commands: COMMANDS, files: &files }
        .write(&guest, &context.dir().join("boot/initrd"))?;
    let stage = stage.serve()?;
    stage.server.log().wait_for("sha256", STEP_LIMIT)?;
    let web1 = Machine::new("web1", "52:54:00:12:34:57", firmware);
    let boot = stage.switch_on(&web1)?;
    boot.machine.wait_for("BOOTLACE-LAB written", BOOT_LIMIT)?;
    boot.went_as_foretold(&stage)?;
    // Its plug is pulled while it writes.
    drop(boot);
    let boot = stage.switch_on(&web1)?;
    boot.machine.wait_for("BOOTLACE-LAB found", BOOT_LIMIT)?;
    boot.went_as_foretold(&stage)
}

/// So often the server is killed.
const KILLS: u64 = 50;
const KILLED: &str = r#"
images = "images"
default = "kept"
[dhcp]
mode = "off"
[boot.kept]
kind = "disk"
image = "empty"
"#;

/// A disk as a script tells it.
struct Told {
    uri: String,
    initiator: String,
    secret: String,
}

fn kills(context: &Context) -> Result<()> {
    let images = context.dir().join("images");
    fs::create_dir(&images)?;
    fs::File::create(images.join("empty.img"))?.set_len(64 << 20)?;
    let lan = Lan::new()?;
    let mut server = Served::start(context, &lan, KILLED)?;
    let client = lan.host("client", "10.188.0.20/24")?;
    server.log().wait_for("sha256", STEP_LIMIT)?;
    for kill in 0..KILLS {
        let told = script(&client)?;
        let (at, next) = (kill % 16, (kill + 1) % 16);
        // What was flushed last, and what was written and not flushed.
        let mut orders = Vec::new();
        if kill > 0 {
            let before = (kill - 1) % 16;
            orders.push(format!("read -P {} {}M 1M", kill % 256, before));
            orders.push(format!("read -P {} {}M 1M", 255 - kill % 256, 32 + before));
        }
        orders.push(format!("write -P {} {at}M 1M", (kill + 1) % 256));
        orders.push("flush".to_owned());
        orders.push(format!("write -P {} {}M 1M", 255 - (kill + 1) % 256, 32 + at));
        orders.push(format!("discard {}M 1M", next));
        let writer = client.namespace().spawn(&mut qemu_io(&told, &orders))?;
        let output = writer.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let wrong = said.contains("Pattern") || said.contains("error") || said.contains("failed");
        ensure!(output.status.success() && !wrong, "after {kill} kills: {}", said.trim());
        // And one that is under way.
        let mut writer = client.namespace().spawn(&mut qemu_io(&told, &["write -P 7 48M 15M".to_owned()]))?;
        server.kill()?;
        writer.kill()?;
        writer.wait()?;
        server.revive()?;
    }
    context.note(&format!("killed {KILLS} times"));
    Ok(())
}

/// What the server tells whoever asks.
fn script(client: &Host) -> Result<Told> {
    let url = format!("http://{SERVER}/script?platform=pcbios&buildarch=i386");
    let give_up = Instant::now() + STEP_LIMIT;
    loop {
        let output =
            client.namespace().output(Command::new("curl").args(["-s", "--max-time", "20", &url]))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let word = |before: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(before))?;
            line.split_whitespace().next().map(str::to_owned)
        };
        if let (Some(uri), Some(initiator), Some(secret)) =
            (word("sanboot "), word("set initiator-iqn "), word("set password "))
        {
            return Ok(Told { uri, initiator, secret });
        }
        // It reads its image once after each start.
        ensure!(text.contains("is being read") && Instant::now() < give_up, "no disk is told: {text}");
    }
}

fn qemu_io(told: &Told, orders: &[String]) -> Command {
    let target = told.uri.splitn(6, ':').nth(5).unwrap_or_default();
    let user = told.initiator.rsplit(':').next().unwrap_or_default();
    let url = format!(
        "json:{{\"driver\":\"iscsi\",\"transport\":\"tcp\",\"portal\":\"{SERVER}:3260\",\"target\":\"{target}\",\"lun\":0,\
         \"user\":\"{user}\",\"password-secret\":\"s\",\"initiator-name\":\"{}\"}}",
        told.initiator
    );
    let mut command = Command::new("qemu-io");
    command.args(["--object", &format!("secret,id=s,data={}", told.secret), "-d", "unmap"]);
    for order in orders {
        command.args(["-c", order]);
    }
    command.arg(url).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
