//! What pxelinux does after it was loaded: the configs it looks for, and the files that the one it finds names.

use std::net::Ipv4Addr;

use bootlace_wire::Mac;

use crate::model::Uuid;

/// The names that pxelinux asks for, most specific first (syslinux, core/fs/pxe): raw UUID, hardware type and
/// MAC, the address in hexadecimal growing shorter, `default`. Those by an address that is not known are left out.
pub fn config_names(uuid: Option<Uuid>, mac: Mac, address: Option<Ipv4Addr>) -> Vec<String> {
    let mut names = Vec::new();
    // The bytes are printed as they lie in SMBIOS, which is not the canonical order.
    names.extend(uuid.map(|uuid| uuid.swapped().to_string()));
    names.push(format!("01-{}", mac.dashed()));
    let hex = address.map(|address| format!("{:08X}", u32::from(address))).unwrap_or_default();
    names.extend((1..=hex.len()).rev().map(|len| hex[..len].to_owned()));
    names.push("default".to_owned());
    names
}

/// The kernel and initrds of the label that a config boots by itself, in the order of their download; empty when
/// a person has to choose or the config shows a menu.
pub fn default_files(config: &str) -> Vec<String> {
    let mut wanted: Option<String> = None;
    let mut current: Option<String> = None;
    let mut kernel: Option<String> = None;
    let mut initrds: Vec<String> = Vec::new();
    for line in config.lines().map(str::trim) {
        let Some((keyword, rest)) = line.split_once(char::is_whitespace) else { continue };
        let rest = rest.trim();
        let is_default = current.is_some() && current == wanted;
        match keyword.to_ascii_lowercase().as_str() {
            "default" | "ontimeout" if wanted.is_none() => {
                wanted = rest.split_whitespace().next().map(str::to_owned);
            }
            "ui" => return Vec::new(),
            "label" => {
                current = rest.split_whitespace().next().map(str::to_owned);
                if wanted.is_none() {
                    wanted.clone_from(&current);
                }
            }
            "kernel" | "linux" if is_default => kernel = Some(rest.to_owned()),
            "initrd" if is_default => initrds.extend(rest.split(',').map(str::to_owned)),
            "append" if is_default => {
                let arguments = rest.split_whitespace().filter_map(|word| word.strip_prefix("initrd="));
                initrds.extend(arguments.flat_map(|names| names.split(',')).map(str::to_owned));
            }
            _ => {}
        }
    }
    kernel.into_iter().chain(initrds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_from_the_most_specific_to_default() {
        let uuid = "4c4c4544-0039-4e10-804e-b9c04f4d344a".parse().ok();
        let mac = Mac([0, 0x26, 0xb9, 0x5e, 0x30, 0x3a]);
        let names = config_names(uuid, mac, Some(Ipv4Addr::new(192, 168, 7, 68)));
        assert_eq!(config_names(None, mac, None), ["01-00-26-b9-5e-30-3a", "default"]);
        assert_eq!(
            names,
            [
                "44454c4c-3900-104e-804e-b9c04f4d344a",
                "01-00-26-b9-5e-30-3a",
                "C0A80744",
                "C0A8074",
                "C0A807",
                "C0A80",
                "C0A8",
                "C0A",
                "C0",
                "C",
                "default"
            ]
        );
    }

    #[test]
    fn finds_the_files_of_the_default_label() {
        let config = "DEFAULT lin\nPROMPT 0\nLABEL other\n KERNEL other.c32\nLABEL lin\n LINUX debian/linux\n INITRD debian/initrd.gz\n APPEND quiet\n";
        assert_eq!(default_files(config), ["debian/linux", "debian/initrd.gz"]);
        assert_eq!(default_files("label a\nkernel k\nappend initrd=x,y z\n"), ["k", "x", "y"]);
        assert!(default_files("UI menu.c32\nLABEL a\nKERNEL k\n").is_empty());
    }
}
