//! Everything that can go wrong, and the first finding that a machine's owner reads.

use bootlace_probe::{FindingCode, Kind, Outcome, Severity};
use bootlace_wire::dhcp::{Code, Message, MessageType};

use crate::world::{PROXY, SERVER, World, classic, kernel, lease, loader, named, ok, outcome};

fn stopped(world: &World, kind: Kind) -> FindingCode {
    let client = world.boot(kind);
    match outcome(&client) {
        Outcome::Stopped(finding) => {
            assert_eq!(finding.severity, Severity::Error);
            finding.code
        }
        other => panic!("{kind} {other}"),
    }
}

#[test]
fn dhcp() {
    let silent = World::default();
    for kind in Kind::ALL {
        assert_eq!(stopped(&silent, *kind), FindingCode::NoOffer, "{kind}");
    }
    let nobody = |request: &Message| {
        let mut reply = named(lease(request), "x");
        reply.yiaddr = [0, 0, 0, 0].into();
        vec![(SERVER, reply)]
    };
    let offers_only = |request: &Message| {
        let is_discover = request.message_type() == Some(MessageType::Discover);
        if is_discover { vec![(SERVER, named(lease(request), "x"))] } else { Vec::new() }
    };
    let refuses = |request: &Message| {
        let mut reply = named(lease(request), "x");
        if request.message_type() == Some(MessageType::Request) {
            reply.options.set_u8(Code::MESSAGE_TYPE, MessageType::Nak.code());
        }
        vec![(SERVER, reply)]
    };
    let differs = |request: &Message| {
        let mut reply = named(lease(request), "x");
        if request.message_type() == Some(MessageType::Request) {
            reply.yiaddr = [10, 188, 0, 99].into();
        }
        vec![(SERVER, reply)]
    };
    for kind in Kind::ALL.iter().copied().filter(|kind| !matches!(kind, Kind::HttpX64 | Kind::HttpArm64)) {
        let with = |dhcp| World { dhcp, ..World::default() };
        assert_eq!(stopped(&with(nobody), kind), FindingCode::NoAddress, "{kind}");
        assert_eq!(stopped(&with(offers_only), kind), FindingCode::NoAck, "{kind}");
        assert_eq!(stopped(&with(refuses), kind), FindingCode::Refused, "{kind}");
        assert_eq!(stopped(&with(differs), kind), FindingCode::AckDiffers, "{kind}");
    }
}

#[test]
fn offers_that_firmware_cannot_use() {
    let no_mask = |request: &Message| {
        let mut reply = named(lease(request), "x");
        reply.options.remove(Code::SUBNET_MASK);
        vec![(SERVER, reply)]
    };
    assert_eq!(stopped(&World { dhcp: no_mask, ..World::default() }, Kind::UefiX64), FindingCode::NoNetmask);
    let no_id = |request: &Message| {
        let mut reply = named(lease(request), "x");
        reply.options.remove(Code::SERVER_ID);
        vec![(SERVER, reply)]
    };
    assert_eq!(
        stopped(&World { dhcp: no_id, ..World::default() }, Kind::UefiX64),
        FindingCode::OfferUnusable
    );
    let no_file = World { dhcp: |request| vec![(SERVER, lease(request))], ..World::default() };
    for kind in [Kind::Bios, Kind::UefiX64, Kind::HttpX64, Kind::Ipxe] {
        assert_eq!(stopped(&no_file, kind), FindingCode::NoBootFile, "{kind}");
    }
    let plain = World { dhcp: |request| vec![(SERVER, named(lease(request), "x"))], ..World::default() };
    assert_eq!(stopped(&plain, Kind::HttpX64), FindingCode::OfferUnusable);
    let no_url = |request: &Message| {
        let mut reply = named(lease(request), "boot.efi");
        reply.options.set_text(Code::VENDOR_CLASS, "HTTPClient");
        vec![(SERVER, reply)]
    };
    assert_eq!(stopped(&World { dhcp: no_url, ..World::default() }, Kind::HttpX64), FindingCode::NotHttpUrl);
    // A plain server that says PXEClient sends UEFI to port 4011, where nobody is.
    let binl = |request: &Message| {
        let mut reply = named(lease(request), "x");
        reply.options.set_text(Code::VENDOR_CLASS, "PXEClient");
        vec![(SERVER, reply)]
    };
    assert_eq!(
        stopped(&World { dhcp: binl, ..World::default() }, Kind::UefiX64),
        FindingCode::BootServerSilent
    );
}

