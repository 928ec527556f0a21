//! Machines that are being installed: what they reported before, and the tokens that they ask for their answers by.

use std::collections::HashMap;
use std::sync::Mutex;

use bootlace_core::model::{Facts, Timestamp};
use bootlace_core::oneshot::Taker;
use bootlace_wire::HwAddr;

use super::lock;
use crate::tokens::{Bearer, TOKEN_LIFE, Tokens};

/// Machines of which is remembered what they reported before they were installed; beyond it templates see what DHCP
/// tells.
pub const INSTALLS_MAX: usize = 10_000;

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

    /// The token of a boot.
    pub fn token(&self, hw: HwAddr, taker: Taker) -> Option<String> {
        self.tokens.as_ref()?.of(Bearer { hw, taker })
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
    pub(crate) fn facts(&self, bearer: Bearer) -> Option<Facts> {
        let all = lock(&self.facts);
        all.get(&bearer.hw).filter(|(taker, _)| *taker == bearer.taker).map(|(_, facts)| facts.clone())
    }
}
