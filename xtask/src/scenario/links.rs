//! The lab's networks and its promise to leave nothing behind; no machine boots here.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::link::Stacked;
use bootlace_lab::output::Output;
use bootlace_lab::{Host, Lan, sandbox};

use super::context::STEP_LIMIT;
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lab-links",
        shows: "hosts on one LAN reach each other, also from a macvlan, until a cable is pulled",
        run: links,
    },
    Scenario {
        name: "lab-leaves-nothing",
        shows: "a sandbox dies whole when it is killed and when its starter ends",
        run: leaves_nothing,
    },
];

const PORT: u16 = 4000;

fn links(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let server = lan.host("server", "10.188.0.10/24")?;
    let client = lan.host("client", "10.188.0.20/24")?;
    let listener = server.namespace().run(|| UdpSocket::bind(("10.188.0.10", PORT)))??;
    listener.set_read_timeout(Some(STEP_LIMIT))?;

    send(&client, "10.188.0.20", b"unicast", "10.188.0.10")?;
    ensure!(receive(&listener)? == ("10.188.0.20".to_owned(), b"unicast".to_vec()), "unicast got lost");
    context.note("unicast arrives");

    let links = client.namespace().links();
    links.add_stacked(Stacked::Macvlan, "macvlan0", "eth0", "02:00:00:00:00:01".parse()?)?;
    links.add_addr("macvlan0", "10.188.0.21/24".parse()?)?;
    links.up("macvlan0")?;
    send(&client, "10.188.0.21", b"macvlan", "10.188.0.10")?;
    ensure!(receive(&listener)? == ("10.188.0.21".to_owned(), b"macvlan".to_vec()), "the macvlan is mute");
    links.delete("macvlan0")?;
    ensure!(links.index("macvlan0").is_err(), "a removed link is still there");
    context.note("a macvlan has an address of its own");

    links.add_default_route("eth0", "10.188.0.1".parse()?)?;
    links.set_mtu("eth0", 1400)?;
    links.down("eth0")?;
    ensure!(
        send(&client, "10.188.0.20", b"pulled", "10.188.0.10").is_err(),
        "a pulled cable carries packets"
    );
    let outside = client.namespace().run(|| UdpSocket::bind(("10.188.0.10", PORT)))?;
    ensure!(outside.is_err(), "the client has the server's address: namespaces are not apart");
    Ok(())
}

fn send(host: &Host, from: &str, payload: &[u8], to: &str) -> Result<()> {
    let socket = host.namespace().run(|| UdpSocket::bind((from, 0)))??;
    socket.send_to(payload, (to, PORT))?;
    Ok(())
}

fn receive(socket: &UdpSocket) -> Result<(String, Vec<u8>)> {
    let mut buffer = [0; 100];
    let (len, from) = socket.recv_from(&mut buffer)?;
    Ok((from.ip().to_string(), buffer[..len].to_vec()))
}

/// Every process of the inner sandbox holds the same pipe, so its end shows that none is left.
fn leaves_nothing(context: &Context) -> Result<()> {
    let (mut starter, output) = start_sleepers(context)?;
    starter.kill()?;
    starter.wait()?;
    output.wait_closed(STEP_LIMIT).context("after kill -9")?;
    context.note("kill -9 ends a sandbox");

    let (mut starter, output) = std::thread::scope(|scope| {
        scope
            .spawn(|| start_sleepers(context))
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    output.wait_closed(STEP_LIMIT).context("after the end of the thread that started it")?;
    starter.wait()?;
    context.note("the end of its starter ends a sandbox");
    Ok(())
}

fn start_sleepers(context: &Context) -> Result<(Child, Output)> {
    let script = "setsid sleep 100000 & sleep 100000 & echo sleeping; wait";
    let mut child = sandbox::command(Path::new("sh"), ["-c", script])?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("start an inner sandbox")?;
    let output = Output::new("inner sandbox");
    output.follow(child.stdout.take().context("stdout is a pipe")?, &context.dir().join("inner.log"))?;
    output.wait_for("sleeping", STEP_LIMIT)?;
    Ok((child, output))
}
