//! What a hash is made with: method, cost and salt, as crypt(3) reads and writes them.

use std::fmt;

use super::{BCRYPT_PHRASE_BYTES, Method, base64, md5, sha};

/// Characters of a salt that MD5 and SHA look at.
const MD5_SALT_CHARS: usize = 8;
const SHA_SALT_CHARS: usize = 16;
/// Bytes of a salt of bcrypt, and of one that is drawn for yescrypt.
const SALT_BYTES: usize = 16;
/// What bcrypt's salt is written in.
const BCRYPT_SALT_CHARS: usize = 22;
/// Bytes of the longest salt that yescrypt takes in a text.
const YESCRYPT_SALT_BYTES_MAX: usize = 64;
/// How yescrypt's cost is written, from libxcrypt's first step to its eleventh: the letter of the mode (`j`, its
/// default), the binary logarithm of N, and the block size.
const YESCRYPT_COSTS: [(&str, u32, u32); 11] = [
    ("j75", 10, 8),
    ("j85", 11, 8),
    ("j7T", 10, 32),
    ("j8T", 11, 32),
    ("j9T", 12, 32),
    ("jAT", 13, 32),
    ("jBT", 14, 32),
    ("jCT", 15, 32),
    ("jDT", 16, 32),
    ("jET", 17, 32),
    ("jFT", 18, 32),
];

/// Where a salt comes from.
#[derive(Clone, Copy, Debug)]
pub enum Salt<'a> {
    /// Drawn for this hash.
    Random([u8; SALT_BYTES]),
    /// As somebody wrote it. Longer ones are cut where crypt(3) cuts them.
    Text(&'a str),
}

/// Method, cost and salt: the beginning of a hash. Its text is what crypt(3) calls the setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Md5 {
        salt: String,
    },
    Sha {
        size: Size,
        /// Written only when somebody asked for them.
        rounds: Option<u32>,
        salt: String,
    },
    Yescrypt {
        cost: usize,
        salt: Vec<u8>,
    },
    Bcrypt {
        revision: Revision,
        cost: u32,
        salt: [u8; SALT_BYTES],
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Bits256,
    Bits512,
}

/// Two names of one thing. `$2a$` is not here: what libxcrypt does for it depends on an old mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Revision {
    B,
    Y,
}

/// Why there is no such setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingError {
    /// It begins like no method that is known here.
    Method,
    /// The method has no choice of rounds.
    NoRounds(Method),
    /// Rounds that the method does not have.
    Rounds(Method),
    /// A character that crypt(3) does not take in a salt of this method.
    SaltCharacter(Method),
    /// A salt that is too short, too long, or not what whole bytes are written as.
    SaltLength(Method),
    /// What follows the salt is nothing that crypt(3) gives.
    Form,
}

impl Setting {
    /// The setting of a new hash. Without `rounds` it is the method's default, and SHA does not mention it.
    pub fn new(method: Method, rounds: Option<u32>, salt: Salt<'_>) -> Result<Self, SettingError> {
        if let Some(asked) = rounds {
            let range = method.rounds().ok_or(SettingError::NoRounds(method))?;
            if !range.contains(&asked) {
                return Err(SettingError::Rounds(method));
            }
        }
        let cost = rounds.unwrap_or(method.rounds_default());
        Ok(Self(match method {
            Method::Md5 => Kind::Md5 { salt: salt_text(method, salt, MD5_SALT_CHARS)? },
            Method::Sha256 | Method::Sha512 => Kind::Sha {
                size: if method == Method::Sha256 { Size::Bits256 } else { Size::Bits512 },
                rounds,
                salt: salt_text(method, salt, SHA_SALT_CHARS)?,
            },
            // In the range, as looked at above.
            Method::Yescrypt => Kind::Yescrypt { cost: cost as usize, salt: yescrypt_salt(salt)? },
            Method::Bcrypt => Kind::Bcrypt { revision: Revision::B, cost, salt: bcrypt_salt(salt)? },
        }))
    }

    /// The method.
    pub fn method(&self) -> Method {
        match &self.0 {
            Kind::Md5 { .. } => Method::Md5,
            Kind::Sha { size: Size::Bits256, .. } => Method::Sha256,
            Kind::Sha { size: Size::Bits512, .. } => Method::Sha512,
            Kind::Yescrypt { .. } => Method::Yescrypt,
            Kind::Bcrypt { .. } => Method::Bcrypt,
        }
    }

