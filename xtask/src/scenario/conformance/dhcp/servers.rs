//! The same network in the words of each server. Each is configured as well as it can be for these checks: one
//! address for each MAC, authoritative, boot files for those who boot.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::super::{Context, Subject, served};

/// Options of the wordy machine, which fill a packet.
pub(super) const WORDS: [u8; 3] = [40, 64, 86];
const WORD_LEN: usize = 180;

const BOOTLACE: &str = r#"
default = "rescue"
[dhcp]
mode = "server"
authoritative = true
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.250"]
lease = "12h"
router = ["10.188.0.1"]
dns = ["10.188.0.53", "10.188.0.54"]
domain = "example.com"
[[dhcp.subnet]]
subnet = "10.190.0.0/24"
ranges = ["10.190.0.60-10.190.0.250"]
lease = "12h"
[[dhcp.subnet]]
subnet = "10.191.0.0/24"
ranges = ["10.191.0.60-10.191.0.250"]
lease = "12h"
[[dhcp.subnet]]
subnet = "10.192.0.0/24"
ranges = ["10.192.0.60-10.192.0.61"]
lease = "12h"
[boot.rescue]
kind = "chain"
url = "http://10.188.0.10/next.ipxe"
[[machine]]
name = "web1"
mac = "02:c0:ff:00:00:01"
address = "10.188.0.30"
[[machine]]
name = "wordy"
mac = "02:c0:ff:00:00:02"
address = "10.188.0.31"
options = { 40 = "WORD", 64 = "WORD", 86 = "hex:HEXWORD" }
"#;

const KEA: &str = r#"{ "Dhcp4": {
  "interfaces-config": { "interfaces": ["eth0"], "dhcp-socket-type": "raw" },
  "lease-database": { "type": "memfile", "persist": true, "name": "DIR/kea-leases4.csv", "lfc-interval": 0 },
  "valid-lifetime": 43200, "min-valid-lifetime": 1800, "max-valid-lifetime": 43200,
  "calculate-tee-times": true, "authoritative": true, "match-client-id": false,
  "client-classes": [
    { "name": "ipxe", "test": "option[77].hex == 'iPXE'",
      "boot-file-name": "http://10.188.0.10/boot.ipxe", "next-server": "10.188.0.10",
      "option-data": [{ "name": "boot-file-name", "data": "http://10.188.0.10/boot.ipxe", "always-send": true }] },
    { "name": "pxe", "test": "not member('ipxe') and substring(option[60].hex, 0, 9) == 'PXEClient'",
      "boot-file-name": "undionly.kpxe", "next-server": "10.188.0.10",
      "option-data": [{ "name": "boot-file-name", "data": "undionly.kpxe", "always-send": true }] }
  ],
  "subnet4": [
    { "id": 1, "subnet": "10.188.0.0/24", "interface": "eth0",
      "pools": [{ "pool": "10.188.0.60-10.188.0.250" }],
      "option-data": [
        { "name": "routers", "data": "10.188.0.1" },
        { "name": "domain-name-servers", "data": "10.188.0.53, 10.188.0.54" },
        { "name": "domain-name", "data": "example.com" } ],
      "reservations": [
        { "hw-address": "02:c0:ff:00:00:01", "ip-address": "10.188.0.30", "hostname": "web1" },
        { "hw-address": "02:c0:ff:00:00:02", "ip-address": "10.188.0.31", "option-data": [
          { "code": 40, "data": "WORD" }, { "code": 64, "data": "WORD" },
          { "code": 86, "data": "HEXWORD", "csv-format": false } ] } ] },
    { "id": 2, "subnet": "10.190.0.0/24", "pools": [{ "pool": "10.190.0.60-10.190.0.250" }] },
    { "id": 3, "subnet": "10.191.0.0/24", "pools": [{ "pool": "10.191.0.60-10.191.0.250" }] },
    { "id": 4, "subnet": "10.192.0.0/24", "pools": [{ "pool": "10.192.0.60-10.192.0.61" }] }
  ],
  "loggers": [{ "name": "kea-dhcp4", "severity": "WARN", "output_options": [{ "output": "stdout" }] }]
} }
"#;

const DNSMASQ: &str = "keep-in-foreground
port=0
user=root
pid-file=
log-facility=-
no-ping
dhcp-authoritative
dhcp-ignore-clid
dhcp-no-override
interface=eth0
bind-interfaces
enable-tftp
dhcp-range=set:lan,10.188.0.60,10.188.0.250,255.255.255.0,12h
dhcp-range=set:far,10.190.0.60,10.190.0.250,255.255.255.0,12h
dhcp-range=set:far,10.191.0.60,10.191.0.250,255.255.255.0,12h
dhcp-range=set:far,10.192.0.60,10.192.0.61,255.255.255.0,12h
dhcp-option=tag:lan,option:router,10.188.0.1
dhcp-option=tag:lan,option:dns-server,10.188.0.53,10.188.0.54
dhcp-option=tag:lan,option:domain-name,example.com
dhcp-host=02:c0:ff:00:00:01,10.188.0.30,web1
dhcp-host=02:c0:ff:00:00:02,set:wordy,10.188.0.31
dhcp-option=tag:wordy,40,WORD
dhcp-option=tag:wordy,64,WORD
dhcp-option=tag:wordy,86,WORD
dhcp-userclass=set:ipxe,iPXE
dhcp-vendorclass=set:pxe,PXEClient
dhcp-boot=tag:ipxe,http://10.188.0.10/boot.ipxe
dhcp-boot=tag:pxe,tag:!ipxe,undionly.kpxe
";

/// Writes the config of a server below `dir`, and returns what starts it.
pub(super) fn prepare(context: &Context, subject: Subject, dir: &Path) -> Result<Box<dyn Fn() -> Command>> {
    let word = "w".repeat(WORD_LEN);
    let write = |name: &str, text: &str| {
        let hex = "77".repeat(WORD_LEN);
        let text = text.replace("HEXWORD", &hex).replace("WORD", &word);
        fs::write(dir.join(name), text.replace("DIR", &dir.display().to_string()))
    };
    match subject {
        Subject::Bootlace => {
            let config = BOOTLACE.replace("HEXWORD", &"77".repeat(WORD_LEN)).replace("WORD", &word);
            served::write_config(dir, &config)?;
            fs::write(dir.join("boot/undionly.kpxe"), "a loader")?;
            let (bootlace, dir) = (context.bootlace(), dir.to_owned());
            Ok(Box::new(move || served::serve(&bootlace, &dir)))
        }
        Subject::Dnsmasq => {
            write("dnsmasq.conf", DNSMASQ)?;
            let (config, leases) = (dir.join("dnsmasq.conf"), dir.join("dnsmasq.leases"));
            Ok(Box::new(move || {
                let mut command = Command::new("dnsmasq");
                command.arg(format!("--conf-file={}", config.display()));
                command.arg(format!("--dhcp-leasefile={}", leases.display()));
                command
            }))
        }
        Subject::Kea => {
            write("kea.json", KEA)?;
            // Kea insists on a folder for pid files even when told another.
            fs::create_dir_all("/run/kea")?;
            let dir = dir.to_owned();
            Ok(Box::new(move || {
                let mut command = Command::new("kea-dhcp4");
                command.env("KEA_PIDFILE_DIR", &dir).env("KEA_LOCKFILE_DIR", &dir);
                command.arg("-c").arg(dir.join("kea.json"));
                command
            }))
        }
        Subject::Atftpd => bail!("atftpd speaks no DHCP"),
    }
}