#[test]
fn tftp() {
    let missing = World { dhcp: classic, ..World::default() };
    let mut whole = World { dhcp: classic, ..World::default() };
    whole.tftp.insert("undionly.kpxe", loader(3000));
    whole.tftp.insert("snponly.efi", loader(3000));
    let mut empty = World { dhcp: classic, ..World::default() };
    empty.tftp.insert("undionly.kpxe", Vec::new());
    empty.tftp.insert("snponly.efi", Vec::new());
    let elsewhere = |request: &Message| {
        let mut reply = named(lease(request), "x");
        reply.siaddr = PROXY;
        vec![(SERVER, reply)]
    };
    for kind in [Kind::Bios, Kind::UefiX64] {
        assert_eq!(stopped(&missing, kind), FindingCode::TftpNotFound);
        assert_eq!(stopped(&empty, kind), FindingCode::FileEmpty);
        assert_eq!(stopped(&World { dhcp: elsewhere, ..World::default() }, kind), FindingCode::TftpSilent);
        for tsize_lie in [1, u64::MAX - 3000] {
            let lie =
                World { tsize_lie, tftp: whole.tftp.clone(), ..World { dhcp: classic, ..World::default() } };
            assert_eq!(stopped(&lie, kind), FindingCode::TftpSize);
        }
        let raised = World {
            oack: |asked| Some(bootlace_wire::tftp::TransferOptions { blksize: Some(8192), ..asked }),
            tftp: whole.tftp.clone(),
            ..World { dhcp: classic, ..World::default() }
        };
        assert_eq!(stopped(&raised, kind), FindingCode::TftpOptions);
        let none =
            World { oack: |_| None, tftp: whole.tftp.clone(), ..World { dhcp: classic, ..World::default() } };
        assert_eq!(stopped(&none, kind), FindingCode::TftpOptions);
    }
}

fn script(text: &str) -> World {
    let mut world = World { dhcp: classic, ..World::default() };
    world.http.insert("/boot.ipxe", ok(text.as_bytes()));
    world.http.insert("/linux", ok(&kernel(1000)));
    world.http.insert("/short", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc".to_vec());
    world.http.insert("/page", ok(b"<html><body>Sorry</body></html>"));
    world.http.insert("/empty", ok(b""));
    world.http.insert("/loop", ok(b"#!ipxe\nchain /loop ||\nexit\n"));
    world
        .http
        .insert("/moved", b"HTTP/1.1 302 Found\r\nLocation: /moved\r\nContent-Length: 0\r\n\r\n".to_vec());
    world
}

#[test]
fn scripts() {
    let expected = [
        ("kernel /none || goto failed\nboot\n:failed\nsleep 3\nexit 1\n", FindingCode::HttpStatus),
        ("chain http://10.188.0.99/x\n", FindingCode::HttpUnreachable),
        ("chain http://10.188.0.10:81/x || exit\n", FindingCode::HttpUnreachable),
        ("chain http://pxe.example.com/x\n", FindingCode::DnsMissing),
        ("chain https://10.188.0.10/x\n", FindingCode::UrlUnknown),
        ("initrd /short\n", FindingCode::HttpShort),
        ("chain /page\n", FindingCode::ScriptNotOne),
        ("kernel /page\nboot\n", FindingCode::ScriptNotOne),
        ("kernel /empty\nboot\n", FindingCode::FileEmpty),
        ("chain /loop\n", FindingCode::ScriptLoop),
        (":a\ngoto a\n", FindingCode::ScriptLoop),
        ("chain /moved\n", FindingCode::HttpRedirect),
        ("kernell /linux\nboot\n", FindingCode::ScriptCommand),
        ("chain --nonsense /linux\n", FindingCode::ScriptArguments),
        ("goto nowhere\n", FindingCode::ScriptLabel),
        ("boot\n", FindingCode::ScriptFailed),
        ("isset ${nothing}\n", FindingCode::ScriptFailed),
        ("set a b\n", FindingCode::ScriptEmpty),
        ("sanboot iscsi:nonsense || exit\n", FindingCode::SanTarget),
        ("set a ${a}${b}\nset b x${b}\n", FindingCode::ScriptEmpty),
    ];
    for (text, code) in expected {
        assert_eq!(stopped(&script(&format!("#!ipxe\n{text}")), Kind::Ipxe), code, "{text}");
    }
    assert_eq!(stopped(&script("kernel /linux\nboot\n"), Kind::Ipxe), FindingCode::ScriptNotOne);
}

#[test]
fn what_failed_before_a_boot_is_told_and_does_not_stop_it() {
    let client = script("#!ipxe\nchain /none ||\nkernel /linux a b\nboot\n").boot(Kind::Ipxe);
    let Outcome::Linux { cmdline, .. } = outcome(&client) else { panic!("{}", outcome(&client)) };
    assert_eq!(cmdline, "a b");
    assert_eq!(client.report().troubles()[0].code, FindingCode::HttpStatus);
}

#[test]
fn loaders() {
    // The server does not know iPXE when it sees it.
    let dhcp = |request: &Message| vec![(SERVER, named(lease(request), "undionly.kpxe"))];
    let mut world = World { dhcp, ..World::default() };
    world.tftp.insert("undionly.kpxe", loader(3000));
    assert_eq!(stopped(&world, Kind::Bios), FindingCode::LoaderLoop);

    let dhcp = |request: &Message| vec![(SERVER, named(lease(request), "pxelinux.0"))];
    let mut world = World { dhcp, ..World::default() };
    world.tftp.insert("pxelinux.0", loader(3000));
    assert_eq!(stopped(&world, Kind::Bios), FindingCode::ConfigMissing);
    world.tftp.insert("pxelinux.cfg/default", b"# nothing\n".to_vec());
    assert_eq!(stopped(&world, Kind::Bios), FindingCode::ConfigUseless);
    let world = World { dhcp, ..World::default() };
    assert_eq!(stopped(&world, Kind::Grub), FindingCode::ConfigMissing);
}
