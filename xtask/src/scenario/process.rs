//! The running server and its surroundings: interfaces that come and go, and what it may do.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Daemon, Host, Lan};

use super::context::STEP_LIMIT;
use super::rawdhcp::{Packet, RawDhcp};
use super::served::{NOBODY, SERVER, SUBNET, Served, has_nobody, serve, write_config};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "interface-returns",
        shows: "an interface that is deleted, made anew and given another address is served as before",
        run: interface_returns,
    },
    Scenario {
        name: "reload-leases",
        shows: "another range, subnet and reservation count from the next packet on, and leases stay",
        run: reload_leases,
    },
    Scenario {
        name: "process-privileges",
        shows: "every thread has the two capabilities of the sockets and nothing else, as root and as a user",
        run: privileges,
    },
];

const OTHER: &str = "10.188.0.11";
const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
const SERVER_ID: u8 = 54;
/// CAP_NET_BIND_SERVICE (10) and CAP_NET_RAW (13).
const KEPT: u64 = 1 << 10 | 1 << 13;

fn interface_returns(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let server = Served::start(context, &lan, &format!("[dhcp]\nmode = \"server\"\n{SUBNET}"))?;
    fs::write(server.boot_dir().join("file"), "a file")?;
    let client = lan.host("client", "10.188.0.20/24")?;
    served(&client, SERVER, 1)?;
    context.note("before");

    let former = server.host().namespace().links().index("eth0")?;
    lan.unplug(server.host())?;
    server.log().wait_for("interface is gone", STEP_LIMIT)?;
    lan.plug(server.host())?;
    let links = server.host().namespace().links();
    links.add_addr("eth0", format!("{SERVER}/24").parse()?)?;
    let index = links.index("eth0")?;
    ensure!(index != former, "the new link has the old index: nothing is shown");
    server.log().wait_for("interface is back and served again", STEP_LIMIT)?;
    server.log().wait_for(&format!("HTTP listens on {SERVER}:80"), STEP_LIMIT)?;
    served(&client, SERVER, 2)?;
    context.note("after it was made anew");

    ip(server.host(), &["addr", "del", &format!("{SERVER}/24"), "dev", "eth0"])?;
    ip(server.host(), &["addr", "add", &format!("{OTHER}/24"), "dev", "eth0"])?;
    server.log().wait_for(&format!("HTTP listens on {OTHER}:80"), STEP_LIMIT)?;
    served(&client, OTHER, 3)?;
    context.note("with another address");

    ip(server.host(), &["link", "set", "eth0", "down"])?;
    ip(server.host(), &["link", "set", "eth0", "up"])?;
    links.wait_running("eth0")?;
    served(&client, OTHER, 4)?;
    context.note("after down and up");
    Ok(())
}

fn reload_leases(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let config = |more: &str| format!("[dhcp]\nmode = \"server\"\n{SUBNET}{more}");
    let server = Served::start(context, &lan, &config(""))?;
    let client = RawDhcp::open(lan.client("client")?.namespace())?;
    let first = client.lease(&Packet::discover(MAC, 1))?.address;

    // A subnet in front moves the index of the other; its machine is the second client.
    let former = fs::read_to_string(context.dir().join("bootlace.toml"))?;
    let machine = "[[machine]]\nname = \"web2\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.188.0.200\"\n";
    let text =
        former.replacen("[[dhcp.subnet]]", "[[dhcp.subnet]]\nsubnet = \"10.187.0.0/24\"\n[[dhcp.subnet]]", 1);
    let text = text.replace("10.188.0.60-10.188.0.99", "10.188.0.150-10.188.0.159") + machine;
    fs::write(context.dir().join("bootlace.toml"), text)?;
    server.log().wait_for("reloaded: changed boots=0 machines=1 rules=0 subnets=2", STEP_LIMIT)?;
    let reserved = client.lease(&Packet::discover([0x52, 0x54, 0, 0, 0, 2], 2))?.address;
    ensure!(reserved.to_string() == "10.188.0.200", "the reservation is {reserved}");
    let [.., last] = client.lease(&Packet::discover([0x52, 0x54, 0, 0, 0, 3], 3))?.address.octets();
    ensure!((150..160).contains(&last), "an address of the former range: {last}");
    let leases = server.ask_json("leases")?;
    let kept = leases.iter().any(|lease| lease["address"] == first.to_string());
    ensure!(leases.len() == 3 && kept, "a lease is lost: {leases:?}");
    context.note("a subnet in front, another range and a reservation");
    Ok(())
}

/// A lease and a file over both protocols from `server`.
fn served(client: &Host, server: &str, xid: u32) -> Result<()> {
    let lease = RawDhcp::open(client.namespace())?.lease(&Packet::discover(MAC, xid))?;
    let said = lease.options.get(&SERVER_ID).context("no server identifier")?;
    ensure!(
        said[..] == server.parse::<std::net::Ipv4Addr>()?.octets(),
        "the server says that it is {said:?}"
    );
    for url in [format!("tftp://{server}/file"), format!("http://{server}/file")] {
        let output = client.namespace().output(Command::new("curl").args(["-sS", &url]))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && output.stdout == b"a file", "{url}: {said}");
    }
    Ok(())
}

fn ip(host: &Host, arguments: &[&str]) -> Result<()> {
    let output = host.namespace().output(Command::new("ip").args(arguments))?;
    ensure!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn privileges(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let config = format!("[dhcp]\nmode = \"server\"\n{SUBNET}");
    {
        let server = Served::start(context, &lan, &config)?;
        hold(server.id(), "0")?;
        server.reload()?;
        server.log().wait_for("reloaded", STEP_LIMIT)?;
        hold(server.id(), "0")?;
        context.note("as root");
    }
    if !has_nobody()? {
        context.note("not shown: this sandbox has no other user");
        return Ok(());
    }
    let host = lan.host("other", &format!("{OTHER}/24"))?;
    // Elsewhere than in a folder of root's, which somebody else may not enter.
    let dir = PathBuf::from("/run/bootlace-user");
    write_config(&dir, &format!("user = \"nobody\"\n{config}"))?;
    let server =
        Daemon::start(host.namespace(), "nobody", context.dir(), &mut serve(&context.bootlace(), &dir))?;
    server.output().wait_for("ready", STEP_LIMIT)?;
    hold(server.id(), &NOBODY.to_string())?;
    context.note("as nobody");
    Ok(())
}

/// Looks at every thread of a server.
fn hold(pid: u32, uid: &str) -> Result<()> {
    let mut threads = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(str::trim).with_context(|| format!("no {name} in {status}"))
        };
        let capabilities = |name| Ok::<_, anyhow::Error>(u64::from_str_radix(field(name)?, 16)?);
        for (set, wanted) in
            [("CapInh", 0), ("CapPrm", KEPT), ("CapEff", KEPT), ("CapBnd", KEPT), ("CapAmb", 0)]
        {
            let found = capabilities(set)?;
            ensure!(found == wanted, "{set} of {} is {found:x}", field("Name")?);
        }
        ensure!(field("NoNewPrivs")? == "1", "new privileges are possible: {status}");
        ensure!(field("Seccomp")? == "2", "system calls are not filtered: {status}");
        ensure!(field("Uid")?.split_whitespace().all(|id| id == uid), "not user {uid}: {status}");
        threads += 1;
    }
    // The main one, the log, the journal, DHCP, TFTP and the runtime.
    ensure!(threads >= 6, "only {threads} threads");
    Ok(())
}
