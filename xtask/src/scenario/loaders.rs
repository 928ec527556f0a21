//! The signed iPXE: fetched, pinned and laid out as its shim asks for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Firmware, Host, Machine};

use super::context::BOOT_LIMIT;
use super::served::SERVER;
use super::stage::{Files, Stage, WEB1_MAC, web1_boots};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "loaders-signed",
    shows: "a fetched set boots real firmware from its folder, every name that its shim may ask for is there, and a set that was tampered with is not",
    run: signed,
}];

const CONFIG: &str = r#"
[boot.rescue]
kind = "linux"
kernel = "vmlinuz"
initrd = ["initrd"]
shim = "shimx64.efi"
cmdline = "console=ttyS0 hostname={{ machine.name }}"
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
boot = "rescue"
loader = "ipxe-signed"
"#;

const EXPLAIN: [&str; 5] = ["explain", "--mac", WEB1_MAC, "--firmware", "uefi-x64"];
const FOLDER: &str = "ipxe/x86_64-sb";
const SHIM: &str = "ipxe/x86_64-sb/snponly-shim.efi";
/// Debian's.
const IPXE: &str = "/usr/lib/ipxe/snponly.efi";

/// Where a 64-bit EFI program has the place of its PE header, and from there the entry of its certificates: offset in
/// the file and length.
const PE_OFFSET_AT: usize = 0x3c;
const CERTIFICATES_AT: usize = 24 + 112 + 4 * 8;

fn signed(context: &Context) -> Result<()> {
    let stage =
        Files::new(context, CONFIG)?.put_linux("")?.put("shimx64.efi", "vouches for nobody here")?.serve()?;
    let missing = stage.server.ask(&EXPLAIN)?;
    ensure!(missing.contains("bootlace loaders fetch"), "nothing says what to do: {missing}");
    let archive = release(context)?;
    let sum = sha256(&archive)?;
    let from = archive.to_str().context("a path in UTF-8")?;
    stage.server.ask(&["loaders", "fetch", "--from", from, "--sha256", &sum])?;
    stage.server.reload()?;
    stage.server.log().wait_for("config=2", BOOT_LIMIT)?;

    boots(&stage)?;
    let client = stage.lan.host("client", "10.188.0.20/24")?;
    every_name(&client)?;
    context.note("every name is there, by TFTP and by HTTP");
    tampered(&stage, &client)
}

/// Without Secure Boot the firmware starts whatever carries its shim's name: here Debian's iPXE.
fn boots(stage: &Stage<'_>) -> Result<()> {
    let machine = Machine::new("web1", WEB1_MAC, Firmware::Ovmf);
    let mut running = machine.start(&stage.lan, stage.context.dir())?;
    web1_boots(stage.context, &running)?;
    running.wait_off(BOOT_LIMIT)?;
    let boots = stage.server.ask_json("boots")?;
    let told = stage.server.ask(&["boots", &boots[0]["session"].to_string()])?;
    ensure!(
        told.contains(SHIM) && told.contains("boots rescue"),
        "it went another way:
{told}"
    );
    Ok(())
}

fn every_name(client: &Host) -> Result<()> {
    let shim = program("shim")?;
    let of = |name: &str| program(name);
    for (name, content) in [
        (SHIM.to_owned(), shim.clone()),
        (format!("{FOLDER}/ipxe-shim.efi"), shim.clone()),
        (format!("{FOLDER}/shimx64.efi"), shim),
        (format!("{FOLDER}/snponly.efi"), of("snponly")?),
        (format!("{FOLDER}/ipxe.efi"), of("ipxe")?),
    ] {
        for scheme in ["tftp", "http"] {
            let got = fetch(client, scheme, &name)?;
            ensure!(got.as_deref() == Some(&content[..]), "{scheme}: {name} is not what was fetched");
        }
    }
    for scheme in ["tftp", "http"] {
        // What it asks for before its own DHCP: whoever asks is told to report itself.
        let script = fetch(client, scheme, &format!("{FOLDER}/autoexec.ipxe"))?.unwrap_or_default();
        ensure!(script.starts_with(b"#!ipxe\n"), "{scheme}: no script in the folder");
    }
    for absent in ["mmx64.efi", "revocations.efi", "loaders.lock"] {
        for scheme in ["tftp", "http"] {
            let name = format!("{FOLDER}/{absent}");
            ensure!(fetch(client, scheme, &name)?.is_none(), "{scheme}: {name} is served");
        }
    }
    Ok(())
}

fn tampered(stage: &Stage<'_>, client: &Host) -> Result<()> {
    let set = stage.context.dir().join("state/loaders/ipxe-signed");
    fs::write(set.join("x86_64-sb/snponly.efi"), "another one").context("tamper with it")?;
    let verified = stage.server.ask(&["loaders", "verify"]).unwrap_err().to_string();
    ensure!(verified.contains("1 file in"), "{verified}");
    stage.server.reload()?;
    stage.server.log().wait_for("a signed loader is not what was pinned", BOOT_LIMIT)?;
    stage.server.log().wait_for("config=3", BOOT_LIMIT)?;
    let explained = stage.server.ask(&EXPLAIN)?;
    ensure!(explained.contains("an unsigned loader is not sent instead"), "{explained}");
    ensure!(fetch(client, "tftp", SHIM)?.is_none(), "the shim is still served");
    stage.context.note("a set that was tampered with is not served, and nothing in its place");
    Ok(())
}

/// Upstream's archive as far as it is used, of programs that carry what looks like a signature.
fn release(context: &Context) -> Result<PathBuf> {
    let root = context.dir().join("release");
    let folder = root.join("ipxeboot/x86_64-sb");
    fs::create_dir_all(&folder)?;
    for (file, name) in [("shimx64.efi", "shim"), ("snponly.efi", "snponly"), ("ipxe.efi", "ipxe")] {
        fs::write(folder.join(file), program(name)?)?;
    }
    let archive = context.dir().join("ipxeboot.tar.gz");
    let status =
        Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&root).arg("ipxeboot").status()?;
    ensure!(status.success(), "tar: {status}");
    Ok(archive)
}

/// Debian's iPXE with a certificate table, which holds nothing but a name: firmware without Secure Boot reads none.
fn program(name: &str) -> Result<Vec<u8>> {
    let mut bytes = fs::read(IPXE).with_context(|| format!("read {IPXE}"))?;
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let at = u32::try_from(bytes.len())?;
    let header: [u8; 4] = bytes[PE_OFFSET_AT..PE_OFFSET_AT + 4].try_into()?;
    let entry = usize::try_from(u32::from_le_bytes(header))? + CERTIFICATES_AT;
    let mut table = name.as_bytes().to_vec();
    table.resize(table.len().next_multiple_of(8), 0);
    bytes[entry..entry + 4].copy_from_slice(&at.to_le_bytes());
    bytes[entry + 4..entry + 8].copy_from_slice(&u32::try_from(table.len())?.to_le_bytes());
    bytes.extend(table);
    Ok(bytes)
}

fn sha256(file: &Path) -> Result<String> {
    let output = Command::new("sha256sum").arg(file).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split_whitespace().next().context("sha256sum printed nothing")?.to_owned())
}

/// `None` where there is no such file.
fn fetch(client: &Host, scheme: &str, name: &str) -> Result<Option<Vec<u8>>> {
    let mut curl = Command::new("curl");
    let limit = BOOT_LIMIT.as_secs().to_string();
    curl.args(["-sf", "--max-time", &limit, &format!("{scheme}://{SERVER}/{name}")]);
    let output = client.namespace().output(&mut curl)?;
    Ok(output.status.success().then_some(output.stdout))
}
