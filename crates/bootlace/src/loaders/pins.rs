//! What every file must be: SHA-256 sums, in a file beside the loaders that `sha256sum --check` reads, too.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// The file of the pins, in the folder of its set.
pub const LOCK: &str = "loaders.lock";

/// Its first line.
const HEADING: &str = "# Bootlace: SHA-256 of the loaders in this folder";
/// What comes before the sum of the archive that they are from.
const ARCHIVE: &str = "# archive: ";
/// What comes before its name.
const RELEASE: &str = "# release: ";

/// SHA-256 of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum([u8; 32]);

/// A release that is known by its sum.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// What its project calls it.
    pub name: &'static str,
    /// Where its project has it.
    pub url: &'static str,
    /// SHA-256 of its archive, in hexadecimal.
    pub sha256: &'static str,
}

/// The releases whose archives need no `--sha256`, the latest one first.
///
/// The sums are what GitHub gives as `digest` of the files, which several independent projects pin as well; see
/// docs/loaders.md.
pub const RELEASES: [Release; 1] = [Release {
    name: "iPXE 2.0.0",
    url: "https://github.com/ipxe/ipxe/releases/download/v2.0.0/ipxeboot.tar.gz",
    sha256: "01a526d4cc791fc30362259c609d6c506cc64a7bdff51b9a5eb788354e17eee1",
}];

/// The pins of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    /// The archive that it is from.
    pub archive: Sum,
    /// What is known of that archive.
    pub release: String,
    /// Every file, by its name below the folder of the set.
    pub files: BTreeMap<String, Sum>,
}

impl Sum {
    /// The sum of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The release whose archive it is.
    pub fn release(&self) -> Option<&'static Release> {
        RELEASES.iter().find(|release| release.sha256.parse() == Ok(*self))
    }
}

/// It is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSum;

impl fmt::Display for NoSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SHA-256 sum has 64 hexadecimal digits")
    }
}

impl std::error::Error for NoSum {}

impl FromStr for Sum {
    type Err = NoSum;

    fn from_str(text: &str) -> Result<Self, NoSum> {
        // GitHub writes the method before it.
        let text = text.strip_prefix("sha256:").unwrap_or(text);
        let mut sum = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoSum);
        }
        for (byte, pair) in sum.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = str::from_utf8(pair).map_err(|_| NoSum)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NoSum)?;
        }
        Ok(Self(sum))
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADING}\n{RELEASE}{}\n{ARCHIVE}{}", self.release, self.archive)?;
        self.files.iter().try_for_each(|(name, sum)| writeln!(f, "{sum}  {name}"))
    }
}

impl Pins {
    /// Reads the file.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(HEADING) {
            bail!("its first line is not {HEADING:?}");
        }
        let mut head = |what| lines.next().and_then(|line| line.strip_prefix(what));
        let release = head(RELEASE).context("it names no release")?.to_owned();
        let archive = head(ARCHIVE).context("it names no archive")?.parse()?;
        let mut files = BTreeMap::new();
        for line in lines {
            let (sum, name) = line.split_once("  ").with_context(|| format!("what is the line {line:?}?"))?;
            if files.insert(name.to_owned(), sum.parse()?).is_some() {
                bail!("it names {name} twice");
            }
        }
        Ok(Self { archive, release, files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_as_they_are_written() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sum::of(b"").to_string(), empty);
        assert_eq!(empty.to_uppercase().parse(), Ok(Sum::of(b"")));
        assert_eq!(format!("sha256:{empty}").parse(), Ok(Sum::of(b"")));
        for wrong in ["", "e3", &empty[1..], &empty.replace('e', "g"), &empty.replace("e3", "+3")] {
            assert_eq!(wrong.parse::<Sum>(), Err(NoSum), "{wrong}");
        }
        assert!(RELEASES.iter().all(|release| release.sha256.parse::<Sum>().is_ok()));
    }

    #[test]
    fn pins_are_read_as_they_were_written() {
        let file = |name: &str| (name.to_owned(), Sum::of(name.as_bytes()));
        let pins = Pins {
            archive: Sum::of(b"archive"),
            release: "iPXE 2.0.0".to_owned(),
            files: [file("arm64-sb/ipxe.efi"), file("x86_64-sb/shimx64.efi")].into(),
        };
        let text = pins.to_string();
        assert_eq!(Pins::parse(&text).unwrap(), pins);
        for wrong in
            ["", "x", &text.replace("archive", "other"), &format!("{text}x\n"), &format!("{text}0  x\n")]
        {
            assert!(Pins::parse(wrong).is_err(), "{wrong}");
        }
        let twice = format!("{text}{}  arm64-sb/ipxe.efi\n", Sum::of(b"other"));
        assert!(Pins::parse(&twice).unwrap_err().to_string().contains("twice"));
    }
}
