//! The machine that a command is about, as its options describe it.

use std::net::Ipv4Addr;

use anyhow::{Result, bail};
use bootlace_core::model::{Facts, Firmware, Var};
use bootlace_core::nearest::nearest;

/// What `--set` says.
pub(super) struct Reported {
    /// What the machine reports.
    pub(super) facts: Facts,
    /// `loader=ipxe`: an iPXE speaks first.
    pub(super) ipxe: bool,
}

impl Reported {
    /// Of `KEY=VALUE` each.
    pub(super) fn read(settings: &[String]) -> Result<Self> {
        let (mut facts, mut ipxe) = (Facts::new(), false);
        for setting in settings {
            let Some((key, value)) = setting.split_once('=') else {
                bail!("--set {setting:?}: write KEY=VALUE")
            };
            match key.parse() {
                Ok(Var::Loader) if value == "ipxe" => ipxe = true,
                Ok(Var::Loader) => bail!("--set loader={value}: the only loader that speaks first is ipxe"),
                Ok(Var::Ip) if value.parse::<Ipv4Addr>().is_err() => {
                    bail!("--set ip={value}: no IPv4 address")
                }
                Ok(var) => facts.set(var, value),
                Err(()) => {
                    let near = nearest(key, Var::all().map(Var::name));
                    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                    bail!("--set {key}: no machine reports that{near}");
                }
            }
        }
        Ok(Self { facts, ipxe })
    }
}

/// By name.
pub(super) fn firmware(name: &str) -> Result<Firmware> {
    if let Ok(firmware) = name.parse() {
        return Ok(firmware);
    }
    let known = Firmware::all().map(|firmware| firmware.to_string()).collect::<Vec<_>>();
    bail!("there is no firmware {name:?}: use one of {}", known.join(", "))
}
