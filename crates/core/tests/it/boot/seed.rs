//! The classic stack's boot2.php as a config: the same machines get the same boots.

use std::path::PathBuf;

use bootlace_core::config::{Config, Files, Source, load};
use bootlace_core::explain::ipxe::{End, walk};
use bootlace_core::files::{Resource, resolve};
use bootlace_core::model::Var;

use super::sample::{debian_loaders, facts, request};

const CONFIG: &str = r#"
server   = "10.188.0.10"
hostname = "pxe.example.com"
default  = "local"

[dhcp]
mode = "server"
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.70"]

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

fn config() -> Config {
    let source = Source { name: "bootlace.toml".into(), folder: PathBuf::new(), text: CONFIG.into() };
    load(&source, &Files::new()).unwrap_or_else(|findings| panic!("{findings:#?}")).config
}

/// What iPXE on this machine does with the script that `boot.ipxe` gives it at once.
fn ends(mac: &str) -> (String, End) {
    let (known, loaders) = (facts(&[(Var::Mac, mac), (Var::Firmware, "bios")]), debian_loaders());
    match resolve(&config(), "boot.ipxe", &request(&known, "", &loaders)).resource {
        Resource::Text { body, .. } => {
            let end = walk(&body, "http://pxe.example.com/boot.ipxe", &Default::default(), None).end;
            (body, end)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_case_of_the_classic_script() {
    let (script, end) = ends("00:12:34:56:78:90");
    assert_eq!(end, End::Chains("http://pxe.example.com/lpxelinux.0".into()));
    assert!(script.contains("set 210:string http://pxe.example.com/\n"), "{script}");
    let (script, end) = ends("00:11:22:33:44:55");
    let target = "iscsi:san.example.com:6:3260:0:iqn.2007-08.com.example.san:sometarget";
    assert_eq!(end, End::Disk(target.into()));
    assert!(script.contains("set initiator-iqn iqn.2007-08.com.example.initiator:initiator\n"), "{script}");
    assert_eq!(ends("00:77:21:ab:cd:ee").1, End::Chains("http://boot.salstar.sk".into()));
    assert_eq!(ends("52:54:00:12:34:56").1, End::Exits(String::new()));
}
