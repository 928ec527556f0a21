//! CHAP (RFC 1994 inside RFC 7143, section 12.1.3): who knows a secret, without it being sent.

use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::keys::{self, Keys};
use super::limits::{CHALLENGE_BYTES, CHAP_BINARY_BYTES_MAX, SECRET_BYTES_MAX, SECRET_BYTES_MIN};

/// A shared secret. It does not show in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// `None` unless it has [`SECRET_BYTES_MIN`] to [`SECRET_BYTES_MAX`] bytes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// A name and its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// CHAP_N.
    pub name: String,
    /// What proves it.
    pub secret: Secret,
}

/// What an initiator has to prove, and what it may have us prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chap {
    /// Of the initiator.
    pub initiator: Credentials,
    /// Of the target, if it has any. Its secret must be another one.
    pub target: Option<Credentials>,
}

/// Random bytes for one login, used for nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Challenge {
    /// CHAP_I.
    pub identifier: u8,
    /// CHAP_C.
    pub bytes: [u8; CHALLENGE_BYTES],
}

/// How responses are made: the numbers are those of the PPP registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// 5, which all initiators know.
    Md5,
    /// 6.
    Sha1,
    /// 7, which EDK2 prefers.
    Sha256,
}

impl Algorithm {
    /// The first of a list that we know.
    fn choose(list: &str) -> Option<Self> {
        list.split(',').find_map(|number| match number {
            "5" => Some(Self::Md5),
            "6" => Some(Self::Sha1),
            "7" => Some(Self::Sha256),
            _ => None,
        })
    }

    fn number(self) -> &'static str {
        match self {
            Self::Md5 => "5",
            Self::Sha1 => "6",
            Self::Sha256 => "7",
        }
    }

    /// The digest of identifier, secret and challenge.
    pub fn response(self, identifier: u8, secret: &Secret, challenge: &[u8]) -> Vec<u8> {
        let parts = [&[identifier], secret.0.as_slice(), challenge];
        match self {
            Self::Md5 => {
                parts.iter().fold(Md5::new(), |state, part| state.chain_update(part)).finalize().to_vec()
            }
            Self::Sha1 => {
                parts.iter().fold(Sha1::new(), |state, part| state.chain_update(part)).finalize().to_vec()
            }
            Self::Sha256 => {
                parts.iter().fold(Sha256::new(), |state, part| state.chain_update(part)).finalize().to_vec()
            }
        }
    }
}

/// Why an initiator is not believed. It is told only that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChapFailure {
    /// It knows no algorithm that we know.
    Algorithm,
    /// A key is missing, or is no value of its kind.
    Malformed,
    /// Another name.
    Name,
    /// Another secret.
    Response,
    /// It sent our own challenge back, to have us answer it.
    Reflection,
    /// It wants a proof of us, and we have no secret for that.
    NoTargetSecret,
}

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The method is agreed on, and the algorithm is next.
    Algorithm,
    /// Our challenge is with the initiator.
    Challenged(Algorithm),
    /// It is whom it says it is.
    Proved,
}

/// One proof.
#[derive(Debug)]
pub(super) struct Proof {
    chap: Chap,
    challenge: Challenge,
    pub(super) progress: Progress,
}

impl Proof {
    pub(super) fn new(chap: Chap, challenge: Challenge) -> Self {
        Self { chap, challenge, progress: Progress::Algorithm }
    }

    /// Takes what the initiator sent and appends what it gets.
    pub(super) fn step(&mut self, keys: &Keys, answer: &mut Vec<u8>) -> Result<(), ChapFailure> {
        match self.progress {
            Progress::Algorithm => {
                // The offer may come with the method or behind it.
                let Some(list) = keys.get("CHAP_A") else {
                    let answers = keys.get("CHAP_R").is_some();
                    return if answers { Err(ChapFailure::Malformed) } else { Ok(()) };
                };
                let algorithm = Algorithm::choose(list).ok_or(ChapFailure::Algorithm)?;
                keys::put(answer, "CHAP_A", algorithm.number());
                keys::put(answer, "CHAP_I", &self.challenge.identifier.to_string());
                keys::put(answer, "CHAP_C", &keys::hex(&self.challenge.bytes));
                self.progress = Progress::Challenged(algorithm);
            }
            Progress::Challenged(algorithm) => {
                self.verify(algorithm, keys)?;
                self.prove_us(algorithm, keys, answer)?;
                self.progress = Progress::Proved;
            }
            Progress::Proved => {}
        }
        Ok(())
    }

    fn verify(&self, algorithm: Algorithm, keys: &Keys) -> Result<(), ChapFailure> {
        let name = keys.get("CHAP_N").ok_or(ChapFailure::Malformed)?;
        let response = keys
            .get("CHAP_R")
            .and_then(|value| keys::binary(value, CHAP_BINARY_BYTES_MAX))
            .ok_or(ChapFailure::Malformed)?;
        let Credentials { name: known, secret } = &self.chap.initiator;
        let expected = algorithm.response(self.challenge.identifier, secret, &self.challenge.bytes);
        let proved = bool::from(expected.as_slice().ct_eq(response.as_slice()));
        if name != known {
            return Err(ChapFailure::Name);
        }
        if proved { Ok(()) } else { Err(ChapFailure::Response) }
    }

    fn prove_us(&self, algorithm: Algorithm, keys: &Keys, answer: &mut Vec<u8>) -> Result<(), ChapFailure> {
        let (identifier, challenge) = match (keys.get("CHAP_I"), keys.get("CHAP_C")) {
            (None, None) => return Ok(()),
            (Some(identifier), Some(challenge)) => (identifier, challenge),
            _ => return Err(ChapFailure::Malformed),
        };
        let identifier = keys::number(identifier).and_then(|value| u8::try_from(value).ok());
        let identifier = identifier.ok_or(ChapFailure::Malformed)?;
        let challenge = keys::binary(challenge, CHAP_BINARY_BYTES_MAX).ok_or(ChapFailure::Malformed)?;
        if challenge == self.challenge.bytes {
            return Err(ChapFailure::Reflection);
        }
        let ours = self.chap.target.as_ref().ok_or(ChapFailure::NoTargetSecret)?;
        // With one secret both ways, our answer to one connection would be a proof on another.
        if ours.secret == self.chap.initiator.secret {
            return Err(ChapFailure::Reflection);
        }
        let response = algorithm.response(identifier, &ours.secret, &challenge);
        keys::put(answer, "CHAP_N", &ours.name);
        keys::put(answer, "CHAP_R", &keys::hex(&response));
        Ok(())
    }
}
