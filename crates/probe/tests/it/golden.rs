//! Boots as they are told: every step with its time, and the end. `UPDATE_GOLDEN=1` accepts, then read the diff.

use std::fmt::Write as _;
use std::path::PathBuf;

use bootlace_probe::{Client, Kind};
use bootlace_wire::dhcp::{Code, Message, MessageType};

use crate::world::{Answers, LEASED, PROXY, SERVER, World, classic, kernel, lease, loader, named, ok};

fn told(client: &Client) -> String {
    let mut text = String::new();
    for step in client.report().steps() {
        let _ = writeln!(text, "{:8.3} {:<8} {}", step.at.as_secs_f64(), step.kind.name(), step.text);
    }
    text
}

fn check(name: &str, client: &Client) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../fixtures/probe/{name}.txt"));
    let text = told(client);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{name}: UPDATE_GOLDEN=1 accepts");
}

const SCRIPT: &str = "#!ipxe
set base http://10.188.0.10/debian
isset ${serial} || set serial none
iseq ${platform} pcbios && set console ttyS0 || set console ttyAMA0
kernel ${base}/linux console=${console} mac=${net0/mac:hexhyp} ip=${ip} serial=${serial:uristring} || goto failed
initrd --name initrd.gz ${base}/initrd.gz || goto failed
boot || goto failed
:failed
echo failed
exit 1
";

fn linux() -> World {
    let mut world = World { dhcp: classic, ..World::default() };
    world.tftp.insert("undionly.kpxe", loader(70_000));
    world.tftp.insert("snponly.efi", loader(150_001));
    world.http.insert("/boot.ipxe", ok(SCRIPT.as_bytes()));
    world.http.insert("/debian/linux", ok(&kernel(500_000)));
    world.http.insert("/debian/initrd.gz", ok(&[1; 300_000]));
    world
}

#[test]
fn bios_through_ipxe_to_linux() {
    check("bios-linux", &linux().boot(Kind::Bios));
}

#[test]
fn uefi_through_ipxe_to_linux() {
    check("uefi-x64-linux", &linux().boot(Kind::UefiX64));
}

#[test]
fn the_same_with_every_seventh_packet_lost() {
    let world = World { loss: 7, ..linux() };
    let client = world.boot(Kind::UefiX64);
    let files: Vec<u64> = client.report().files().iter().map(|file| file.bytes).collect();
    assert_eq!(files, [150_001, SCRIPT.len() as u64, 500_000, 300_000], "{}", told(&client));
}

#[test]
fn ipxe_does_not_wait_for_a_proxy_that_there_is_not() {
    let dhcp = |request: &Message| {
        let mut answers = classic(request);
        answers[0].1.options.set(Code::IPXE, [176, 1, 1]);
        answers
    };
    check("ipxe-no-proxy", &World { dhcp, ..linux() }.boot(Kind::Ipxe));
}

fn beside_a_proxy(request: &Message) -> Answers {
    let mut own = lease(request);
    own.siaddr = [0, 0, 0, 0].into();
    let mut proxy = request.reply();
    proxy.siaddr = SERVER;
    proxy.options.set_u8(Code::MESSAGE_TYPE, MessageType::Offer.code());
    proxy.options.set_ip(Code::SERVER_ID, PROXY);
    proxy.options.set_text(Code::VENDOR_CLASS, "PXEClient");
    match request.message_type() {
        Some(MessageType::Discover) => vec![(SERVER, own), (PROXY, proxy)],
        _ => vec![(SERVER, own)],
    }
}

#[test]
fn uefi_asks_port_4011_of_a_proxy() {
    let boot_server = |request: &Message| {
        assert_eq!((request.ciaddr, request.broadcast), (LEASED, false));
        let mut reply = named(request.reply(), "snponly.efi");
        reply.siaddr = SERVER;
        reply.options.set_u8(Code::MESSAGE_TYPE, MessageType::Ack.code());
        Some(reply)
    };
    let mut world = World { dhcp: beside_a_proxy, boot_server, ..World::default() };
    world.tftp.insert("snponly.efi", loader(5000));
    check("uefi-x64-proxy", &world.boot(Kind::UefiX64));
}

#[test]
fn http_boot_takes_a_url() {
    let dhcp = |request: &Message| {
        let mut reply = named(lease(request), "http://10.188.0.10/boot.efi");
        reply.options.set_text(Code::VENDOR_CLASS, "HTTPClient");
        vec![(SERVER, reply)]
    };
    let mut world = World { dhcp, ..World::default() };
    world.http.insert("/boot.efi", ok(&loader(1_000_000)));
    check("http-x64-program", &world.boot(Kind::HttpX64));
}

#[test]
fn pxelinux_searches_its_config() {
    let dhcp = |request: &Message| vec![(SERVER, named(lease(request), "boot/pxelinux.0"))];
    let mut world = World { dhcp, ..World::default() };
    world.tftp.insert("boot/pxelinux.0", [&loader(40_000)[..], b"ldlinux.c32"].concat());
    world.tftp.insert("boot/ldlinux.c32", loader(100_000));
    let config = b"default linux\nlabel linux\n kernel vmlinuz\n append initrd=initrd.gz quiet\n";
    world.tftp.insert("boot/pxelinux.cfg/0ABC", config.to_vec());
    world.tftp.insert("boot/vmlinuz", kernel(80_000));
    world.tftp.insert("boot/initrd.gz", vec![7; 512 * 20]);
    check("bios-pxelinux", &world.boot(Kind::Bios));
}

