//! `answer/TOKEN/NAME`, which installers ask for, and `done/TOKEN`.

use super::silent::MIME;
use super::{FileRequest, Resource, secret};
use crate::boot::choose::choose;
use crate::boot::install::{ANSWERS, Answered, DONE, HIDDEN_TOKEN};
use crate::boot::plan;
use crate::boot::template::Server;
use crate::config::{BootKind, BootName, Config};
use crate::event::Protocol;
use crate::model::{Reporting, Text};

/// The token in a cleaned name, if it is one that has a token.
pub fn token_in(name: &str) -> Option<&str> {
    let mut parts = name.split('/').filter(|part| !part.is_empty());
    match (parts.next(), parts.next()) {
        (Some(ANSWERS | DONE), Some(token)) => Some(token),
        _ => None,
    }
}

/// Whether a name says that an installation is done.
pub fn is_done(name: &str) -> bool {
    token_in(name).is_some() && name.trim_start_matches('/').starts_with(DONE)
}

/// A name as it may be logged, kept and shown.
pub fn without_token(name: &Text) -> Text {
    match token_in(name.as_str()) {
        Some(token) => Text::from(name.as_str().replacen(token, HIDDEN_TOKEN, 1).as_str()),
        None => name.clone(),
    }
}

/// Why a token in a name opens nothing; nothing when it does.
fn refusal(request: &FileRequest<'_>) -> Option<String> {
    match request.bearer {
        _ if request.protocol == Protocol::Tftp => Some("it is for HTTP only".to_owned()),
        Some(Ok(())) => None,
        Some(Err(why)) => Some(why.to_owned()),
        None => Some("it has no token".to_owned()),
    }
}

/// Answers of installers; the file behind the token.
pub(super) fn answer(config: &Config, request: &FileRequest<'_>, (token, file): (&str, &str)) -> Resource {
    if let Some(why) = refusal(request) {
        return Resource::Absent(why);
    }
    let mut facts = request.facts.clone();
    facts.reporting = Reporting::Done;
    let choice = choose(config, request.next, &facts, None);
    let installs = |boot: &&BootName| {
        matches!(config.boots.get(*boot).map(|boot| &boot.kind), Some(BootKind::Install(_)))
    };
    // What was picked at its screen only its session knows.
    let Some(boot) = request.booting.filter(installs).or(choice.boot().filter(installs)) else {
        return Resource::Absent("this machine is not being installed".to_owned());
    };
    let boot = config.boot(boot);
    let BootKind::Install(install) = &boot.kind else {
        return Resource::Absent("this machine is not being installed".to_owned());
    };
    if let Err(why) = secret::check(config, &boot.name, &choice, request.identity, request.facts.mac()) {
        return Resource::Absent(why.to_string());
    }
    let server = Server::by_address(config, request.server);
    match plan::answer(config, &choice, (boot, install), &facts, &server, (token, file)) {
        Some(Ok(Answered::Text(body))) => Resource::Text { body, mime: MIME },
        Some(Ok(Answered::Archive(entries))) => Resource::Archive(entries),
        Some(Err(why)) => Resource::Absent(config.passwords.concealed(&why.to_string())),
        None => Resource::Absent(format!("boot {} has no such answer", boot.name)),
    }
}

/// An installation that says that it is done.
pub(super) fn done(request: &FileRequest<'_>) -> Resource {
    match refusal(request) {
        Some(why) => Resource::Absent(why),
        None => Resource::Done,
    }
}
