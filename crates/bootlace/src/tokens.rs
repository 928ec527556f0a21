//! Tokens for the answers of installers, and what else nobody but this server can make. A token says which machine is installed with
//! what, and in which session, and only this server can make one, so none has to be stored, and a restart in the middle of an installation
//! changes nothing.
//!
//! The alternatives were random tokens in the store, each with a commit before its script leaves, and random ones in
//! memory, which a restart would forget.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bootlace_core::config::BootName;
use bootlace_core::model::Timestamp;
use bootlace_core::oneshot::Taker;
use bootlace_core::session::SessionId;
use bootlace_wire::{HwAddr, Mac as HwMac};
use hmac::{Hmac, KeyInit, Mac};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::Sha256;

/// How long after the beginning of its boot a token opens something: a slow mirror and a slow disk together.
pub const TOKEN_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// The key's file in the state folder.
const FILE: &str = "token.key";
/// A block of SHA-256, which is the longest key that HMAC takes as it is.
const KEY_BYTES: usize = 64;
/// MAC, session, and when that began; the boot's name follows the tag as it is, since it can stand in a URL.
const CLAIM_BYTES: usize = 6 + 8 + 8;
/// Of the 32 bytes of HMAC-SHA-256 (RFC 2104, 5: no less than half).
const TAG_BYTES: usize = 16;

/// Makes tokens, and knows its own.
#[derive(Clone)]
pub struct Tokens([u8; KEY_BYTES]);

/// What something is derived for. Nothing of one purpose tells anything of another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A token of an installation.
    Token,
    /// What tells the disks of two boots apart.
    DiskOfBoot,
    /// That a disk's name is one of ours.
    DiskName,
    /// The secret of a disk.
    DiskSecret,
}

impl Purpose {
    /// None begins with another one.
    fn label(self) -> &'static [u8] {
        match self {
            Self::Token => b"bootlace: a token for the answers of an installer",
            Self::DiskOfBoot => b"bootlace: the boot that a disk is named for",
            Self::DiskName => b"bootlace: the name of a machine's disk",
            Self::DiskSecret => b"bootlace: the secret of a machine's disk",
        }
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The machine.
    pub hw: HwAddr,
    /// The session in which it is installed.
    pub taker: Taker,
    /// What installs it: the session may be forgotten long before the installer asks for something.
    pub boot: BootName,
}

impl Tokens {
    /// With the key in the state folder, which is made if there is none.
    pub fn open(state_dir: &Path) -> Result<Self> {
        let path = state_dir.join(FILE);
        let shown = || path.display().to_string();
        match File::open(&path) {
            Ok(file) => {
                let mut key = Vec::new();
                file.take(KEY_BYTES as u64 + 1).read_to_end(&mut key).with_context(shown)?;
                let key = key.try_into().ok();
                ensure!(
                    key.is_some(),
                    "{} is no key of {KEY_BYTES} bytes; remove it, and a new one is made",
                    shown()
                );
                key.map(Self).with_context(shown)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::random()?;
                key.write(state_dir).with_context(shown)?;
                Ok(key)
            }
            Err(error) => Err(error).with_context(shown),
        }
    }

    /// With a key of this moment.
    pub fn random() -> Result<Self> {
        let mut key = [0; KEY_BYTES];
        getrandom(&mut key, GetRandomFlags::empty()).context("cannot get random bytes")?;
        Ok(Self(key))
    }

