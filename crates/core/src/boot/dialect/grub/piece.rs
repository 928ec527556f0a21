//! The piece that a config of the user's sources (`source $prefix/grub.cfg-include`): what differs from machine to
//! machine, in a tree that is otherwise written by hand.

use super::quote::word;
use super::{Text, can_be_handed_over};
use crate::boot::plan::{Action, Arg, Plan, Tree};
use crate::config::BootName;

/// The variable that holds the kernel's arguments. Without quotes around it GRUB makes words of it again
/// (script/execute.c).
const CMDLINE: &str = "bootlace_cmdline";

/// The text of the piece. The variable is set whatever happens: one that was left from another config would be wrong.
pub fn piece(boot: &BootName, plan: Result<&Plan, &String>) -> String {
    let mut text = Text::default();
    let value = match plan.map_err(Clone::clone).and_then(arguments) {
        Ok(Some(value)) => value,
        Ok(None) => {
            text.line(&format!("# boot {boot} has no arguments for a kernel"));
            String::new()
        }
        Err(why) => {
            text.say(&format!("Bootlace: {why}"));
            String::new()
        }
    };
    text.line(&format!("set {CMDLINE}={}", word(&value)));
    // A config that another one starts (`configfile`) sees what is exported only.
    text.line(&format!("export {CMDLINE}"));
    text.0
}

fn arguments(plan: &Plan) -> Result<Option<String>, String> {
    let (Action::Linux { args, .. } | Action::Pxelinux(Tree { args, .. })) = &plan.action else {
        return Ok(None);
    };
    can_be_handed_over(args)?;
    // GRUB would look for files of such a name.
    match args.iter().find(|arg| arg.as_str().contains(['*', '?', '['])) {
        Some(arg) => Err(format!("GRUB would take the kernel argument {} for a pattern", arg.as_str())),
        None => Ok(Some(args.iter().map(Arg::as_str).collect::<Vec<_>>().join(" "))),
    }
}
