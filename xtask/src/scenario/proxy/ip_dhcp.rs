//! Debian's kernel with `ip=dhcp`, which its initramfs hands to klibc's ipconfig.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::firmware::Rom;
use bootlace_lab::initrd::{Initrd, NETWORK_MODULES};
use bootlace_lab::machine::Inserted;
use bootlace_lab::{Firmware, Lan, Machine};

use super::super::context::{BOOT_LIMIT, STEP_LIMIT};
use super::super::peers::start_dnsmasq;
use super::super::rawdhcp::{OFFER, Packet, RawDhcp};
use super::super::served::SERVER;
use super::super::stage::{Files, WEB1, WEB1_MAC};
use super::{Context, FIRMWARE_MAC, ROUTER, answer};

const IPCONFIG: &str = "/usr/lib/klibc/bin/ipconfig";
/// As Debian's initramfs calls it: what stands behind `ip=` is the protocol.
const COMMANDS: &str = r#"
mkdir -p /lib
mv /tmp/klibc.so "/lib/$(cat /tmp/klibc.name)"
chmod 755 /tmp/ipconfig /lib/*
for word in $(cat /proc/cmdline); do
    case $word in ip=*) protocol=${word#ip=} ;; esac
done
/tmp/ipconfig -t 60 -c "$protocol" -d eth0
. /run/net-eth0.conf
echo "BOOTLACE-LAB ipconfig: $IPV4ADDR of $ROOTSERVER, boot file '$filename'"
"#;
/// Of the machine's firmware, which the proxy answers.
const FIRMWARE_XID: u32 = 0xfeed_0001;
/// Ends what is looked at on the wire.
const LAST_XID: u32 = 0xfeed_0002;

pub(super) fn one_offer(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let router = lan.host("router", &format!("{ROUTER}/24"))?;
    let firmware = lan.client("firmware")?;
    let stage = Files::on(context, "[dhcp]\nmode = \"proxy\"\n", WEB1)?.serve_on(lan)?;
    // It would wait for an echo before its offer, and be asked again meanwhile.
    let _dnsmasq = start_dnsmasq(context, router.namespace(), &["--no-ping"])?;
    let wire = stage.lan.print(context.dir(), "wire", "udp port 68")?;

    let guest = context.guest()?;
    let initrd = context.dir().join("initrd");
    write_initrd(context, &initrd)?;
    let inserted = Some(Inserted { kernel: guest.image().into(), initrd, cmdline: "ip=dhcp".to_owned() });
    let machine = Machine { inserted, rom: Rom::Empty, ..Machine::new("web1", WEB1_MAC, Firmware::SeaBios) };
    let mut machine = machine.start(&stage.lan, context.dir())?;
    let said = machine.console().line_from("BOOTLACE-LAB ipconfig: ", BOOT_LIMIT)?;
    context.note(&said);
    ensure!(said.contains("10.188.0.10") && said.contains(&format!("of {ROUTER}")), "{said}");
    machine.wait_off(BOOT_LIMIT)?;

    // The proxy answers in the order in which it is asked: with this answer, all before it are out.
    let raw = RawDhcp::open(firmware.namespace())?;
    let firmware = Packet::discover(FIRMWARE_MAC, FIRMWARE_XID);
    let firmware = firmware.with(60, b"PXEClient:Arch:00000:UNDI:002001").with(93, &[0, 0]);
    answer(&raw, &firmware, SERVER, OFFER)?;
    raw.send(&Packet::discover([2, 0, 0, 0, 0, 9], LAST_XID))?;
    wire.output().wait_for(&format!("xid 0x{LAST_XID:x}"), STEP_LIMIT)?;
    let seen = wire.output().text();
    let of_machine: Vec<&str> = packets(&seen)
        .filter(|packet| packet.contains(WEB1_MAC) && !packet.contains(&format!("xid 0x{FIRMWARE_XID:x}")))
        .collect();
    let discovers = of_machine.iter().filter(|packet| packet.contains("length 1: Discover")).count();
    let offers: Vec<&&str> = of_machine.iter().filter(|packet| packet.contains("length 1: Offer")).collect();
    context.note(&format!("{discovers} DISCOVER, {} OFFER", offers.len()));
    ensure!(discovers > 0 && offers.len() == discovers, "not one offer each: {of_machine:#?}");
    let replies = of_machine.iter().filter(|packet| packet.contains("BOOTP/DHCP, Reply"));
    for reply in replies {
        ensure!(reply.contains(&format!("Server-ID (54), length 4: {ROUTER}")), "not of dnsmasq: {reply}");
    }
    Ok(())
}

/// Each with the lines that belong to it.
fn packets(text: &str) -> impl Iterator<Item = &str> {
    let mut starts: Vec<usize> = text
        .match_indices('\n')
        .map(|(at, _)| at + 1)
        .filter(|at| text[*at..].starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    starts.push(text.len());
    let ranges: Vec<_> = starts.windows(2).map(|pair| pair[0]..pair[1]).collect();
    ranges.into_iter().map(move |range| &text[range])
}

fn write_initrd(context: &Context, path: &Path) -> Result<()> {
    let library = klibc()?;
    let name = library.file_name().context("a library has a name")?.to_string_lossy();
    let (program, library) = (fs::read(IPCONFIG)?, fs::read(&library)?);
    let files: [(&str, &[u8]); 3] =
        [("tmp/ipconfig", &program), ("tmp/klibc.so", &library), ("tmp/klibc.name", name.as_bytes())];
    let initrd = Initrd { modules: NETWORK_MODULES, commands: COMMANDS, files: &files };
    initrd.write(&context.guest()?, path)
}

/// The library that is ipconfig's interpreter, too; its name has a hash in it.
fn klibc() -> Result<PathBuf> {
    let paths = fs::read_dir("/lib")?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_klibc = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("klibc-") && name.ends_with(".so")
    };
    paths.filter(is_klibc).max().context("no klibc in /lib: install klibc-utils")
}
