//! `loquic config`: check a file, print the default one.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use super::{Exit, Failed};
use crate::config::{self, Config, Flags, IdentitySource};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Say what is wrong with a configuration file, where, and what to do; starts nothing
    ///
    /// The environment counts as it would for `serve`, and the certificate is read if the file names one.
    Check {
        /// The file
        file: PathBuf,
        /// Check it for `serve --dev`
        #[arg(long)]
        dev: bool,
    },
    /// Print every key with its meaning and its default, as a file to start from
    Print,
}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Failed> {
        match self {
            Self::Check { file, dev } => check(file, dev),
            Self::Print => {
                io::stdout().lock().write_all(config::print().as_bytes())?;
                Ok(Exit::Success)
            }
        }
    }
}

fn check(file: PathBuf, dev: bool) -> Result<Exit, Failed> {
    let name = file.display().to_string();
    let config = Config::load(&Flags { dev, file: Some(file), ..Flags::default() }).map_err(Failed::new)?;
    if matches!(config.identity, IdentitySource::Files { .. }) {
        config.identity.load().map_err(Failed::new)?;
    }
    writeln!(io::stdout().lock(), "{name}: good")?;
    Ok(Exit::Success)
}
