//! Installations that ask nobody anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Firmware, Machine};

use super::context::{BOOT_LIMIT, STEP_LIMIT};
use super::stage::{Files, Stage, WEB1_MAC};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "install-answers",
        shows: "a machine that is armed for it fetches its answers under its token, another machine does not, and it is installed once",
        run: answers,
    },
    Scenario {
        name: "install-examples",
        shows: "cloud-init's and Anaconda's own checks, and debconf's, take the examples as a machine gets them",
        run: examples,
    },
    Scenario {
        name: "install-debian",
        shows: "the real Debian installer starts by itself, and its preseed is in force",
        run: debian,
    },
];

/// Debian's installer for the network.
pub(super) const INSTALLER: &str = "debian-installer-12-netboot-amd64";

const ANSWERS: &str = r#"
[password.root]
file = "root.password"
[boot.system]
kind = "install"
family = "debian"
kernel = "vmlinuz"
initrd = ["initrd"]
answer = "preseed.cfg"
cmdline = "console=ttyS0"
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
"#;
const PRESEED: &str = "BOOTLACE-LAB answer for {{ machine.name }}: {{ password.root }}\n";
/// What an installer does, in short.
const INSTALL: &str = r#"ip link set eth0 up
udhcpc -i eth0 -n -q -f
url=$(sed 's/.* url=//;s/ .*//' /proc/cmdline)
echo "BOOTLACE-LAB url: $url"
wget -q -O - "$url"
token=${url#*/answer/}
wget -q -O - "http://10.188.0.10/done/${token%%/*}"
"#;

fn answers(context: &Context) -> Result<()> {
    put(context, "preseed.cfg", PRESEED)?;
    fs::write(context.dir().join("root.password"), "geheim")?;
    let stage = Files::new(context, ANSWERS)?.put_linux(INSTALL)?.serve()?;
    let web1 = Machine::new("web1", WEB1_MAC, Firmware::SeaBios);
    stage.server.ask(&["machines", "next-boot", "web1", "system"])?;
    let boot = stage.switch_on(&web1)?;
    let url = boot.machine.console().line_from("BOOTLACE-LAB url: ", BOOT_LIMIT)?;
    let answer = boot.machine.console().line_from("BOOTLACE-LAB answer for web1: ", BOOT_LIMIT)?;
    ensure!(answer.contains("web1: $6$"), "no hash: {answer}");
    stage.server.log().wait_for("one-shot done", STEP_LIMIT)?;
    boot.machine.wait_for("BOOTLACE-LAB done", BOOT_LIMIT)?;
    let url = url.trim_start_matches("BOOTLACE-LAB url: ").trim();
    ensure!(url.ends_with("/preseed.cfg"), "{url}");
    only_its_own(&stage, url)?;
    boot.went_as_foretold(&stage)?;
    drop(boot);
    let boot = stage.switch_on(&web1)?;
    boot.machine.wait_for("No bootable device", BOOT_LIMIT)?;
    boot.went_as_foretold(&stage)
}

/// Another address gets nothing, and the journal tells what was asked for and not by which token.
fn only_its_own(stage: &Stage<'_>, url: &str) -> Result<()> {
    let other = stage.lan.host("other", "10.188.0.99/24")?;
    let mut curl = std::process::Command::new("curl");
    curl.args(["--silent", "--max-time", "20", "--write-out", "%{http_code}", "--output", "/dev/null", url]);
    let output = other.namespace().output(&mut curl)?;
    let status = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(status == "404", "another machine got {status}");
    let boots = stage.server.ask_json("boots")?;
    let session = boots.iter().find(|boot| boot["mac"] == WEB1_MAC).map(|boot| boot["session"].to_string());
    let told = stage.server.ask(&["boots", &session.unwrap_or_default()])?;
    stage.context.note(&told);
    ensure!(told.contains("answer/TOKEN/preseed.cfg") && told.contains("done/TOKEN"), "{told}");
    let token = url.split('/').rev().nth(1).unwrap_or(url);
    ensure!(!told.contains(token), "the journal has the token");
    Ok(())
}

fn put(context: &Context, name: &str, text: &str) -> Result<()> {
    let templates = context.dir().join("templates");
    fs::create_dir_all(&templates)?;
    fs::write(templates.join(name), text)?;
    Ok(())
}

const DEBIAN: &str = r#"
[boot.debian]
kind = "install"
family = "debian"
kernel = "debian/linux"
initrd = ["debian/initrd.gz"]
answer = "preseed.cfg"
cmdline = "console=ttyS0 DEBIAN_FRONTEND=text hostname={{ machine.name }} domain=example.com"
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
"#;
/// Its first command tells that it is in force, and ends the installation as far as this goes.
const EARLY: &str = "d-i preseed/early_command string echo BOOTLACE-LAB early on $(hostname) > /dev/ttyS0; \
 t=$(sed 's,.*/answer/,,;s,/.*,,' /proc/cmdline); wget -q -O /dev/ttyS0 http://{{ server.ip }}/done/$t; poweroff -f
";
/// Without name servers the installer asks for some.
const NETWORK: &str = r#"
[dhcp]
mode = "server"
authoritative = true
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.70"]
router = ["10.188.0.1"]
dns = ["10.188.0.1"]
domain = "example.com"
"#;

fn debian(context: &Context) -> Result<()> {
    put(context, "preseed.cfg", EARLY)?;
    let images = context.debian(INSTALLER)?.join("usr/lib/debian-installer/images/12/amd64/text");
    let files = Files::on(context, NETWORK, DEBIAN)?;
    let to = context.dir().join("boot/debian");
    fs::create_dir_all(&to)?;
    for file in ["linux", "initrd.gz"] {
        fs::copy(images.join("debian-installer/amd64").join(file), to.join(file))?;
    }
    let stage = files.serve()?;
    stage.server.ask(&["machines", "next-boot", "web1", "debian", "--expires", "1h"])?;
    // With less it asks in English whether it may go on so.
    let web1 = Machine { memory_mib: 1024, ..Machine::new("web1", WEB1_MAC, Firmware::SeaBios) };
    let boot = stage.switch_on(&web1)?;
    boot.machine.wait_for("BOOTLACE-LAB early on", INSTALL_LIMIT)?;
    stage.server.log().wait_for("one-shot done", STEP_LIMIT)?;
    boot.went_as_foretold(&stage)
}

/// What reads answers, by name and version in the registry of Python's packages: Anaconda's check, and what cloud-init needs.
const READERS: [&str; 7] = [
    "pykickstart==3.78",
    "PyYAML==6.0.4",
    "Jinja2==3.1.6",
    "jsonschema==4.26.0",
    "configobj==5.0.9",
    "jsonpatch==1.48",
    "requests==2.32.5",
];

/// A machine's answers as `bootlace render` prints them, in the eyes of who reads them.
fn examples(context: &Context) -> Result<()> {
    let examples = context.project().root().join("examples");
    let templates = context.dir().join("templates");
    fs::create_dir(&templates)?;
    for entry in fs::read_dir(examples.join("templates"))? {
        let entry = entry?;
        fs::copy(entry.path(), templates.join(entry.file_name()))?;
    }
    fs::write(context.dir().join("root.password"), "geheim")?;
    let config = context.dir().join("bootlace.toml");
    fs::copy(examples.join("installs.toml"), &config)?;
    let rendered = |name: &str| -> Result<PathBuf> {
        let mut render = Command::new(context.bootlace());
        render.arg("render").arg("-c").arg(&config).args(["--mac", "00:12:34:56:78:90", name]);
        let file = context.dir().join(name);
        fs::write(&file, said(&mut render)?)?;
        Ok(file)
    };
    let mut debconf = Command::new("debconf-set-selections");
    debconf.env("DEBCONF_DB_REPLACE", format!("File{{{}}}", context.dir().join("debconf").display()));
    said(debconf.arg("--checkonly").arg(rendered("preseed.cfg")?))?;
    context.note("preseed");
    let python = readers(&context.project().cache_dir());
    ensure!(python.exists(), "there is no {}: Python's packages could not be fetched", python.display());
    let ksvalidator = python.with_file_name("ksvalidator");
    for version in ["F38", "F40", "RHEL9"] {
        said(Command::new(&ksvalidator).args(["--version", version]).arg(rendered("host.ks")?))?;
        context.note(&format!("kickstart of {version}"));
    }
    let broken = context.dir().join("broken.ks");
    fs::write(&broken, "autopart --type=nothing\n")?;
    ensure!(said(Command::new(&ksvalidator).arg(&broken)).is_err(), "Anaconda's check takes anything");
    let cloud_init = context.debian(CLOUD_INIT)?.join("usr/lib/python3/dist-packages");
    let schema = |file: &Path| {
        let mut check = Command::new(&python);
        check.env("PYTHONPATH", &cloud_init).args(["-m", "cloudinit.cmd.main", "schema", "--config-file"]);
        said(check.arg(file))
    };
    schema(&rendered("user-data")?)?;
    context.note("autoinstall");
    let broken = context.dir().join("broken.yaml");
    fs::write(&broken, "#cloud-config\npackages: 7\n")?;
    ensure!(schema(&broken).is_err(), "cloud-init's check takes anything");
    Ok(())
}

/// Where cloud-init is.
pub(super) const CLOUD_INIT: &str = "cloud-init";

/// Python with [`READERS`].
fn readers(cache: &Path) -> PathBuf {
    cache.join("readers/bin/python")
}

/// Makes it, unless it is there.
pub(super) fn fetch_readers(cache: &Path) -> Result<()> {
    let (folder, python) = (cache.join("readers"), readers(cache));
    if !folder.join("complete").exists() {
        said(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        said(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(READERS),
        )?;
        fs::write(folder.join("complete"), "")?;
    }
    Ok(())
}

fn said(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", text.trim());
    Ok(output.stdout)
}

/// The installer takes more than a minute to its first command.
const INSTALL_LIMIT: std::time::Duration = std::time::Duration::from_secs(900);
