//! `bootlace serve`.

use anyhow::Result;
use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;

use super::ConfigFile;
use crate::{app, logging};

/// Runs everything in the foreground.
#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    file: ConfigFile,
    /// Interface to serve, instead of those in the config; may be given more than once
    #[arg(short, long, value_name = "NAME")]
    interface: Vec<String>,
    /// How much is logged; `debug` shows every packet with all its options
    #[arg(long, value_enum, default_value = "info")]
    log: Level,
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
        }
    }
}

impl Serve {
    pub(super) fn run(&self) -> Result<()> {
        logging::start(self.log.into());
        app::serve(&self.file.config, &self.interface)
    }
}
