//! Configs for pxelinux and what reads the same: those that it searches for, one for each entry of a menu, and pieces
//! that a config of the user's includes.

use super::searched::{Searched, Which};
use super::silent::{self, Asker, Decision, Made};
use super::{FileRequest, Resolution, Resource};
use crate::boot::dialect::Reach;
use crate::boot::dialect::pxelinux::{self, ConfigContext, Flavour};
use crate::boot::plan::Action;
use crate::config::{BootKind, Config};
use crate::event::{Protocol, ScriptStep};
use crate::model::{Firmware, Var};

/// What the trail calls it.
const LOADER: &str = "pxelinux";

/// What U-Boot says that it runs on (option 93; IANA, processor architecture types).
const UBOOT: std::ops::RangeInclusive<u16> = 21..=24;

/// What there is for a name: a file, else a config, unless a file stands where pxelinux will look next.
pub(super) fn generated(
    config: &Config,
    request: &FileRequest<'_>,
    (asked, file): (&str, String),
    searched: &Searched,
) -> Resolution {
    let asker = Asker::new(config, request, &searched.which);
    let decision = silent::decide(config, request, &asker, &searched.which, LOADER);
    if let Which::Piece(piece) = searched.which {
        let body = pxelinux::piece(piece, &decision.boot, decision.plan.as_ref());
        return silent::piece(file, body);
    }
    if let Some(why) = own_tree(config, request, &decision, &searched.which) {
        return Resolution { resource: Resource::FileOrAbsent { file, why }, script: None };
    }
    let made = make(config, request, flavour(asker.firmware(), &searched.which), &file, decision);
    silent::in_place_of((asked, file), request, searched, made)
}

/// Whoever was sent into pxelinux by a script for iPXE has a tree of its own there, or nothing.
fn own_tree(
    config: &Config,
    request: &FileRequest<'_>,
    decision: &Decision,
    which: &Which,
) -> Option<String> {
    if let Ok(Action::Pxelinux(_)) = decision.plan.as_ref().map(|plan| &plan.action) {
        return Some(format!("boot {} goes by the files of pxelinux that are there", decision.boot));
    }
    let had_ipxe = request.features.is_some() || request.facts.get(Var::Loader) == Some("ipxe");
    if matches!(which, Which::Entry(_)) || !had_ipxe {
        return None;
    }
    let boot = request.booting.and_then(|boot| config.boots.get(boot))?;
    match boot.kind {
        BootKind::Pxelinux(_) | BootKind::Ipxe { .. } | BootKind::Chain { .. } => {
            Some(format!("boot {} led to pxelinux, which goes by the files that are there", boot.name))
        }
        _ => None,
    }
}

fn flavour(firmware: Option<Firmware>, which: &Which) -> Flavour {
    match (firmware, which) {
        (_, Which::AnyUboot) => Flavour::Extlinux,
        (Some(Firmware::Other(arch)), _) if UBOOT.contains(&arch) => Flavour::Extlinux,
        _ => Flavour::Pxelinux,
    }
}

fn make(
    config: &Config,
    request: &FileRequest<'_>,
    flavour: Flavour,
    file: &str,
    decision: Decision,
) -> Made {
    let Decision { boot, by, plan, mut trail } = decision;
    let reach = match request.protocol {
        Protocol::Http => Reach::Http(config.http.port),
        Protocol::Tftp => Reach::Tftp,
    };
    let context = ConfigContext { server: request.server, reach, flavour, config: file };
    let rendered =
        plan.and_then(|plan| pxelinux::render(&plan, &context).map_err(|why| silent::cannot(&boot, &why)));
    match rendered {
        Ok(body) => Made { body, step: ScriptStep::Boot { boot, by }, trail },
        Err(why) => {
            trail.add(LOADER, why.clone());
            Made {
                body: pxelinux::problem(&why, flavour),
                step: ScriptStep::Problem { boot, by, why },
                trail,
            }
        }
    }
}
