//! Configurations for tests that need no file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use bootlace_core::config::{
    AdminConfig, Boot, BootKind, BootName, Cidr, Config, DhcpConfig, DhcpMode, HttpConfig, Ipv6Wait,
    IscsiConfig, LearnConfig, LocalHow, Machine, Overrides, Passwords, Relays, SandboxMode, Serve, Subnet,
    TftpConfig, Vars,
};
use bootlace_core::learn::EXPIRE_DEFAULT;

/// `ranges` are pairs of first and last address of 10.0.N.0/24, one subnet for each N.
pub(crate) fn config(ranges: &[(&str, &str)]) -> Config {
    let mut subnets: Vec<Subnet> = Vec::new();
    for (first, last) in ranges {
        let range = ip(first)..=ip(last);
        let cidr = Cidr::new(ip(first), 24).unwrap();
        match subnets.iter_mut().find(|subnet| subnet.cidr == cidr) {
            Some(subnet) => subnet.ranges.push(range),
            None => subnets.push(Subnet {
                cidr,
                ranges: vec![range],
                ranges_for: Vec::new(),
                serve: Serve::All,
                lease: Duration::from_secs(3600),
                server: None,
                options: BTreeMap::new(),
            }),
        }
    }
    let local = BootName::new("local").unwrap();
    Config {
        interfaces: Vec::new(),
        server: None,
        hostname: None,
        state_dir: PathBuf::new(),
        boot_dir: PathBuf::new(),
        images: "/nonexistent".into(),
        follow: Vec::new(),
        templates: PathBuf::new(),
        default: local.clone(),
        user: None,
        dhcp: DhcpConfig {
            mode: DhcpMode::Server,
            proxy: None,
            authoritative: true,
            probe: true,
            subnets,
            options: BTreeMap::new(),
            relays: Relays::OfSubnets,
        },
        tftp: TftpConfig { enabled: true, port: 69, single_port: false, ports: None },
        http: HttpConfig { port: 80 },
        sandbox: SandboxMode::Auto,
        ipv6_wait: Ipv6Wait::Skip,
        learn: LearnConfig { enabled: true, expire: EXPIRE_DEFAULT },
        iscsi: IscsiConfig { port: 3260, targets: Vec::new() },
        admin: AdminConfig { listen: None, token_file: None },
        passwords: Passwords::default(),
        boots: BTreeMap::from([(
            local.clone(),
            Boot {
                name: local,
                title: "local".into(),
                kind: BootKind::Local(LocalHow::Auto),
                vars: Vars::new(),
                needs: BTreeSet::new(),
            },
        )]),
        machines: Vec::new().into(),
        rules: Vec::new(),
    }
}

/// A machine with a reservation.
pub(crate) fn machine(name: &str, macs: &[&str], address: &str) -> Machine {
    Machine {
        name: name.into(),
        macs: macs.iter().map(|mac| mac.parse().unwrap()).collect(),
        uuid: None,
        client_id: None,
        serial: None,
        address: Some(ip(address)),
        overrides: Overrides::default(),
    }
}

pub(crate) fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}
