//! Machines that are being installed: what they reported before, and the tokens that they ask for their answers by.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;

use bootlace_core::boot::install::TokenMaker;
use bootlace_core::config::BootName;
use bootlace_core::model::{Facts, Timestamp};
use bootlace_core::oneshot::Taker;
use bootlace_wire::HwAddr;

use super::lock;
use crate::tokens::{Bearer, TOKEN_LIFE, Tokens};

/// Machines of which is remembered what they reported before they were installed; beyond it templates see what DHCP
/// tells.
pub const INSTALLS_MAX: usize = 10_000;

/// Makes the tokens of one session.
pub(crate) struct TokensOf {
    tokens: Tokens,
    hw: HwAddr,
    taker: Taker,
}

impl fmt::Debug for TokensOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokensOf").field("hw", &self.hw).field("taker", &self.taker).finish_non_exhaustive()
    }
}

impl TokenMaker for TokensOf {
    fn token(&self, boot: &BootName) -> Option<String> {
        self.tokens.of(&Bearer { hw: self.hw, taker: self.taker, boot: boot.clone() })
    }
}

/// Those under way.
#[derive(Default)]
pub struct Installs {
    tokens: Option<Tokens>,
    facts: Mutex<HashMap<HwAddr, (Taker, Facts)>>,
}

impl Installs {
    /// With the means to make tokens.
    pub fn with(tokens: Tokens) -> Self {
        Self { tokens: Some(tokens), ..Self::default() }
    }

    /// Who makes the tokens of a machine's session; nobody where there is no key.
    pub(crate) fn tokens_of(&self, hw: HwAddr, taker: Taker) -> Option<TokensOf> {
        Some(TokensOf { tokens: self.tokens.clone()?, hw, taker })
    }

    /// Who a token is of.
    pub fn bearer(&self, token: &str, now: Timestamp) -> Result<Bearer, &'static str> {
        self.tokens.as_ref().map_or(Err("this is no token"), |tokens| tokens.read(token, now))
    }

    /// Remembers what a machine has reported: its session may be forgotten long before its installer asks for
    /// something.
    pub(crate) fn begin(&self, hw: HwAddr, taker: Taker, facts: Facts) {
        let mut all = lock(&self.facts);
        if all.len() >= INSTALLS_MAX && !all.contains_key(&hw) {
            let over = |started: Timestamp| taker.started.since(started) > TOKEN_LIFE;
            all.retain(|_, (of, _)| !over(of.started));
        }
        if all.len() < INSTALLS_MAX || all.contains_key(&hw) {
            all.insert(hw, (taker, facts));
        }
    }

    /// What a machine reported in this boot.
    pub(crate) fn facts(&self, bearer: &Bearer) -> Option<Facts> {
        let all = lock(&self.facts);
        all.get(&bearer.hw).filter(|(taker, _)| *taker == bearer.taker).map(|(_, facts)| facts.clone())
    }
}
