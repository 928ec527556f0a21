//! What `explain` foretells, where clients do more than follow a script.

use std::net::SocketAddrV4;

use bootlace_core::dhcp::{LeaseTable, Received, Service};
use bootlace_core::event::ClientClass;
use bootlace_core::explain::{Found, Rom, Subject, World, explain};
use bootlace_core::model::{Facts, Firmware, Timestamp};
use bootlace_core::oneshot::OneShots;
use bootlace_core::session::Step;
use bootlace_wire::dhcp::Feature;

use super::sample::{SERVER, config, debian_loaders, name};

/// The steps of a machine that nothing knows.
fn steps(config: &bootlace_core::config::Config, firmware: Firmware, rom: Rom) -> Vec<Step> {
    let loaders = debian_loaders();
    let world = World {
        config,
        loaders: &loaders,
        table: LeaseTable::new(config, Vec::new()),
        learned: Vec::new(),
        one_shots: OneShots::default(),
        received: Received {
            interface: "eth0".into(),
            local: vec![(SERVER, 24)],
            mtu: 1500,
            source: SocketAddrV4::new([0, 0, 0, 0].into(), 68),
            destination: [255, 255, 255, 255].into(),
            service: Service::Dhcp,
        },
        now: Timestamp(0),
        look_up: &|_| Some(Found { len: 1, text: String::new() }),
    };
    let mac = "00:12:34:56:78:90".parse().unwrap();
    explain(world, &Subject { mac, firmware, rom, facts: Facts::new(), pick: None }).steps()
}

#[test]
fn uefi_firmware_without_a_boot_file_tries_http_boot_before_its_disk() {
    let config = config();
    let steps_of = |firmware| steps(&config, firmware, Rom::Pxe);
    let uefi = steps_of(Firmware::UefiX64);
    assert!(
        matches!(&uefi[0], Step::Lease { client: ClientClass::Firmware, boot_file: None, .. }),
        "{uefi:?}"
    );
    assert_eq!(uefi[1..], [Step::NoOffer { client: ClientClass::HttpBoot }]);
    assert_eq!(steps_of(Firmware::Bios).len(), 1, "a BIOS has no such thing");
}

#[test]
fn an_ipxe_that_lacks_what_the_config_says_is_chained_once() {
    let mut config = config();
    config.boots.get_mut(&name("grub")).unwrap().needs = [Feature::Https].into();
    config.default = name("grub");
    let steps = steps(&config, Firmware::UefiX64, Rom::Ipxe(None));
    let shown: Vec<String> = steps
        .into_iter()
        .map(|step| match step {
            Step::Lease { client, boot_file, .. } => format!("{} {}", client.name(), boot_file.unwrap()),
            Step::File { protocol, name } => format!("{} {name}", protocol.name()),
            Step::Script { name, boot } => format!("{name} {}", boot.unwrap().0),
            other => format!("{other:?}"),
        })
        .collect();
    let expected = [
        "ipxe snponly.efi",
        "tftp snponly.efi",
        "ipxe http://10.188.0.10/boot.ipxe",
        "boot.ipxe grub",
        "http debian/grubx64.efi",
    ];
    assert_eq!(shown, expected);
}
