//! A disk that takes no more writes under a running server.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, bail, ensure};
use bootlace_lab::{Host, Lan};

use super::context::STEP_LIMIT;
use super::disks::Disk;
use super::rawdhcp::{ACK, INFORM, NAK, OFFER, Packet, REQUEST, RawDhcp, mac_text};
use super::{Context, Served, config, fails_to_start, run};
use crate::scenario::served::SERVER;

/// Machines that ask until no more leases are stored: what a log has room for is some of them.
const MACHINES_MAX: u8 = 30;
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 20);
const TOLD: &str = "leases cannot be stored";

/// A server and the machines that it has acknowledged addresses of.
struct Town {
    server: Served,
    raw: RawDhcp,
    client: Host,
    /// The network ends with them.
    _others: (Lan, Host),
    promised: BTreeMap<[u8; 6], Ipv4Addr>,
}

pub(super) fn full_disk(context: &Context) -> Result<()> {
    let disk = Disk::small(&context.dir().join("state"))?;
    let mut town = Town::start(context)?;
    let filler = disk.fill()?;
    town.lease_until_none_is_stored()?;
    town.goes_on_without_leases("state-disk-full", "free some space")?;
    context.note("a full disk");

    fs::remove_file(&filler)?;
    let late = mac(200);
    let address = town.raw.lease(&Packet::discover(late, 200))?.address;
    town.promised.insert(late, address);
    town.server.log().wait_for("leases are stored again", STEP_LIMIT)?;
    town.server.log().wait_for("the history is written again", STEP_LIMIT)?;
    ensure!(town.health()? == "ok\n", "{}", town.health()?);
    town.server.kill()?;
    town.server.revive()?;
    town.all_is_kept()?;
    context.note("with room again, and after a kill");

    ensure!(town.server.end()?.success(), "a server that is told to stop fails");
    // Without its log's index, the store needs room to open.
    for name in ["bootlace.db-shm", "bootlace.db-wal"] {
        ensure!(!context.dir().join("state").join(name).exists(), "{name} was left");
    }
    disk.fill()?;
    fails_to_start(context, &town.server, "free some space")?;
    Ok(())
}

pub(super) fn read_only(context: &Context) -> Result<()> {
    let Some(disk) = Disk::ext4(&context.dir().join("state"), &context.dir().join("image"))? else {
        context.note("not shown: there are no loop devices here");
        return Ok(());
    };
    let mut town = Town::start(context)?;
    disk.abort()?;
    town.lease_until_none_is_stored()?;
    town.goes_on_without_leases("state-read-only", "mount its disk writable")?;
    ensure!(town.server.end()?.success(), "a server that is told to stop fails");
    context.note("a disk that went read-only");

    disk.unmount()?;
    disk.mount()?;
    disk.make_read_only()?;
    fails_to_start(context, &town.server, "mount its disk writable")?;
    disk.unmount()?;
    disk.mount()?;
    town.server.revive()?;
    town.all_is_kept()?;
    context.note("after it was mounted anew");
    Ok(())
}

impl Town {
    /// With one machine that has an address.
    fn start(context: &Context) -> Result<Self> {
        let lan = Lan::new()?;
        let server = Served::start(context, &lan, &config())?;
        fs::write(server.boot_dir().join("file"), "a file")?;
        let crowd = lan.client("crowd")?;
        let raw = RawDhcp::open(crowd.namespace())?;
        let client = lan.host("client", &format!("{CLIENT}/24"))?;
        let mut town = Self { server, raw, client, _others: (lan, crowd), promised: BTreeMap::new() };
        let first = town.raw.lease(&Packet::discover(mac(0), 1))?;
        town.promised.insert(first.mac, first.address);
        Ok(town)
    }