    /// The rounds, in the unit of [`Method::rounds`].
    pub fn rounds(&self) -> u32 {
        match &self.0 {
            Kind::Md5 { .. } => Method::Md5.rounds_default(),
            Kind::Sha { rounds, .. } => rounds.unwrap_or(self.method().rounds_default()),
            Kind::Yescrypt { cost, .. } => *cost as u32,
            Kind::Bcrypt { cost, .. } => *cost,
        }
    }

    /// The setting at the beginning of a text, and what follows it.
    pub(super) fn split(text: &str) -> Result<(Self, &str), SettingError> {
        let rest = text.strip_prefix('$').ok_or(SettingError::Method)?;
        let (id, rest) = rest.split_once('$').ok_or(SettingError::Method)?;
        match id {
            "1" => {
                let (salt, digest) = rest.split_once('$').unwrap_or((rest, ""));
                Ok((Self::new(Method::Md5, None, Salt::Text(salt))?, digest))
            }
            "5" => Self::split_sha(Method::Sha256, rest),
            "6" => Self::split_sha(Method::Sha512, rest),
            "y" => {
                let (cost, rest) = rest.split_once('$').ok_or(SettingError::Form)?;
                let cost = YESCRYPT_COSTS.iter().zip(1..).find(|((text, ..), _)| *text == cost);
                let (_, cost) = cost.ok_or(SettingError::Rounds(Method::Yescrypt))?;
                let (salt, digest) = rest.split_once('$').unwrap_or((rest, ""));
                Ok((Self::new(Method::Yescrypt, Some(cost), Salt::Text(salt))?, digest))
            }
            "2b" => Self::split_bcrypt(Revision::B, rest),
            "2y" => Self::split_bcrypt(Revision::Y, rest),
            _ => Err(SettingError::Method),
        }
    }

    fn split_sha(method: Method, rest: &str) -> Result<(Self, &str), SettingError> {
        let (rounds, rest) = match rest.strip_prefix("rounds=") {
            None => (None, rest),
            Some(rest) => {
                let (number, rest) = rest.split_once('$').ok_or(SettingError::Form)?;
                (Some(decimal(number).ok_or(SettingError::Rounds(method))?), rest)
            }
        };
        let (salt, digest) = rest.split_once('$').unwrap_or((rest, ""));
        Ok((Self::new(method, rounds, Salt::Text(salt))?, digest))
    }

    fn split_bcrypt(revision: Revision, rest: &str) -> Result<(Self, &str), SettingError> {
        let (number, rest) = rest.split_once('$').ok_or(SettingError::Form)?;
        let two_digits = number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit());
        let cost = number.parse().ok().filter(|_| two_digits);
        let cost: u32 = cost.ok_or(SettingError::Rounds(Method::Bcrypt))?;
        let (salt, digest) =
            rest.split_at_checked(BCRYPT_SALT_CHARS).ok_or(SettingError::SaltLength(Method::Bcrypt))?;
        let made = Self::new(Method::Bcrypt, Some(cost), Salt::Text(salt))?;
        match made.0 {
            Kind::Bcrypt { cost, salt, .. } => Ok((Self(Kind::Bcrypt { revision, cost, salt }), digest)),
            _ => Err(SettingError::Form),
        }
    }

    /// What the password becomes, as text.
    pub(super) fn digest(&self, phrase: &[u8]) -> String {
        match &self.0 {
            Kind::Md5 { salt } => md5::crypt(phrase, salt.as_bytes()),
            Kind::Sha { size: Size::Bits256, salt, .. } => {
                sha::crypt_256(phrase, salt.as_bytes(), self.rounds())
            }
            Kind::Sha { size: Size::Bits512, salt, .. } => {
                sha::crypt_512(phrase, salt.as_bytes(), self.rounds())
            }
            Kind::Yescrypt { cost, salt } => yescrypt_digest(phrase, *cost, salt),
            Kind::Bcrypt { cost, salt, .. } => {
                let mut key = phrase.to_vec();
                key.push(0);
                key.truncate(BCRYPT_PHRASE_BYTES);
                // The last byte of its cipher is not written.
                base64::encode_bcrypt(&bcrypt::bcrypt(*cost, *salt, &key)[..23])
            }
        }
    }

    /// The whole hash.
    pub(super) fn frame(&self, digest: &str) -> String {
        match self.0 {
            Kind::Bcrypt { .. } => format!("{self}{digest}"),
            _ => format!("{self}${digest}"),
        }
    }
}