    /// Whole and durable, or not at all.
    fn write(&self, state_dir: &Path) -> io::Result<()> {
        let new = state_dir.join("token.key.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&self.0)?;
        file.sync_all()?;
        fs::rename(&new, state_dir.join(FILE))?;
        File::open(state_dir)?.sync_all()
    }

    /// The token of a boot: always the same. None for what has no MAC of Ethernet.
    pub fn of(&self, bearer: &Bearer) -> Option<String> {
        let claim = claim(bearer)?;
        let tag = self.derive(Purpose::Token, &[&claim, bearer.boot.as_str().as_bytes()]);
        let bytes = claim.iter().chain(&tag[..TAG_BYTES]);
        let hex: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        Some(hex + bearer.boot.as_str())
    }

    /// What a token says, if it is one of ours and of this time.
    pub fn read(&self, token: &str, now: Timestamp) -> Result<Bearer, &'static str> {
        const NONE: &str = "this is no token";
        let (hex, boot) = token.split_at_checked(2 * (CLAIM_BYTES + TAG_BYTES)).ok_or(NONE)?;
        let bytes = unhex(hex).ok_or(NONE)?;
        let (claim, tag) = bytes.split_at_checked(CLAIM_BYTES).ok_or(NONE)?;
        let own = self.keyed(Purpose::Token, &[claim, boot.as_bytes()]);
        own.verify_truncated_left(tag).map_err(|_| NONE)?;
        let boot = BootName::new(boot).ok_or(NONE)?;
        let number = |at: usize| -> u64 {
            claim[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let mac: [u8; 6] = claim[..6].try_into().map_err(|_| NONE)?;
        let started = Timestamp(number(14).cast_signed());
        if now.since(started) > TOKEN_LIFE {
            return Err("this token is too old");
        }
        let taker = Taker { session: SessionId(number(6)), started };
        Ok(Bearer { hw: HwMac(mac).into(), taker, boot })
    }

    /// Bytes that only this server can make of `parts`, and always the same.
    pub fn derive(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        self.keyed(purpose, parts).finalize().into_bytes().into()
    }

    fn keyed(&self, purpose: Purpose, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        mac.update(purpose.label());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

fn claim(bearer: &Bearer) -> Option<[u8; CLAIM_BYTES]> {
    let mut claim = [0; CLAIM_BYTES];
    claim[..6].copy_from_slice(&bearer.hw.mac()?.0);
    claim[6..14].copy_from_slice(&bearer.taker.session.0.to_be_bytes());
    claim[14..].copy_from_slice(&bearer.taker.started.0.to_be_bytes());
    Some(claim)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|c| c.to_digit(16).filter(|_| !c.is_ascii_uppercase()));
    let digits = digits.collect::<Option<Vec<_>>>()?;
    let (pairs, _) = digits.as_chunks::<2>();
    Some(pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn bearer() -> Bearer {
        let taker = Taker { session: SessionId(7), started: NOW };
        Bearer {
            hw: HwMac([0x52, 0x54, 0, 1, 2, 3]).into(),
            taker,
            boot: BootName::new("debian-12").unwrap(),
        }
    }

    #[test]
    fn what_is_derived_is_of_its_purpose_and_parts() {
        let tokens = Tokens([1; KEY_BYTES]);
        let one = tokens.derive(Purpose::DiskName, &[b"ab", b"c"]);
        assert_eq!(one, tokens.derive(Purpose::DiskName, &[b"ab", b"c"]));
        assert_ne!(one, tokens.derive(Purpose::DiskName, &[b"a", b"bc"]));
        assert_ne!(one, tokens.derive(Purpose::DiskSecret, &[b"ab", b"c"]));
        assert_ne!(one, Tokens([2; KEY_BYTES]).derive(Purpose::DiskName, &[b"ab", b"c"]));
        let all = [Purpose::Token, Purpose::DiskOfBoot, Purpose::DiskName, Purpose::DiskSecret];
        for one in all {
            for other in all.into_iter().filter(|other| *other != one) {
                assert!(!one.label().starts_with(other.label()));
            }
        }
    }

    #[test]
    fn a_token_is_read_by_who_made_it_and_for_its_time() {
        let tokens = Tokens([1; KEY_BYTES]);
        let token = tokens.of(&bearer()).unwrap();
        assert_eq!(token, tokens.of(&bearer()).unwrap(), "asking again gives the same");
        assert_eq!(tokens.read(&token, NOW), Ok(bearer()));
        assert_eq!(tokens.read(&token, NOW.after(TOKEN_LIFE)), Ok(bearer()));
        let late = NOW.after(TOKEN_LIFE + Duration::from_millis(1));
        assert_eq!(tokens.read(&token, late), Err("this token is too old"));
        assert!(Tokens([2; KEY_BYTES]).read(&token, NOW).is_err());
    }

    #[test]
    fn a_token_with_anything_changed_is_none() {
        let tokens = Tokens([1; KEY_BYTES]);
        let token = tokens.of(&bearer()).unwrap();
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            assert!(tokens.read(std::str::from_utf8(&other).unwrap(), NOW).is_err(), "{at}");
        }
        let hex = &token[..2 * (CLAIM_BYTES + TAG_BYTES)];
        let of_another_boot = format!("{hex}ubuntu");
        assert_eq!(token, format!("{hex}debian-12"), "no longer than it has to be");
        for other in
            ["", "00", hex, &of_another_boot, &hex[2..], &format!("{token}0"), &token.to_uppercase(), "é"]
        {
            assert!(tokens.read(other, NOW).is_err(), "{other}");
        }
    }

    #[test]
    fn the_key_is_kept_and_is_its_owners() {
        let dir = tempfile::tempdir().unwrap();
        let token = Tokens::open(dir.path()).unwrap().of(&bearer()).unwrap();
        assert_eq!(Tokens::open(dir.path()).unwrap().read(&token, NOW), Ok(bearer()));
        let file = dir.path().join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "short").unwrap();
        let error = Tokens::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("token.key is no key"), "{error}");
    }
}