    /// The last machine asks in vain; every ACK before that is a promise.
    fn lease_until_none_is_stored(&mut self) -> Result<()> {
        for number in 1..MACHINES_MAX {
            let discover = Packet::discover(mac(number), number.into());
            self.raw.send(&discover)?;
            loop {
                match self.raw.receive()? {
                    Some(offer) if offer.kind == OFFER => self.raw.send(&Packet::request(&offer))?,
                    Some(ack) if ack.kind == ACK => {
                        self.promised.insert(ack.mac, ack.address);
                        break;
                    }
                    Some(reply) => bail!("{reply:?}"),
                    None if self.server.log().text().contains(TOLD) => return Ok(()),
                    None => self.raw.send(&discover)?,
                }
            }
        }
        bail!("leases are stored on and on")
    }

    fn goes_on_without_leases(&self, code: &str, fix: &str) -> Result<()> {
        self.dhcp_without_leases()?;
        for url in ["tftp", "http"].map(|protocol| format!("{protocol}://{SERVER}/file")) {
            ensure!(self.fetch(&url)? == "a file", "{url}");
        }
        let script = self.fetch(&format!("http://{SERVER}/boot.ipxe"))?;
        ensure!(script.starts_with("#!ipxe"), "{script}");
        let health = self.health()?;
        ensure!(health.starts_with(code) && health.contains(fix), "{health}");
        let leases = self.server.ask_json("leases")?;
        ensure!(leases.len() == self.promised.len(), "{leases:?}, promised were {:?}", self.promised);
        self.server.ask(&["state", "verify"])?;

        let log = self.server.log().text();
        let told: Vec<&str> = log.lines().filter(|line| line.contains(TOLD)).collect();
        let [line] = told[..] else { bail!("not told once: {told:#?}") };
        ensure!(line.contains("ERROR") && line.contains(code) && line.contains(fix), "{line}");
        let others: Vec<&str> =
            log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
        // The other one is about the history, which is on the same disk.
        ensure!(others.len() <= 2, "more than one line for each database: {others:#?}");
        Ok(())
    }

    /// Withheld are an offer and a renewal: they would come before the refusal that is asked for after them.
    fn dhcp_without_leases(&self) -> Result<()> {
        let (holder, address) = self.promised.first_key_value().context("nobody has an address")?;
        self.raw.send(&Packet::discover(mac(100), 100))?;
        self.raw.send(&Packet::new(REQUEST, *holder, 101).of(*address))?;
        let elsewhere = Packet::init_reboot(mac(102), 102, Ipv4Addr::new(192, 0, 2, 1));
        let refusal = self.raw.exchange_alone(&elsewhere)?;
        ensure!(refusal.kind == NAK, "{refusal:?}");
        let informed = RawDhcp::open(self.client.namespace())?;
        let answer = informed.exchange(&Packet::new(INFORM, mac(103), 103).of(CLIENT))?;
        ensure!(answer.kind == ACK, "{answer:?}");
        Ok(())
    }

    fn fetch(&self, url: &str) -> Result<String> {
        let mut curl = std::process::Command::new("curl");
        let output = self.client.namespace().output(curl.args(["-sS", "--max-time", "60", url]))?;
        ensure!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn health(&self) -> Result<String> {
        let socket = self.server.boot_dir().with_file_name("state").join("admin.sock");
        run(
            &self.server,
            "curl",
            &["-sS", "--unix-socket", &socket.to_string_lossy(), "http://bootlace/healthz"],
        )
    }

    fn all_is_kept(&self) -> Result<()> {
        let leases = self.server.ask_json("leases")?;
        for (mac, address) in &self.promised {
            let kept = leases.iter().any(|lease| {
                lease["mac"] == mac_text(*mac)
                    && lease["address"] == address.to_string()
                    && lease["state"] == "bound"
            });
            ensure!(kept, "{address} was promised to {}: {leases:?}", mac_text(*mac));
        }
        Ok(())
    }
}

fn mac(number: u8) -> [u8; 6] {
    [0x52, 0x54, 0, 0, 1, number]
}
