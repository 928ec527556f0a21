//! One played machine, for people and for programs.

use anyhow::Result;
use bootlace_core::finding::{Finding as CoreFinding, Severity as CoreSeverity};
use bootlace_probe::{Client, File, Finding, Kind, Outcome, Severity};
use serde::Serialize;

use super::seconds;

/// `--json`; its fields are stable.
#[derive(Serialize)]
struct View {
    mac: String,
    firmware: &'static str,
    boots: bool,
    seconds: f64,
    end: EndView,
    finding: Option<FindingView>,
    troubles: Vec<FindingView>,
    files: Vec<FileView>,
    steps: Vec<StepView>,
}

#[derive(Serialize)]
struct EndView {
    kind: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<FileView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    initrds: Vec<FileView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmdline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<FileView>,
}

#[derive(Serialize)]
pub(super) struct FindingView {
    code: &'static str,
    severity: &'static str,
    message: String,
    evidence: String,
    cause: &'static str,
    fix: &'static str,
}

#[derive(Serialize)]
struct FileView {
    url: String,
    bytes: u64,
}

#[derive(Serialize)]
struct StepView {
    seconds: f64,
    kind: &'static str,
    text: String,
}

impl From<&File> for FileView {
    fn from(file: &File) -> Self {
        Self { url: file.url.clone(), bytes: file.bytes }
    }
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code.name(),
            severity: finding.severity.name(),
            message: finding.message.clone(),
            evidence: finding.evidence.clone(),
            cause: finding.cause,
            fix: finding.fix,
        }
    }
}

impl From<&Outcome> for EndView {
    fn from(outcome: &Outcome) -> Self {
        let mut view = Self {
            kind: outcome.name(),
            text: outcome.to_string(),
            kernel: None,
            initrds: Vec::new(),
            cmdline: None,
            target: None,
            initiator: None,
            program: None,
        };
        match outcome {
            Outcome::Linux { kernel, initrds, cmdline } => {
                view.kernel = Some(kernel.into());
                view.initrds = initrds.iter().map(Into::into).collect();
                view.cmdline = Some(cmdline.clone());
            }
            Outcome::San { target, initiator } => {
                view.target = Some(target.clone());
                view.initiator.clone_from(initiator);
            }
            Outcome::Program(file) => view.program = Some(file.into()),
            Outcome::Local { .. } | Outcome::Lease | Outcome::Stopped(_) => {}
        }
        view
    }
}

/// The client's finding as one of the program's.
fn finding(found: &Finding) -> CoreFinding {
    let finding = CoreFinding::error(found.code.name(), found.message.clone()).fix(found.fix);
    let severity = match found.severity {
        Severity::Error => CoreSeverity::Error,
        Severity::Warning => CoreSeverity::Warning,
    };
    let finding = CoreFinding { severity, ..finding };
    if found.evidence.is_empty() { finding } else { finding.evidence(found.evidence.clone()) }
}

pub(super) fn json(client: &Client, kind: Kind) -> Result<String> {
    let report = client.report();
    let Some(outcome) = client.outcome() else { return Ok("null".to_owned()) };
    let view = View {
        mac: client.identity().mac.to_string(),
        firmware: kind.name(),
        boots: outcome.finding().is_none(),
        seconds: seconds(client),
        end: outcome.into(),
        finding: outcome.finding().map(Into::into),
        troubles: report.troubles().iter().map(Into::into).collect(),
        files: report.files().iter().map(Into::into).collect(),
        steps: report
            .steps()
            .iter()
            .map(|step| StepView {
                seconds: step.at.as_secs_f64(),
                kind: step.kind.name(),
                text: step.text.clone(),
            })
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&view)?)
}

pub(super) fn text(client: &Client) -> String {
    let steps = client.report().steps();
    let mut lines: Vec<String> = steps
        .iter()
        .map(|step| format!("{:8.3}  {:<8}  {}", step.at.as_secs_f64(), step.kind.name(), step.text))
        .collect();
    if let Some(found) = client.outcome().and_then(Outcome::finding) {
        let finding = finding(found);
        lines.push(String::new());
        lines.push(format!("{}: {}", finding.code, finding.message));
        lines.extend(finding.evidence.map(|evidence| format!("  seen: {evidence}")));
        lines.push(format!("  why:  {}", found.cause));
        lines.extend(finding.fix.map(|fix| format!("  fix:  {fix}")));
    }
    lines.join("\n")
}
