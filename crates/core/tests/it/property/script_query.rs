//! The query of `script`: whatever a machine reports, it gets a script, the same one each time, without a character
//! that a console would obey.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use bootlace_core::boot::loader::LoaderInventory;
use bootlace_core::boot::plan::Entrusted;
use bootlace_core::config::{self, Config, Files, Source};
use bootlace_core::event::Protocol;
use bootlace_core::files::{FileRequest, Identity, Resource, reported_mac, resolve};
use bootlace_core::model::{Facts, Var};
use bootlace_core::oneshot::Offered;

/// Far above a menu with all of its titles.
const SCRIPT_BYTES_MAX: usize = 64 << 10;

const CONFIG: &str = r#"
    default = "menu"
    [dhcp]
    mode = "off"
    [boot.rescue]
    kind = "linux"
    kernel = "debian/linux"
    initrd = ["debian/initrd.gz"]
    cmdline = "host={{ client.hostname }} serial={{ client.serial }} quiet"
    [boot.chained]
    kind = "chain"
    url = "http://{{ server.ip }}/{{ client.product }}?a={{ client.asset }}"
    [boot.menu]
    kind = "menu"
    entries = ["local", "rescue", "chained"]
    [[machine]]
    name = "web1"
    mac = "52:54:00:00:00:01"
    boot = "rescue"
    [[machine]]
    name = "web2"
    uuid = "0063edee-4f41-683a-1c1d-6b02f68cd960"
    boot = "chained"
    [[rule]]
    match = { manufacturer = "QEMU*", serial = "!X*" }
    boot = "rescue"
    [[rule]]
    match = { ip = "10.188.0.0/24", product = ["*PC*"] }
    boot = "chained"
"#;

static SERVED: LazyLock<Config> = LazyLock::new(|| {
    let source = Source { name: "c".into(), folder: "".into(), text: CONFIG.into() };
    config::load(&source, &Files::new()).expect("a good config").config
});
static LOADERS: LazyLock<LoaderInventory> =
    LazyLock::new(|| ["undionly.kpxe", "snponly.efi"].into_iter().collect());

pub(crate) fn check(bytes: &[u8]) {
    // A URL has no control characters; hyper refuses them before.
    let query: String = String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect();
    let mut facts = Facts::new();
    facts.set(Var::Firmware, "uefi-x64");
    for identity in [Identity::Confirmed, Identity::Claimed, Identity::Contradicted] {
        let request = FileRequest {
            next: Offered::default(),
            entrusted: Entrusted::default(),
            bearer: None,
            protocol: Protocol::Http,
            query: &query,
            facts: &facts,
            identity,
            server: Ipv4Addr::new(10, 188, 0, 10),
            features: None,
            chained: false,
            booting: None,
            peer: Ipv4Addr::new(10, 188, 0, 61),
            loaders: &LOADERS,
        };
        let resolution = resolve(&SERVED, "script", &request);
        assert_eq!(resolve(&SERVED, "script", &request), resolution, "asking again gives the same");
        let Resource::Text { body, .. } = &resolution.resource else { panic!("no script: {resolution:?}") };
        assert!(body.starts_with("#!ipxe\n") && body.ends_with('\n') && body.len() < SCRIPT_BYTES_MAX);
        assert!(!body.chars().any(|c| c.is_control() && c != '\n'), "{body:?}");
        assert!(resolution.script.is_some());
    }
    assert!(reported_mac("script", &query).is_none() || query.contains("mac="));
}
