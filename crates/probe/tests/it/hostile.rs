//! A server that sends anything: the boot ends, and nothing panics.

use bootlace_probe::Kind;
use bootlace_wire::dhcp::Message;

use crate::survive::mutate;
use crate::world::{SERVER, World, classic, kernel, lease, loader, named, ok};

const BOOTS: u64 = 300;
const SEED: u64 = 0x7072_6f62;

const SCRIPT: &str = "#!ipxe
:again
menu --name m ${net0/mac} ${hostname:uristring} || goto x
item --menu m --key 0x61 a Boot ${66:string}
choose --menu m --default a --timeout 100 c || goto x
params && param a ${uuid} && chain /posted##params ||
inc n && iseq ${n} 3 || goto again
imgfetch --name i /initrd one two=${netX/ip}
imgargs i three
kernel /linux ${i:int8} ${unknown}
sanhook --drive 0x81 iscsi:10.188.0.10::::iqn.x || boot
:x
exit ${n}
";

fn worlds() -> Vec<World> {
    let mut scripts = World { dhcp: classic, ..World::default() };
    scripts.tftp.insert("undionly.kpxe", loader(5000));
    scripts.tftp.insert("snponly.efi", loader(5000));
    scripts.http.insert("/boot.ipxe", ok(SCRIPT.as_bytes()));
    scripts.http.insert("/linux", ok(&kernel(5000)));
    scripts.http.insert(
        "/initrd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec(),
    );
    scripts.http.insert("/posted", b"HTTP/1.1 302 Found\r\nLocation: /linux\r\n\r\n".to_vec());
    let config = |request: &Message| {
        let is_efi = request.arch().first().is_some_and(|arch| arch.0 != 0);
        vec![(SERVER, named(lease(request), if is_efi { "grubx64.efi" } else { "pxelinux.0" }))]
    };
    let mut loaders = World { dhcp: config, ..World::default() };
    loaders.tftp.insert("pxelinux.0", loader(2000));
    loaders.tftp.insert("grubx64.efi", loader(2000));
    loaders.tftp.insert(
        "pxelinux.cfg/default",
        b"default a\ninclude b\nlabel a\nkernel linux\ninitrd i,j\nappend x\n".to_vec(),
    );
    loaders.tftp.insert("b", b"include b\n".to_vec());
    loaders.tftp.insert(
        "grub/grub.cfg",
        b"set default=\"0\"\nmenuentry a {\nlinux /linux x\ninitrd /i /j\n}\n".to_vec(),
    );
    for name in ["linux", "i", "j"] {
        loaders.tftp.insert(name, kernel(2000));
    }
    vec![scripts, loaders]
}

#[test]
fn damaged_answers_end_every_boot() {
    let mut mutator = mutate::Mutator::new(SEED);
    let worlds = worlds();
    for boot in 0..BOOTS {
        for (number, world) in worlds.iter().enumerate() {
            let kind = Kind::ALL[mutator.below(Kind::ALL.len())];
            // Few packets are damaged in some boots, most in others.
            let rarity = 1 + mutator.below(20);
            let client = world.boot_through(kind, &mut |bytes| {
                if mutator.below(rarity) == 0 {
                    *bytes = mutator.mutant(std::slice::from_ref(bytes));
                }
            });
            assert!(client.outcome().is_some(), "boot {boot} of world {number} as {kind}");
        }
    }
}

#[test]
fn damaged_scripts_and_configs_end_every_boot() {
    let mut mutator = mutate::Mutator::new(SEED + 1);
    for _ in 0..BOOTS {
        for mut world in worlds() {
            for text in world.http.values_mut() {
                let body = text.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
                let mutant = mutator.mutant(&[text[body..].to_vec(), SCRIPT.as_bytes().to_vec()]);
                *text = ok(&mutant);
            }
            for (_, text) in world.tftp.iter_mut().filter(|(name, _)| name.contains("cfg")) {
                *text = mutator.mutant(std::slice::from_ref(text));
            }
            let kind = Kind::ALL[mutator.below(Kind::ALL.len())];
            assert!(world.boot(kind).outcome().is_some());
        }
    }
}

/// Values that contain themselves, and lines that grow.
#[test]
fn scripts_that_grow_end() {
    let lines = [
        "set a ${b}${b}\nset b ${a}${a}\necho ${a}",
        ":x\nset a ${a}${a}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\ngoto x",
        ":x\ninc a\nset v${a} 1\nmenu --name m${a} t\nitem --menu m${a} l\ngoto x",
        ":x\nimgfetch /boot.ipxe\ngoto x",
        ":x\nchain --replace /boot.ipxe",
        ":x\nprompt --timeout 4294967295\ngoto x",
        ":x\nsleep 4294967295\ngoto x",
        ":x\ndhcp\ngoto x",
        "echo ${${${${${${",
        "set a ${:}${/}${net0/}${/:}\nexit 99999999999",
    ];
    for text in lines {
        let mut world = World { dhcp: classic, ..World::default() };
        world.http.insert("/boot.ipxe", ok(format!("#!ipxe\n{text}\n").as_bytes()));
        assert!(world.boot(Kind::Ipxe).outcome().is_some(), "{text}");
    }
}
