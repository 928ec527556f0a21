//! Features that a boot needs, and the way into a loader of ours.

use std::collections::BTreeSet;

use bootlace_core::boot::features::{IpxeFeatures, missing, needs};
use bootlace_core::boot::template::Language;
use bootlace_core::config::{BootKind, Location};
use bootlace_core::event::ScriptStep;
use bootlace_core::files::{FileRequest, Resolution, Resource, resolve};
use bootlace_core::model::{Firmware, Var};
use bootlace_wire::dhcp::Feature;

use super::sample::{add_boot, config, debian_loaders, facts, name, qemu_rom, request, template};

#[test]
fn by_kind_and_firmware() {
    let mut config = config();
    add_boot(
        &mut config,
        "https",
        BootKind::Chain { url: template("HTTPS://x/{{ client.serial }}", Language::Url) },
    );
    let nfs = Location::Url(template("nfs://x/kernel", Language::Url));
    let cmdline = template("", Language::KernelArgs);
    add_boot(&mut config, "nfs", BootKind::Linux { kernel: nfs, initrd: Vec::new(), cmdline, shim: None });
    let cases: [(&str, Firmware, &[Feature]); 12] = [
        ("local", Firmware::Bios, &[]),
        ("custom", Firmware::Bios, &[]),
        ("rescue", Firmware::Bios, &[Feature::Bzimage, Feature::Http]),
        ("rescue", Firmware::UefiX64, &[Feature::Efi, Feature::Http]),
        ("nfs", Firmware::Bios, &[Feature::Bzimage, Feature::Nfs]),
        ("pxelinux", Firmware::Bios, &[Feature::Pxe, Feature::Http]),
        ("salstar", Firmware::Bios, &[Feature::Http]),
        ("https", Firmware::Bios, &[Feature::Https]),
        ("grub", Firmware::UefiArm64, &[Feature::Efi, Feature::Http]),
        ("menu", Firmware::Bios, &[Feature::Menu, Feature::Http]),
        ("san", Firmware::Bios, &[Feature::Iscsi]),
        ("san", Firmware::HttpX64, &[Feature::Iscsi]),
    ];
    for (boot, firmware, expected) in cases {
        let needed = needs(config.boot(&name(boot)), firmware);
        assert_eq!(needed, expected.iter().copied().collect::<BTreeSet<_>>(), "{boot} {firmware}");
    }
    let custom = config.boots.get_mut(&name("custom")).unwrap();
    custom.needs = [Feature::Https].into();
    assert_eq!(needs(custom, Firmware::Bios), [Feature::Https].into(), "what the config says");
    let rescue = config.boots.get_mut(&name("rescue")).unwrap();
    rescue.needs = [Feature::Vlan, Feature::Http].into();
    let expected = [Feature::Efi, Feature::Http, Feature::Vlan].into();
    assert_eq!(needs(rescue, Firmware::UefiX64), expected, "beside what the kind needs");
    let needed = needs(config.boot(&name("menu")), Firmware::Bios);
    assert_eq!(missing(&needed, &qemu_rom()).to_string(), "menu");
    assert!(missing(&[Feature::Iscsi].into(), &qemu_rom()).is_empty());
    assert_eq!(missing(&needed, &IpxeFeatures::default()).to_string(), "http, menu");
}

fn answer(edit: impl FnOnce(&mut FileRequest<'_>)) -> Resolution {
    let mut config = config();
    config.default = name("menu");
    let (known, loaders, rom) = (facts(&[(Var::Firmware, "bios")]), debian_loaders(), qemu_rom());
    let mut request = request(&known, "", &loaders);
    request.features = Some(&rom);
    edit(&mut request);
    resolve(&config, "boot.ipxe", &request)
}

fn step(resolution: &Resolution) -> &ScriptStep {
    &resolution.script.as_ref().unwrap().step
}

#[test]
fn an_ipxe_that_lacks_something_is_sent_into_ours_once() {
    let first = answer(|_| {});
    let expected = ScriptStep::Chain { loader: "undionly.kpxe".into(), lacks: "menu".into() };
    assert_eq!(*step(&first), expected);
    let Resource::Text { body, .. } = &first.resource else { panic!("{first:?}") };
    assert!(body.contains("chain --autofree http://10.188.0.10/ipxe/undionly.kpxe"), "{body}");
    assert!(matches!(step(&answer(|request| request.chained = true)), ScriptStep::Boot { .. }));
    assert!(matches!(step(&answer(|request| request.features = None)), ScriptStep::Boot { .. }));
    let none = Default::default();
    let config = {
        let mut config = config();
        config.default = name("menu");
        config
    };
    let (known, rom) = (facts(&[(Var::Firmware, "bios")]), qemu_rom());
    let mut request = request(&known, "", &none);
    request.features = Some(&rom);
    let without = resolve(&config, "boot.ipxe", &request);
    assert!(matches!(step(&without), ScriptStep::Boot { .. }), "no loader to send it into");
    let trail = &without.script.as_ref().unwrap().trail;
    assert!(trail.0.iter().any(|line| line.what == "features" && line.result.contains("ipxe")), "{trail:?}");
}
