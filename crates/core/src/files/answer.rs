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
use crate::oneshot::Offered;

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

/// What the token in a name is of, or why it opens nothing.
fn installing<'a>(request: &FileRequest<'a>) -> Result<&'a BootName, String> {
    match request.bearer {
        _ if request.protocol == Protocol::Tftp => Err("it is for HTTP only".to_owned()),
        Some(bearer) => bearer.map_err(str::to_owned),
        None => Err("it has no token".to_owned()),
    }
}

/// Answers of installers; the file behind the token. The token alone says what installs the machine: its session is forgotten
/// with the server or after some silence, and its one-shot was decided by what it reported then.
pub(super) fn answer(config: &Config, request: &FileRequest<'_>, (token, file): (&str, &str)) -> Resource {
    let boot = match installing(request) {
        Ok(boot) => boot,
        Err(why) => return Resource::Absent(why),
    };
    let mut facts = request.facts.clone();
    facts.reporting = Reporting::Done;
    let choice = choose(config, Offered::default(), &facts, None);
    let Some(boot) = config.boots.get(boot) else {
        return Resource::Absent(format!("there is no boot {boot} any more"));
    };
    let BootKind::Install(install) = &boot.kind else {
        return Resource::Absent(format!("boot {} installs nothing any more", boot.name));
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
    match installing(request) {
        Ok(_) => Resource::Done,
        Err(why) => Resource::Absent(why),
    }
}
