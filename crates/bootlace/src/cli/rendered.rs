//! `bootlace render`.

use std::io::{self, Write};
use std::net::Ipv4Addr;

use anyhow::{Context, Result, anyhow, bail};
use bootlace_core::boot::choose::choose;
use bootlace_core::boot::plan;
use bootlace_core::boot::template::{Language, Server, Template};
use bootlace_core::config::{BootName, Config};
use bootlace_core::finding::Finding;
use bootlace_core::model::{Facts, Reporting, Var};
use bootlace_core::nearest::nearest;
use bootlace_core::oneshot::Offered;
use bootlace_wire::Mac;
use bootlace_wire::tftp::clean_name;
use clap::Args;

use super::ConfigFile;
use super::explain::received;
use super::render::{self, Colour, Texts};
use super::subject::{self, Reported};
use crate::sources;

/// Prints what a machine gets of a file of the `templates` folder. Where a password's hash would stand, there is
/// `hash-of-NAME`.
#[derive(Args)]
pub(super) struct Render {
    #[command(flatten)]
    file: ConfigFile,
    /// MAC of the interface that boots
    #[arg(long, value_name = "MAC")]
    mac: Mac,
    /// What it boots with: bios, uefi-x64, ...
    #[arg(long, value_name = "FIRMWARE")]
    firmware: Option<String>,
    /// Something the machine reports, such as serial=X1
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The boot that it is for, instead of the one that is decided for the machine
    #[arg(long, value_name = "BOOT")]
    boot: Option<String>,
    /// What the file is written in, where its name does not tell: yaml, preseed, ...
    #[arg(long, value_name = "NAME")]
    language: Option<String>,
    /// File of the `templates` folder
    name: String,
}

impl Render {
    pub(super) fn run(&self) -> Result<()> {
        let config = sources::load(&self.file.config)?.config.without_secrets();
        let template = self.template(&config)?;
        let facts = self.facts()?;
        let choice = choose(&config, Offered::default(), &facts, None);
        let decided = choice.boot().unwrap_or(&config.default);
        let boot = self.boot.as_deref().map_or(Ok(decided), |name| boot(&config, name))?;
        let address = received(&config).local.first().map_or(Ipv4Addr::UNSPECIFIED, |(address, _)| *address);
        let server = Server::by_address(&config, address);
        let text = plan::text(&config, &choice, boot, &facts, &server, &template)
            .map_err(|error| anyhow!("{}: {error}", self.name))?;
        match io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot print it"),
            _ => Ok(()),
        }
    }

    fn template(&self, config: &Config) -> Result<Template> {
        let Ok(name) = clean_name(self.name.as_bytes()) else {
            bail!("{:?} is no name of a file below {}", self.name, config.templates.display());
        };
        let language = self.language(&name)?;
        let path = config.templates.join(&name);
        let shown = path.display().to_string();
        let text = sources::read_text(&path).with_context(|| format!("cannot read {shown}"))?;
        Template::parse(&name, &text, language).map_err(|error| {
            let finding = Finding { fix: error.fix, ..Finding::error("config-template", error.message) };
            let texts = Texts::from([(shown.clone(), text)]);
            let finding = finding.at(&shown, error.span);
            anyhow!(
                "{shown} is no template\n\n{}",
                render::findings(&[finding], &texts, Colour::of(&io::stderr()))
            )
        })
    }

    fn language(&self, name: &str) -> Result<Language> {
        let known = || Language::names().collect::<Vec<_>>().join(", ");
        match &self.language {
            Some(language) => {
                language.parse().map_err(|()| anyhow!("no language {language:?}: there are {}", known()))
            }
            None => Language::of_file(name).with_context(|| {
                format!("the name {name:?} does not tell its language: say --language, one of {}", known())
            }),
        }
    }

    fn facts(&self) -> Result<Facts> {
        let Reported { mut facts, .. } = Reported::read(&self.set)?;
        facts.set(Var::Mac, self.mac.to_string().as_str());
        if let Some(name) = &self.firmware {
            facts.set(Var::Firmware, subject::firmware(name)?.to_string().as_str());
        }
        // What is not said here is not known, and nobody is there to be asked.
        facts.reporting = Reporting::Done;
        Ok(facts)
    }
}

fn boot<'c>(config: &'c Config, name: &str) -> Result<&'c BootName> {
    let found = config.boots.keys().find(|boot| boot.as_str() == name);
    found.with_context(|| {
        let near = nearest(name, config.boots.keys().map(BootName::as_str));
        format!(
            "there is no boot {name:?}{}",
            near.map(|near| format!("; did you mean {near}?")).unwrap_or_default()
        )
    })
}
