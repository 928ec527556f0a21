//! `bootlace doctor`.

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use bootlace_core::finding::{Finding, Severity};
use clap::Args;
use serde::Serialize;

use super::render::{self, Colour};
use super::{ConfigFile, Format, JsonFlag, client, say};
use crate::doctor::{self, Server};
use crate::sources::{self, Checked};

/// Looks at the host and the network.
#[derive(Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    json: JsonFlag,
}

impl Doctor {
    /// Exit code 1 when a finding is an error, 0 otherwise.
    pub(super) fn run(&self) -> ExitCode {
        match self.examine() {
            Ok(findings) if findings.iter().all(|finding| finding.severity != Severity::Error) => {
                ExitCode::SUCCESS
            }
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("bootlace: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    /// Looks, prints and returns what was found. Of a config that cannot be used, its mistakes.
    fn examine(&self) -> Result<Vec<Finding>> {
        let Checked { source, files, result } = sources::check(&self.file.config)?;
        let findings = match result {
            Ok(loaded) => {
                let socket = loaded.config.state_dir.join(crate::ADMIN_SOCKET);
                let server = if client::answers(&socket) { Server::Runs } else { Server::Rests };
                doctor::examine(&loaded.config, server)?
            }
            Err(findings) => findings,
        };
        match self.json.format() {
            Format::Json => say(&serde_json::to_string_pretty(&View::of(&findings))?)?,
            Format::Human if findings.is_empty() => {
                say("nothing was found that would keep machines from booting")?;
            }
            Format::Human => {
                let texts = sources::texts(&source, &files);
                say(&render::findings(&findings, &texts, Colour::of(&io::stdout())))?;
            }
        }
        Ok(findings)
    }
}

/// `--json`.
#[derive(Serialize)]
struct View<'a> {
    findings: Vec<FindingView<'a>>,
}

#[derive(Serialize)]
struct FindingView<'a> {
    code: &'static str,
    severity: &'static str,
    message: &'a str,
    evidence: Option<&'a str>,
    fix: Option<&'a str>,
}

impl<'a> View<'a> {
    fn of(findings: &'a [Finding]) -> Self {
        let views = findings.iter().map(|finding| FindingView {
            code: finding.code,
            severity: match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            },
            message: &finding.message,
            evidence: finding.evidence.as_deref(),
            fix: finding.fix.as_deref(),
        });
        Self { findings: views.collect() }
    }
}
