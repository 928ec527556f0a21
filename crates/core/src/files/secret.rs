//! Who gets a secret: a login, or a password's hash, which can be guessed at leisure.

use bootlace_wire::Mac;

use super::Identity;
use crate::boot::choose::Choice;
use crate::boot::plan::{self, PlanError};
use crate::config::{Boot, BootKind, BootName, Config, San};

/// Whether a boot may be spoken out to whoever asks, whatever the loader: one that puts a secret into its script or config is
/// for a confirmed machine alone. `mac` is what the link or a lease shows, not what somebody says.
pub(super) fn check(
    config: &Config,
    boot: &BootName,
    choice: &Choice<'_>,
    identity: Identity,
    mac: Option<Mac>,
) -> Result<(), PlanError> {
    let Some(key) = secret_of(config.boot(boot)) else { return Ok(()) };
    let (message, fix) = match identity {
        Identity::Confirmed if !has_another_card(choice, mac) => return Ok(()),
        Identity::Confirmed => (
            "this machine says to be one whose cards are others, so it gets no secret",
            "if it has a new card, write its MAC into the machine's `mac`",
        ),
        Identity::Contradicted => {
            ("this address belongs to another machine, so it gets no secret", "start the machine again")
        }
        Identity::Claimed => (
            "nothing shows which machine this address is, so it gets no secret",
            "give the machine its address by Bootlace's DHCP, or put it on a link of the server",
        ),
    };
    Err(PlanError { boot: boot.clone(), key, message: message.to_owned(), fix: Some(fix.to_owned()) })
}

/// The config knows the MACs of the machine that this one says to be by UUID or serial, and its own is none of them:
/// anybody can say a serial.
fn has_another_card(choice: &Choice<'_>, mac: Option<Mac>) -> bool {
    choice
        .machine
        .is_some_and(|machine| !machine.macs.is_empty() && mac.is_none_or(|mac| !machine.macs.contains(&mac)))
}

/// Whether a boot is for a confirmed machine alone.
pub fn holds_a_secret(boot: &Boot) -> bool {
    secret_of(boot).is_some()
}

/// The key of a boot that holds a secret.
fn secret_of(boot: &Boot) -> Option<&'static str> {
    match &boot.kind {
        BootKind::San(San { chap: Some(_), .. }) => Some("password_file"),
        // Its name is enough to use it.
        BootKind::Disk(_) => Some("kind"),
        _ if plan::reads_passwords(boot).is_empty() => None,
        BootKind::Linux { .. } | BootKind::Pxelinux(_) => Some("cmdline"),
        BootKind::Install(_) => Some("answer"),
        _ => Some("script"),
    }
}
