//! Configs for GRUB: those that it searches for, one for each entry of a menu, and a piece that a config of the user's
//! sources.

use super::searched::{Searched, Which};
use super::silent::{self, Asker, Decision, Made};
use super::{FileRequest, Resolution};
use crate::boot::dialect::Reach;
use crate::boot::dialect::grub::{self, ConfigContext};
use crate::config::Config;
use crate::event::{Protocol, ScriptStep};
use crate::model::Firmware;

/// What nothing tells otherwise: nearly all machines that start a signed GRUB.
const FIRMWARE: Firmware = Firmware::UefiX64;

/// The config for a name, unless a file stands there, or where GRUB will look next.
pub(super) fn generated(
    config: &Config,
    request: &FileRequest<'_>,
    (asked, file): (&str, String),
    searched: &Searched,
) -> Resolution {
    let asker = Asker::new(config, request, &searched.which);
    let decision = silent::decide(config, request, &asker, &searched.which, "grub");
    if let Which::Piece(_) = searched.which {
        return silent::piece(file, grub::piece(&decision.boot, decision.plan.as_ref()));
    }
    let made = make(config, request, asker.firmware().unwrap_or(FIRMWARE), decision);
    silent::in_place_of((asked, file), request, searched, made)
}

fn make(config: &Config, request: &FileRequest<'_>, firmware: Firmware, decision: Decision) -> Made {
    let Decision { boot, by, plan, mut trail } = decision;
    let reach = match request.protocol {
        Protocol::Http => Reach::Http(config.http.port),
        Protocol::Tftp => Reach::Tftp,
    };
    let context = ConfigContext { server: request.server, reach, firmware };
    let rendered =
        plan.and_then(|plan| grub::render(&plan, &context).map_err(|why| silent::cannot(&boot, &why)));
    match rendered {
        Ok(body) => Made { body, step: ScriptStep::Boot { boot, by }, trail },
        Err(why) => {
            trail.add("grub", why.clone());
            Made { body: grub::problem(&why, firmware), step: ScriptStep::Problem { boot, by, why }, trail }
        }
    }
}
