//! Pieces that a config of the user's includes (`INCLUDE pxelinux.cfg/include/append`): what differs from machine to
//! machine, in a tree that is otherwise written by hand.

use super::Text;
use crate::boot::plan::{Action, Arg, Plan, Tree};
use crate::config::BootName;

/// What a config can include.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// `append`: the kernel's arguments, for the label that includes it.
    Append,
    /// `serial`: the console, for the first line of a config.
    Serial,
    /// `menu`: the heading of a menu.
    Menu,
}

/// The text of a piece. What there is none of is a comment; what is wrong is shown on the screen.
pub fn piece(piece: Piece, boot: &BootName, plan: Result<&Plan, &String>) -> String {
    let mut text = Text::default();
    match plan.map_err(Clone::clone).and_then(|plan| directive(piece, plan)) {
        Ok(Some(line)) => text.line(&line),
        Ok(None) => text.line(&format!("# boot {boot} says nothing about it")),
        Err(why) => text.say(&format!("Bootlace: {why}")),
    }
    text.0
}

fn directive(piece: Piece, plan: &Plan) -> Result<Option<String>, String> {
    let words = |name: &str, words: &str| (!words.is_empty()).then(|| format!("{name} {words}"));
    match (piece, &plan.action) {
        (Piece::Append, Action::Linux { args, .. } | Action::Pxelinux(Tree { args, .. })) => {
            Ok(words("APPEND", &arguments(args)?))
        }
        (Piece::Serial, Action::Pxelinux(Tree { serial, .. })) => Ok(words("SERIAL", serial)),
        (Piece::Menu, Action::Pxelinux(Tree { menu_title, .. })) => Ok(words("MENU TITLE", menu_title)),
        _ => Ok(None),
    }
}

/// The value of `APPEND`. pxelinux takes `initrd=` for itself, wherever it stands.
pub(super) fn arguments(args: &[Arg]) -> Result<String, String> {
    match args.iter().find(|arg| arg.as_str().contains("initrd=")) {
        Some(arg) => Err(format!("pxelinux would take the kernel argument {} for its own", arg.as_str())),
        None => Ok(args.iter().map(Arg::as_str).collect::<Vec<_>>().join(" ")),
    }
}
