//! Password hashes as crypt(3) writes them.
//!
//! The texts are those of libxcrypt 4.4, byte for byte. An installer copies them into `/etc/shadow`, where one that differs
//! in a single character locks its user out. That is also why the framing of `$1$`, `$5$` and `$6$` is here: the crates
//! for it write salts of a length that crypt(3) never compares equal. bcrypt and yescrypt come from crates.
//!
//! Pure: a salt is an argument, whoever calls draws it.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

mod base64;
mod md5;
mod setting;
mod sha;
#[cfg(test)]
mod tests;

pub use setting::{Salt, Setting, SettingError};

/// Bytes of the longest password: libxcrypt refuses those that do not fit into 512 with a NUL behind them.
pub const PHRASE_BYTES_MAX: usize = 511;

/// How a password is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `$6$`: understood by every system.
    Sha512,
    /// `$5$`.
    Sha256,
    /// `$1$`: for old systems only; a thousand rounds of MD5 stop nobody today.
    Md5,
    /// `$y$`: what Debian 11, Fedora 35, Ubuntu 22.04 and later use themselves. RHEL 8 and musl do not know it.
    Yescrypt,
    /// `$2b$`: for BSDs, and wherever libxcrypt is.
    Bcrypt,
}

impl Method {
    /// All of them; the default first.
    pub const ALL: [Self; 5] = [Self::Sha512, Self::Sha256, Self::Md5, Self::Yescrypt, Self::Bcrypt];

    /// As commands and the config call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha512 => "sha512",
            Self::Sha256 => "sha256",
            Self::Md5 => "md5",
            Self::Yescrypt => "yescrypt",
            Self::Bcrypt => "bcrypt",
        }
    }

    /// The rounds that can be asked for: how often the digest is computed, the binary logarithm of that for bcrypt, and
    /// libxcrypt's eleven steps of work and memory for yescrypt (1 MiB to 1 GiB). `None`: there is no choice.
    pub fn rounds(self) -> Option<RangeInclusive<u32>> {
        match self {
            Self::Sha512 | Self::Sha256 => Some(1000..=999_999_999),
            Self::Md5 => None,
            Self::Yescrypt => Some(1..=11),
            Self::Bcrypt => Some(4..=31),
        }
    }

    /// The rounds when none are asked for. They are libxcrypt's, but for bcrypt, where its 5 dates from 1999.
    pub fn rounds_default(self) -> u32 {
        match self {
            Self::Sha512 | Self::Sha256 => 5000,
            Self::Md5 => 1000,
            Self::Yescrypt => 5,
            Self::Bcrypt => 10,
        }
    }

    /// How much of a password counts.
    pub fn phrase_bytes(self) -> usize {
        match self {
            Self::Bcrypt => BCRYPT_PHRASE_BYTES,
            _ => PHRASE_BYTES_MAX,
        }
    }

    /// Characters of the digest at a hash's end.
    fn digest_chars(self) -> usize {
        match self {
            Self::Sha512 => 86,
            Self::Sha256 | Self::Yescrypt => 43,
            Self::Md5 => 22,
            Self::Bcrypt => 31,
        }
    }
}

impl FromStr for Method {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|method| method.name() == name).ok_or(())
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Eighteen words of key: bcrypt looks at no more.
const BCRYPT_PHRASE_BYTES: usize = 72;

/// A password as crypt(3) takes it: bytes without a NUL, at most [`PHRASE_BYTES_MAX`].
#[derive(Clone, Copy)]
pub struct Phrase<'a>(&'a [u8]);

/// Why bytes are no password to crypt(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhraseError {
    /// A NUL ends it.
    Nul,
    /// Longer than [`PHRASE_BYTES_MAX`].
    Long,
}

impl<'a> Phrase<'a> {
    /// These bytes, whatever their encoding.
    pub fn new(bytes: &'a [u8]) -> Result<Self, PhraseError> {
        match () {
            () if bytes.len() > PHRASE_BYTES_MAX => Err(PhraseError::Long),
            () if bytes.contains(&0) => Err(PhraseError::Nul),
            () => Ok(Self(bytes)),
        }
    }
}

impl fmt::Debug for Phrase<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password]")
    }
}

impl fmt::Display for PhraseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul => f.write_str("the password has a NUL in it"),
            Self::Long => write!(f, "the password is longer than the {PHRASE_BYTES_MAX} bytes of crypt(3)"),
        }
    }
}

impl std::error::Error for PhraseError {}

/// A whole text of crypt(3): what stands in the second field of `/etc/shadow`.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    setting: Setting,
    text: String,
}

impl Hash {
    /// Hashes a password. The time that it takes is the setting's.
    pub fn of(phrase: Phrase<'_>, setting: &Setting) -> Self {
        Self { text: setting.frame(&setting.digest(phrase.0)), setting: setting.clone() }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it was made.
    pub fn method(&self) -> Method {
        self.setting.method()
    }

    /// Whether it is this password's. It takes as long for a wrong one as for the right one.
    pub fn matches(&self, phrase: Phrase<'_>) -> bool {
        let made = Self::of(phrase, &self.setting);
        let (own, made) = (self.text.as_bytes(), made.text.as_bytes());
        own.len() == made.len() && own.iter().zip(made).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

/// What is logged of it does not help anybody to guess.
impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash]")
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Hash {
    type Err = SettingError;

    /// A text that crypt(3) could have given: no password would ever match another.
    fn from_str(text: &str) -> Result<Self, SettingError> {
        let (setting, digest) = Setting::split(text)?;
        let is_digest = digest.len() == setting.method().digest_chars()
            && digest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/'));
        match is_digest && setting.frame(digest) == text {
            true => Ok(Self { setting, text: text.to_owned() }),
            false => Err(SettingError::Form),
        }
    }
}
