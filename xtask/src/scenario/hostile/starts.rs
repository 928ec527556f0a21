//! Servers that cannot start, and one that can.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use bootlace_lab::{Daemon, Host, Lan};
use rustix::process::Signal;

use super::Context;
use super::context::STEP_LIMIT;
use super::served::{NOBODY, SERVER, SUBNET, has_nobody, serve, status_of, write_config};

/// Starts that are measured.
const STARTS: u32 = 5;
const BROKEN: &str = "[dhcp]\nmode = \"serve\"\nauthoritative = \"yes\"\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/33\"\nlaese = \"12h\"\n[boot.x]\nkind = \"linux\"\n";

/// Where servers are started that do not get far.
struct Attempts<'a> {
    context: &'a Context,
    host: Host,
    bootlace: PathBuf,
}

pub(super) fn failed_starts(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let host = lan.host("server", &format!("{SERVER}/24"))?;
    let attempts = Attempts { context, host, bootlace: context.bootlace() };
    attempts.check()?;
    attempts.ports_taken()?;
    attempts.wrong_configs()?;
    attempts.second_server()?;
    attempts.without_privileges()
}

fn config(more: &str) -> String {
    format!("{more}\n[dhcp]\nmode = \"server\"\n{SUBNET}")
}

impl Attempts<'_> {
    fn check(&self) -> Result<()> {
        let dir = self.folder("check", BROKEN)?;
        let mut check = Command::new(&self.bootlace);
        check.arg("check").arg("-c").arg(dir.join("bootlace.toml"));
        let output = self.host.namespace().output(&mut check)?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "check of a broken config: {}", output.status);
        for wanted in
            ["serve", "authoritative", "10.188.0.0/33", "laese", "lease", "kernel", "bootlace.toml:"]
        {
            ensure!(said.contains(wanted), "nothing of {wanted} in: {said}");
        }
        ensure!(said.matches('^').count() >= 4, "no carets in: {said}");
        self.fails(&mut serve(&self.bootlace, &dir), &["cannot be used"])?;
        fs::write(dir.join("bootlace.toml"), "interfaces = [\"eth0\"")?;
        ensure!(self.host.namespace().output(&mut check)?.status.code() == Some(1), "half a file is fine");
        write_config(&dir, &config(""))?;
        ensure!(self.host.namespace().output(&mut check)?.status.success(), "a good config is not fine");
        self.context.note("check");
        Ok(())
    }

    fn ports_taken(&self) -> Result<()> {
        let dir = self.folder("ports", &config(""))?;
        let namespace = self.host.namespace();
        let dhcp = namespace.run(|| UdpSocket::bind("0.0.0.0:67"))??;
        self.fails(&mut serve(&self.bootlace, &dir), &["UDP port 67", "another program has it"])?;
        drop(dhcp);
        let tftp = namespace.run(|| UdpSocket::bind("0.0.0.0:69"))??;
        self.fails(&mut serve(&self.bootlace, &dir), &["UDP port 69", "another program has it"])?;
        drop(tftp);
        let http = namespace.run(|| TcpListener::bind("0.0.0.0:80"))??;
        self.fails(&mut serve(&self.bootlace, &dir), &["TCP 10.188.0.10:80", "another program has it"])?;
        drop(http);
        self.context.note("ports that others have");
        Ok(())
    }

    fn wrong_configs(&self) -> Result<()> {
        let dir = self.folder("interface", &config(""))?;
        let mut absent = serve(&self.bootlace, &dir);
        self.fails(absent.args(["--interface", "eth7"]), &["no interface eth7", "eth0"])?;
        let dir = self.folder("admin", &config("[admin]\nlisten = \"10.188.0.10:8470\"\n"))?;
        self.fails(&mut serve(&self.bootlace, &dir), &["token_file"])?;
        let dir = self.folder("user", &config("user = \"no-such-user\"\n"))?;
        self.fails(&mut serve(&self.bootlace, &dir), &["no-such-user", "useradd"])?;
        let dir = self.folder("boot-dir", &config(""))?;
        fs::remove_dir(dir.join("boot"))?;
        self.fails(&mut serve(&self.bootlace, &dir), &["boot_dir"])?;
        let nowhere = self.context.dir().join("nowhere");
        self.fails(&mut serve(&self.bootlace, &nowhere), &["nowhere/bootlace.toml"])?;
        self.context.note("interface, admin address, user and folders");
        Ok(())
    }

    fn second_server(&self) -> Result<()> {
        let dir = self.folder("second", &config(""))?;
        let mut first = self.starts(&dir)?;
        self.fails(&mut serve(&self.bootlace, &dir), &["state"])?;
        first.signal(Signal::TERM)?;
        ensure!(first.wait(STEP_LIMIT)?.success(), "a server that is told to stop fails");
        let _again = self.starts(&dir)?;
        self.context.note("a second server on one state_dir");
        Ok(())
    }

    /// As somebody else: without a capability, and with the two that are needed.
    fn without_privileges(&self) -> Result<()> {
        if !has_nobody()? {
            self.context.note("not shown: this sandbox has no other user");
            return Ok(());
        }
        // Elsewhere than in a folder of root's, which somebody else may not enter.
        let dir = PathBuf::from("/run/bootlace");
        write_config(&dir, &config(""))?;
        let bootlace = dir.join("bootlace");
        fs::copy(&self.bootlace, &bootlace)?;
        let opened = Command::new("chmod").args(["-R", "a+rwX"]).arg(&dir).status()?;
        ensure!(opened.success(), "chmod");
        let serve = serve(&bootlace, &dir);
        let as_nobody = |capabilities: &str| {
            let mut command = Command::new("setpriv");
            let nobody = NOBODY.to_string();
            command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
            command.args(["--inh-caps", capabilities, "--ambient-caps", capabilities]);
            command.arg("--").arg(serve.get_program()).args(serve.get_args());
            command
        };
        self.fails(&mut as_nobody("-all"), &["CAP_NET_BIND_SERVICE"])?;
        let mut command = as_nobody("-all,+net_raw,+net_bind_service");
        let server = Daemon::start(self.host.namespace(), "nobody", self.context.dir(), &mut command)?;
        server.output().wait_for("ready", STEP_LIMIT)?;
        self.context.note("without capabilities, and with the two that it takes");
        Ok(())
    }

    fn folder(&self, name: &str, config: &str) -> Result<PathBuf> {
        let dir = self.context.dir().join(name);
        write_config(&dir, config)?;
        Ok(dir)
    }

    fn starts(&self, dir: &Path) -> Result<Daemon> {
        let mut serve = serve(&self.bootlace, dir);
        let server = Daemon::start(self.host.namespace(), "server", self.context.dir(), &mut serve)?;
        server.output().wait_for("ready", STEP_LIMIT)?;
        Ok(server)
    }

    /// It ends with code 1 and one line that says why, and all of `wanted` is said there or in the findings that
    /// stand below when it is the config's fault.
    fn fails(&self, command: &mut Command, wanted: &[&str]) -> Result<()> {
        let output = self.host.namespace().output(command)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{command:?}: {}, {said}", output.status);
        let reasons: Vec<&str> = said.lines().filter(|line| line.starts_with("bootlace: ")).collect();
        let [line] = reasons[..] else { anyhow::bail!("not one line with the reason: {said}") };
        for word in wanted {
            ensure!(said.contains(word), "nothing of {word:?} in: {said}");
        }
        ensure!(!said.contains("panicked") && !said.contains("INFO ready"), "{said}");
        self.context.note(line);
        Ok(())
    }
}

pub(super) fn start_to_ready(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let host = lan.host("server", &format!("{SERVER}/24"))?;
    write_config(context.dir(), &config(""))?;
    for bootlace in [Some(context.bootlace()), context.bootlace_release()].into_iter().flatten() {
        for _ in 0..STARTS {
            let began = Instant::now();
            let mut serve = serve(&bootlace, context.dir());
            let mut server = Daemon::start(host.namespace(), "server", context.dir(), &mut serve)?;
            server.output().wait_for("ready", STEP_LIMIT)?;
            let took = began.elapsed();
            let rss = status_of(server.id(), "VmRSS")?;
            context.note(&format!("{}: ready in {took:.1?}, {rss} KiB", bootlace.display()));
            server.signal(Signal::TERM)?;
            server.wait(STEP_LIMIT)?;
        }
    }
    Ok(())
}