#[test]
fn lpxelinux_fetches_by_http_and_goes_from_a_menu_to_a_config() {
    let dhcp = |request: &Message| {
        let mut reply = named(lease(request), "lpxelinux.0");
        reply.options.set_text(Code::PXELINUX_PREFIX, "http://10.188.0.10/tree/");
        vec![(SERVER, reply)]
    };
    let mut world = World { dhcp, ..World::default() };
    world.tftp.insert("lpxelinux.0", [&loader(70_000)[..], b"ldlinux.c32"].concat());
    world.http.insert("/tree/ldlinux.c32", ok(&loader(100_000)));
    let menu = "SAY What?\nUI menu.c32\nTIMEOUT 50\nONTIMEOUT b\nLABEL a\n LOCALBOOT 0\nLABEL b\n MENU DEFAULT\n CONFIG pxelinux.cfg/boot-b\n";
    world.http.insert("/tree/pxelinux.cfg/01-52-54-00-12-34-56", ok(menu.as_bytes()));
    let config = "DEFAULT b\nLABEL b\n LINUX http://10.188.0.10/linux\n INITRD ::initrd.gz\n APPEND quiet\n";
    world.http.insert("/tree/pxelinux.cfg/boot-b", ok(config.as_bytes()));
    world.http.insert("/linux", ok(&kernel(80_000)));
    world.tftp.insert("initrd.gz", vec![7; 9000]);
    check("bios-lpxelinux-menu", &world.boot(Kind::Bios));
}

#[test]
fn grub_goes_from_a_menu_to_a_config_on_the_server_that_it_names() {
    let mut world = World { dhcp: classic, ..World::default() };
    let menu = "set default=1\nset timeout=5\nmenuentry 'a' {\nexit\n}\nmenuentry 'b' {\nconfigfile '(http,10.188.0.10)/b.cfg'\n}\n";
    world.tftp.insert("grub/grub.cfg-01-52-54-00-12-34-56", menu.as_bytes().to_vec());
    let config = "echo 'boot b'\nif linux '(tftp,10.188.0.10)/linux' 'quiet'; then\nif initrd '(http,10.188.0.10)/initrd'; then\nboot\nfi\nfi\nexit 1\n";
    world.http.insert("/b.cfg", ok(config.as_bytes()));
    world.http.insert("/initrd", ok(&[1; 3000]));
    world.tftp.insert("linux", kernel(70_000));
    check("grub-menu", &world.boot(Kind::Grub));
    world.http.insert("/b.cfg", ok(b"echo 'Bootlace: there is no such disk'\nsleep 10\nexit 1\n"));
    check("grub-leaves", &world.boot(Kind::Grub));
    world.http.insert("/b.cfg", ok(b"configfile (http,10.188.0.10)/b.cfg\n"));
    check("grub-in-circles", &world.boot(Kind::Grub));
}

#[test]
fn grub_finds_its_config_behind_shim() {
    let dhcp = |request: &Message| vec![(SERVER, named(lease(request), "shimx64.efi"))];
    let mut world = World { dhcp, ..World::default() };
    world.tftp.insert("shimx64.efi", loader(90_000));
    world.tftp.insert("grubx64.efi", loader(200_000));
    let config = b"set default=1\nmenuentry 'a' {\n linux /a\n}\nmenuentry 'b' {\n linux /b/linux root=x\n initrd /b/initrd\n}\n";
    world.tftp.insert("grub/grub.cfg", config.to_vec());
    world.tftp.insert("b/linux", kernel(70_000));
    world.tftp.insert("b/initrd", vec![7; 5000]);
    check("uefi-x64-shim-grub", &world.boot(Kind::UefiX64));
}

#[test]
fn scripts_lead_to_menus_disks_and_home() {
    let scripts: [(&str, &str); 4] = [
        (
            "script-menu",
            "#!ipxe\nmenu Which? || goto x\nitem a A\nitem --gap\nitem b B\nchoose --default b --timeout 5000 c || exit 1\nchain --replace /${c}.ipxe ||\nexit 1\n",
        ),
        (
            "script-san",
            "#!ipxe\nset initiator-iqn iqn.x:${mac:hexraw}\nsanboot iscsi:10.188.0.10:6:3260:0:iqn.y:disk || exit\n",
        ),
        ("script-local", "#!ipxe\nchain local.ipxe || exit 3\nexit 4\n"),
        (
            "script-params",
            "#!ipxe\nparams\nparam name ${hostname} x\nchain http://10.188.0.10/posted##params\n",
        ),
    ];
    for (name, script) in scripts {
        let mut world = World { dhcp: classic, ..World::default() };
        world.http.insert("/boot.ipxe", ok(script.as_bytes()));
        world.http.insert("/b.ipxe", ok(b"#!ipxe\nexit 0\n"));
        world.http.insert("/local.ipxe", ok(b"#!ipxe\nisset ${nothing} && exit 9 ||\nexit 7\n"));
        world.http.insert("/posted", ok(b"#!ipxe\nsanboot --drive 0x80\n"));
        check(name, &world.boot(Kind::Ipxe));
    }
}

#[test]
fn systems_want_an_address_and_no_more() {
    for kind in [Kind::Kernel, Kind::Dhclient, Kind::Networkd, Kind::Udhcpc] {
        let client = World { dhcp: classic, ..World::default() }.boot(kind);
        check(&format!("{kind}-lease"), &client);
    }
}
