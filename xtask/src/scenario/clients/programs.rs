//! DHCP clients as distributions ship them, and what they say that they were given.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Daemon, Host};

use super::Context;

/// What a client was given, by the client's own names.
pub(super) type Given = BTreeMap<String, String>;

/// Both clients that call a script get this one. It keeps what it was told, and does to the link what the
/// client's own script would do, as a release is sent from the address that is given back.
const SCRIPT: &str = r#"#!/bin/sh
case "${1:-$reason}" in
bound|renew)
    ip addr replace "$ip/$mask" dev "$interface" ;;
BOUND|REBOOT)
    ip addr replace "$new_ip_address/$new_subnet_mask" dev "$interface" ;;
deconfig|RELEASE|EXPIRE|FAIL|STOP|PREINIT)
    ip addr flush dev "$interface"; exit 0 ;;
*)
    exit 0 ;;
esac
env > "$0.given"
echo "the script was told ${1:-$reason}"
"#;

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// One host that runs one client after another.
pub(super) struct Client<'a> {
    host: &'a Host,
    dir: PathBuf,
}

impl<'a> Client<'a> {
    pub(super) fn new(context: &Context, host: &'a Host) -> Result<Self> {
        let dir = context.dir().join(host.name());
        fs::create_dir(&dir)?;
        let script = dir.join("script");
        fs::write(&script, SCRIPT)?;
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(Self { host, dir })
    }

    /// busybox udhcpc until it has an address. `None`: it gave up.
    pub(super) fn udhcpc(&self, arguments: &[&str]) -> Result<Option<Given>> {
        let mut command = Command::new("busybox");
        command.args(["udhcpc", "-i", "eth0", "-f", "-q", "-n", "-s"]).arg(self.script());
        self.run(command.args(arguments))?;
        self.given()
    }

    /// busybox udhcpc that stays: USR1 makes it renew, USR2 give its address back.
    pub(super) fn udhcpc_that_stays(&self) -> Result<Daemon> {
        let mut command = Command::new("busybox");
        command.env_clear().env("PATH", PATH);
        command.args(["udhcpc", "-i", "eth0", "-f", "-s"]).arg(self.script());
        Daemon::start(self.host.namespace(), "udhcpc", &self.dir, &mut command)
    }

    /// ISC dhclient until it has an address; it stays in the background like a service. Also what it printed.
    pub(super) fn dhclient(&self, config: &str) -> Result<(Option<Given>, String)> {
        fs::write(self.dir.join("dhclient.conf"), config)?;
        let said = self.run(self.dhclient_command().args(["-1", "-v", "eth0"]))?;
        Ok((self.given()?, said))
    }

    /// Ends the dhclient in the background, which keeps its lease file, and takes the address from the link.
    pub(super) fn stop_dhclient(&self) -> Result<()> {
        self.run(self.dhclient_command().args(["-x", "eth0"]))?;
        self.flush()
    }

    /// Gives the address back.
    pub(super) fn release_dhclient(&self) -> Result<String> {
        self.run(self.dhclient_command().args(["-r", "-v", "eth0"]))
    }

    /// What dhclient remembers between two runs.
    pub(super) fn dhclient_leases(&self) -> PathBuf {
        self.dir.join("dhclient.leases")
    }

    /// klibc's ipconfig, which Debian's initramfs uses for `ip=dhcp`.
    pub(super) fn ipconfig(&self) -> Result<Given> {
        const PROGRAM: &str = "/usr/lib/klibc/bin/ipconfig";
        const ANSWER: &str = "/run/net-eth0.conf";
        let said = self.run(Command::new(PROGRAM).args(["-t", "30", "-c", "dhcp", "-d", "eth0"]))?;
        let text = fs::read_to_string(ANSWER).with_context(|| format!("ipconfig got nothing: {said}"))?;
        fs::remove_file(ANSWER)?;
        Ok(variables(&text))
    }

    /// Takes the address from the link.
    pub(super) fn flush(&self) -> Result<()> {
        self.run(Command::new("ip").args(["addr", "flush", "dev", "eth0"])).map(drop)
    }

    fn dhclient_command(&self) -> Command {
        let mut command = Command::new("dhclient");
        command.args(["-4", "-cf"]).arg(self.dir.join("dhclient.conf"));
        command.arg("-lf").arg(self.dhclient_leases()).arg("-pf").arg(self.dir.join("dhclient.pid"));
        command.arg("-sf").arg(self.script());
        command
    }

    fn script(&self) -> PathBuf {
        self.dir.join("script")
    }

    /// What the script was told since the last time.
    pub(super) fn given(&self) -> Result<Option<Given>> {
        let path = self.dir.join("script.given");
        if !path.exists() {
            return Ok(None);
        }
        let given = variables(&fs::read_to_string(&path)?);
        fs::remove_file(&path)?;
        Ok(Some(given))
    }

    /// Runs a program to its end. What it says is kept; that it failed shows in what it was given.
    fn run(&self, command: &mut Command) -> Result<String> {
        let said = self.dir.join("said");
        let file = fs::File::create(&said)?;
        // The script's environment is what it was given, so nothing else may be in it.
        command.env_clear().env("PATH", PATH);
        // Into a file: a client that goes on in the background would hold a pipe open.
        command.stdin(std::process::Stdio::null()).stdout(file.try_clone()?).stderr(file);
        self.host.namespace().spawn(command)?.wait()?;
        read_said(&said)
    }
}

fn read_said(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

fn variables(text: &str) -> Given {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
}

/// That a client was given exactly this.
pub(super) fn expect(given: &Given, name: &str, value: &str) -> Result<()> {
    let said = given.get(name).map_or("", String::as_str);
    ensure!(said == value, "{name} is {said:?} instead of {value:?}, of {given:#?}");
    Ok(())
}

/// That a client was not told of something.
pub(super) fn expect_none(given: &Given, name: &str) -> Result<()> {
    let said = given.get(name).filter(|value| !value.is_empty() && *value != "0.0.0.0");
    ensure!(said.is_none(), "{name} is {said:?}, of {given:#?}");
    Ok(())
}
