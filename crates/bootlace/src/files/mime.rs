//! Media types by suffix.

/// What has no known suffix: kernels, initrds, `undionly.kpxe`, `pxelinux.0`.
const BINARY: &str = "application/octet-stream";

/// Suffixes whose type some client reads. EDK2's HTTP boot takes a file for a program, a CD or a disk by its
/// type first and by its suffix only without one (IANA has registered the three `efi` types); the text types
/// are for people with a browser.
const TYPES: [(&str, &str); 15] = [
    ("efi", "application/efi"),
    ("iso", "application/vnd.efi-iso"),
    ("img", "application/vnd.efi-img"),
    ("ipxe", "text/plain; charset=utf-8"),
    ("cfg", "text/plain; charset=utf-8"),
    ("conf", "text/plain; charset=utf-8"),
    ("txt", "text/plain; charset=utf-8"),
    ("ks", "text/plain; charset=utf-8"),
    ("yaml", "text/plain; charset=utf-8"),
    ("yml", "text/plain; charset=utf-8"),
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("gz", "application/gzip"),
    ("xz", "application/x-xz"),
    ("zst", "application/zstd"),
];

/// What Debian's packages add to the name of a program that carries a signature.
const SIGNED: &str = ".signed";

/// The media type of a file name.
pub fn mime_of(name: &str) -> &'static str {
    let name = name.strip_suffix(SIGNED).unwrap_or(name);
    let Some((_, suffix)) = name.rsplit_once('.') else { return BINARY };
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(suffix)).map_or(BINARY, |&(_, mime)| mime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_finds_its_types() {
        let cases = [
            ("ipxe/snponly.EFI", "application/efi"),
            ("debian-12.iso", "application/vnd.efi-iso"),
            ("boot.img", "application/vnd.efi-img"),
            ("custom.ipxe", "text/plain; charset=utf-8"),
            ("grubnetx64.efi.signed", "application/efi"),
            ("undionly.kpxe", BINARY),
            ("debian/linux", BINARY),
            ("efi", BINARY),
        ];
        for (name, mime) in cases {
            assert_eq!(mime_of(name), mime, "{name}");
        }
    }
}