/// A number as libxcrypt reads rounds: without a zero in front.
fn decimal(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

/// A salt that is used as the text that it is. crypt(3) takes any printable characters but those that mean something
/// in `/etc/shadow`; a `$` would end it.
fn salt_text(method: Method, salt: Salt<'_>, chars: usize) -> Result<String, SettingError> {
    match salt {
        Salt::Random(bytes) => Ok(bytes.iter().take(chars).map(|&bits| base64::char(bits)).collect()),
        Salt::Text(text) => {
            let fits = |b: u8| b.is_ascii_graphic() && !matches!(b, b'$' | b':' | b';' | b'*' | b'!' | b'\\');
            if !text.bytes().all(fits) {
                return Err(SettingError::SaltCharacter(method));
            }
            Ok(text.chars().take(chars).collect())
        }
    }
}

fn yescrypt_salt(salt: Salt<'_>) -> Result<Vec<u8>, SettingError> {
    match salt {
        Salt::Random(bytes) => Ok(bytes.to_vec()),
        Salt::Text(text) if !text.bytes().all(is_base64) => {
            Err(SettingError::SaltCharacter(Method::Yescrypt))
        }
        Salt::Text(text) => base64::decode(text)
            .filter(|bytes| bytes.len() <= YESCRYPT_SALT_BYTES_MAX)
            .ok_or(SettingError::SaltLength(Method::Yescrypt)),
    }
}

fn bcrypt_salt(salt: Salt<'_>) -> Result<[u8; SALT_BYTES], SettingError> {
    match salt {
        Salt::Random(bytes) => Ok(bytes),
        Salt::Text(text) if !text.bytes().all(is_base64) => Err(SettingError::SaltCharacter(Method::Bcrypt)),
        Salt::Text(text) => text
            .get(..BCRYPT_SALT_CHARS)
            .and_then(base64::decode_bcrypt)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(SettingError::SaltLength(Method::Bcrypt)),
    }
}

fn is_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/')
}

fn yescrypt_digest(phrase: &[u8], cost: usize, salt: &[u8]) -> String {
    let (_, n_log2, r) = YESCRYPT_COSTS[cost - 1];
    let mut digest = [0; 32];
    yescrypt::Params::new(yescrypt::Mode::default(), 1 << n_log2, r, 1)
        .and_then(|params| yescrypt::yescrypt(phrase, salt, &params, &mut digest))
        .expect("the costs of the table are good, and 32 bytes are a digest");
    base64::encode(digest)
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Md5 { salt } => write!(f, "$1${salt}"),
            Kind::Sha { size, rounds, salt } => {
                let id = if *size == Size::Bits256 { '5' } else { '6' };
                match rounds {
                    Some(rounds) => write!(f, "${id}$rounds={rounds}${salt}"),
                    None => write!(f, "${id}${salt}"),
                }
            }
            Kind::Yescrypt { cost, salt } => {
                let (text, ..) = YESCRYPT_COSTS[cost - 1];
                write!(f, "$y${text}${}", base64::encode(salt.iter().copied()))
            }
            Kind::Bcrypt { revision, cost, salt } => {
                let revision = if *revision == Revision::B { 'b' } else { 'y' };
                write!(f, "$2{revision}${cost:02}${}", base64::encode_bcrypt(salt))
            }
        }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("it begins with none of $6$, $5$, $1$, $y$, $2b$ and $2y$"),
            Self::NoRounds(method) => write!(f, "{method} has no choice of rounds"),
            Self::Rounds(method) => match method.rounds() {
                Some(range) => write!(f, "the rounds of {method} are {} to {}", range.start(), range.end()),
                None => write!(f, "{method} has no choice of rounds"),
            },
            Self::SaltCharacter(Method::Yescrypt | Method::Bcrypt) => {
                f.write_str("the salt may have letters, digits, `.` and `/`")
            }
            Self::SaltCharacter(_) => f.write_str(
                "the salt may have printable ASCII without blanks, `$`, `:`, `;`, `*`, `!` and `\\`",
            ),
            Self::SaltLength(Method::Bcrypt) => {
                write!(f, "a salt of bcrypt has {BCRYPT_SALT_CHARS} characters")
            }
            Self::SaltLength(_) => {
                write!(
                    f,
                    "a salt of yescrypt is the text of at most {YESCRYPT_SALT_BYTES_MAX} whole bytes, such as 22 characters \
                     of which the last is `.`, `/`, `0` or `1`"
                )
            }
            Self::Form => f.write_str("it is not whole: the digest at its end is none of this method"),
        }
    }
}

impl std::error::Error for SettingError {}
