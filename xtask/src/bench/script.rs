//! Boot decisions over HTTP under wrk, against the script that they replace: PHP in apache.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::contest::Standings;
use super::wire::{SERVER, Server, Wire, http_answers};
use super::{Bound, Contest, Floor, Sample, Subject};

/// How long wrk asks.
const PERIOD: Duration = Duration::from_secs(4);
/// Connections of wrk; apache's prefork has a process for each.
const CONNECTIONS: u32 = 32;
/// What iPXE tells of a machine with the classic boot1.txt, under the names that both servers know.
const QUERY: &str = "mac=00:12:34:56:78:90&ip=10.188.0.11&asset=&netmask=255.255.0.0&gateway=10.188.0.1\
    &dns=10.188.0.20&domain=example.com&filename=undionly.kpxe&hostname=web1\
    &uuid=0063edee-4f41-683a-1c1d-6b02f68cd960&manufacturer=QEMU&product=Standard%20PC&serial=X1";

/// The classic decisions.
const BOOTLACE: &str = r#"interfaces = ["eth0"]
hostname = "pxe.example.com"
state_dir = "state"
boot_dir = "boot"
default = "local"

[dhcp]
mode = "off"

[boot.local]
kind = "local"
[boot.pxelinux]
kind = "pxelinux"
[boot.san]
kind = "san"
target    = "iscsi:san.example.com:6:3260:0:iqn.2007-08.com.example.san:sometarget"
initiator = "iqn.2007-08.com.example.initiator:initiator"
[boot.salstar]
kind = "chain"
url  = "http://boot.salstar.sk"

[[machine]]
name = "web1"
mac  = ["00:12:34:56:78:90"]
boot = "pxelinux"
[[machine]]
name = "diskless"
mac  = ["00:11:22:33:44:55"]
boot = "san"
[[machine]]
name = "visitor"
mac  = ["00:77:21:ab:cd:ee"]
boot = "salstar"
"#;

/// The same decisions in PHP.
const PHP: &str = r##"<?php
echo "#!ipxe\n";
switch ($_GET['mac']) {
  case '00:12:34:56:78:90':
    echo "chain http://pxe.example.com/pxelinux.0\n";
    break;
  case '00:11:22:33:44:55':
    echo "set initiator-iqn iqn.2007-08.com.example.initiator:initiator\n";
    echo "sanboot iscsi:san.example.com:6:3260:0:iqn.2007-08.com.example.san:sometarget\n";
    break;
  case '00:77:21:ab:cd:ee':
    echo "chain http://boot.salstar.sk\n";
    break;
  default:
    echo "exit\n";
    break;
}
"##;

/// As Debian ships it: prefork with its numbers, mod_php, an access log, and the modules that are on by default and
/// take part in a request.
const APACHE: &str = r#"ServerRoot /etc/apache2
ServerName pxe.example.com
Listen 80
PidFile DIR/apache.pid
DefaultRuntimeDir DIR
Mutex file:DIR default
ErrorLog DIR/apache-error.log
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" combined
CustomLog DIR/apache-access.log combined
User www-data
Group www-data
Timeout 300
KeepAlive On
MaxKeepAliveRequests 100
KeepAliveTimeout 5
IncludeOptional mods-available/mpm_prefork.load
IncludeOptional mods-available/mpm_prefork.conf
Include mods-available/authz_core.load
Include mods-available/mime.load
Include mods-available/mime.conf
Include mods-available/filter.load
Include mods-available/deflate.load
Include mods-available/deflate.conf
Include mods-available/dir.load
Include mods-available/dir.conf
Include mods-available/reqtimeout.load
Include mods-available/setenvif.load
Include mods-available/php*.load
Include mods-available/php*.conf
DocumentRoot DIR/boot
<Directory DIR/boot>
  Require all granted
</Directory>
"#;

/// Its config with its files in `dir`, what it serves in `boot` there.
pub(crate) fn apache(dir: &Path) -> String {
    APACHE.replace("DIR", &dir.display().to_string())
}

/// Runs the contest. `dir` is in memory.
pub(super) fn run(bootlace: &Path, dir: &Path, rounds: u32) -> Result<Vec<Standings>> {
    let boot = dir.join("boot");
    fs::create_dir(&boot)?;
    fs::write(boot.join("lpxelinux.0"), "stands for a loader")?;
    fs::write(boot.join("boot2.php"), PHP)?;
    fs::write(dir.join("bootlace.toml"), BOOTLACE)?;
    fs::write(dir.join("apache.conf"), apache(dir))?;
    let mut serve = Command::new(bootlace);
    serve.args(["serve", "-c", "bootlace.toml"]);
    let mut apache = Command::new("apache2");
    apache.arg("-f").arg(dir.join("apache.conf")).args(["-D", "FOREGROUND"]);
    let servers =
        [("bootlace", serve, "script", "lpxelinux.0"), ("apache2 + PHP", apache, "boot2.php", "pxelinux.0")];
    let subjects = servers.into_iter().map(|(name, mut command, path, decision)| {
        let wire = Wire::new()?;
        let server = wire.serve(name, dir, &mut command, http_answers)?;
        let url = format!("http://{SERVER}/{path}?{QUERY}");
        let script = wire.run(Command::new("curl").args(["--silent", "--fail", &url]))?;
        ensure!(script.contains(decision), "{name} decides otherwise:\n{script}");
        Ok(Subject { name, measure: Box::new(move || measure(&wire, &server, &url)) })
    });
    let contest = Contest {
        work: "decisions for one machine".to_owned(),
        unit: "script",
        floor: Floor { rate: 2.0, cpu: Some(0.25) },
        end: "wrk is the limit, 0.10 of its CPU",
        subjects: subjects.collect::<Result<_>>()?,
    };
    Ok(vec![contest.run(rounds)?])
}

/// One turn of wrk at `url`.
pub(super) fn measure(wire: &Wire, server: &Server, url: &str) -> Result<Sample> {
    let before = server.spent()?;
    let printed = wire.run(
        Command::new("wrk").args(["--threads", "1", "--connections", &CONNECTIONS.to_string()]).args([
            "--duration",
            &format!("{}s", PERIOD.as_secs()),
            url,
        ]),
    )?;
    let cpu = server.spent()? - before;
    ensure!(!printed.contains("Non-2xx"), "not all were answered:\n{printed}");
    let operations = requests(&printed).with_context(|| format!("wrk printed no sum:\n{printed}"))?;
    Ok(Sample { operations, elapsed: PERIOD, cpu, bound: Bound::Server })
}

/// From the line `N requests in 4.00s, 5MB read`.
pub(super) fn requests(printed: &str) -> Option<f64> {
    printed.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_wrk_is_read() {
        let printed = "Running 4s test\n  80123 requests in 4.00s, 12.50MB read\nRequests/sec:  20030.75\n";
        assert_eq!(requests(printed), Some(80123.0));
        assert_eq!(requests("unable to connect"), None);
    }
}
