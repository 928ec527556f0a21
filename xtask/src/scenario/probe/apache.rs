//! Against the classic stack as people have it: dnsmasq, apache and a script in PHP that decides by the MAC.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use bootlace_lab::{Daemon, Host, Lan};

use super::dnsmasq::{fill, start_dnsmasq};
use super::{Context, leaves_nothing, play_all, served};
use crate::bench::apache_config;
use crate::scenario::context::STEP_LIMIT;

/// What boots, and how that ends.
const BOOTS: [(&str, &str, &str, &str); 6] = [
    ("bios", "00:12:34:56:78:90", "linux", "BOOT_IMAGE=vmlinuz initrd=initrd.gz quiet"),
    ("ipxe", "00:11:22:33:44:55", "san", ""),
    ("ipxe", "00:12:34:56:78:a1", "linux", "console=ttyS1,115200 firmware=pcbios"),
    ("ipxe-x64", "00:12:34:56:78:a2", "linux", "console=ttyS0 firmware=efi"),
    ("uefi-x64", "00:77:21:ab:cd:ee", "local", ""),
    ("kernel", "00:12:34:56:78:a3", "lease", ""),
];

/// What does not, and the first finding.
const STOPS: [(&str, &str); 8] = [
    ("00:12:34:56:78:b1", "http-status"),
    ("00:12:34:56:78:b2", "http-status"),
    ("00:12:34:56:78:b3", "script-label-missing"),
    ("00:12:34:56:78:b4", "script-unknown-image"),
    ("00:12:34:56:78:b5", "san-target"),
    ("00:12:34:56:78:b6", "script-command-unknown"),
    ("00:12:34:56:78:b7", "script-loop"),
    ("00:12:34:56:78:b8", "http-unreachable"),
];

const BOOT2: &str = r##"<?php
$mac = strtolower($_GET['mac'] ?? '');
if ($mac == '00:12:34:56:78:b2') {
  http_response_code(500);
  exit;
}
if ($mac == '00:12:34:56:78:b4') {
  echo "<br />\n<b>Warning</b>: Undefined array key\n";
}
echo "#!ipxe\n";
$console = $mac == '00:12:34:56:78:a1' ? 'ttyS1,115200' : 'ttyS0';
switch ($mac) {
  case '00:12:34:56:78:90':
    echo "chain http://10.188.0.10/lpxelinux.0\n";
    break;
  case '00:11:22:33:44:55':
    echo "set initiator-iqn iqn.2007-08.com.example.initiator:initiator\n";
    echo "isset \${initiator-iqn} || goto none\n";
    echo "sanboot iscsi:san.example.com:6:3260:0:iqn.2007-08.com.example.san:sometarget\n";
    echo ":none\necho no initiator\nexit 1\n";
    break;
  case '00:12:34:56:78:a1':
  case '00:12:34:56:78:a2':
    echo "set console $console\n";
?>
menu What shall ${mac} start?
item --gap -- Systems
item rescue Rescue
item disk Own disk
choose --default rescue --timeout 1000 what || goto disk
goto ${what}
:rescue
iseq ${platform} efi && set firmware efi ||
isset ${firmware} || set firmware pcbios
kernel vmlinuz console=${console} firmware=${firmware} || goto failed
initrd initrd.gz || goto failed
boot
:failed
exit 1
:disk
exit
<?php
    break;
  case '00:12:34:56:78:b1':
    echo "kernel gone.php || goto failed\nboot\n:failed\necho it failed\nexit 1\n";
    break;
  case '00:12:34:56:78:b3':
    echo "isset \${mac} && goto nowhere\nexit\n";
    break;
  case '00:12:34:56:78:b5':
    echo "sanboot iscsi:10.188.0.10\n";
    break;
  case '00:12:34:56:78:b6':
    echo "kernal vmlinuz\nboot\n";
    break;
  case '00:12:34:56:78:b7':
    echo "chain boot2.php?mac=\${mac}\n";
    break;
  case '00:12:34:56:78:b8':
    echo "chain http://10.188.0.10:8080/boot3.php\n";
    break;
  default:
    echo "exit\n";
}
"##;

pub(super) fn classic(context: &Context) -> Result<()> {
    if !served::has_nobody()? {
        context.note("skipped: apache needs a user of its own, and there is one user here");
        return Ok(());
    }
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let server = lan.host("server", "10.188.0.10/24")?;
    let root = context.dir().join("boot");
    fill(&root)?;
    fs::write(root.join("boot2.php"), BOOT2)?;
    let _dnsmasq = start_dnsmasq(context, &server, &root)?;
    let _apache = start_apache(context, &server)?;
    let host = lan.client("probe")?;
    let stops = STOPS.iter().map(|(mac, _)| ("ipxe", *mac));
    let machines: Vec<_> = BOOTS.iter().map(|(kind, mac, ..)| (*kind, *mac)).chain(stops).collect();
    let played = play_all(context, &host, &machines)?;
    for ((_, mac), played) in machines.iter().zip(&played) {
        context.note(&format!("{mac} {}", played.text("/end/text")));
    }
    let (booted, stopped) = played.split_at(BOOTS.len());
    for ((kind, mac, end, cmdline), played) in BOOTS.iter().zip(booted) {
        ensure!(played.succeeded && played.text("/end/kind") == *end, "{kind} {mac}: {:#}", played.view);
        let found = played.text("/end/cmdline");
        ensure!(found.ends_with(cmdline), "{kind} {mac}: {found}");
    }
    for ((mac, finding), played) in STOPS.iter().zip(stopped) {
        let found = played.text("/finding/code");
        ensure!(!played.succeeded && found == *finding, "{mac} is not {finding}: {:#}", played.view);
    }
    leaves_nothing(&host)
}

fn start_apache(context: &Context, server: &Host) -> Result<Daemon> {
    let config = context.dir().join("apache.conf");
    fs::write(&config, apache_config(context.dir()))?;
    let mut command = Command::new("apache2");
    command.arg("-f").arg(&config).args(["-D", "FOREGROUND", "-E", "/dev/stderr"]);
    let apache = Daemon::start(server.namespace(), "apache2", context.dir(), &mut command)?;
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--retry", "1000", "--retry-delay", "1", "--retry-connrefused"]);
    curl.args(["--retry-max-time", &STEP_LIMIT.as_secs().to_string(), "http://10.188.0.10/boot1.txt"]);
    let output = server.namespace().output(&mut curl)?;
    ensure!(output.status.success(), "apache does not answer: {}", apache.output().text());
    Ok(apache)
}
