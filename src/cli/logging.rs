//! The log for people, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::Failed;

/// Flags of every command that logs.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Logging {
    /// What to log: error, warn, info, debug, trace, or filters like loquic=debug,quinn=warn
    #[arg(long, value_name = "FILTER", env = "LOQUIC_LOG")]
    log_level: Option<String>,
}

impl Logging {
    /// Starts to log, with `default` unless somebody asked for something else.
    pub(crate) fn start(&self, default: &str) -> Result<(), Failed> {
        let filter = self.log_level.as_deref().filter(|filter| !filter.is_empty()).unwrap_or(default);
        let filter = EnvFilter::try_new(filter)
            .map_err(|error| Failed::usage(format_args!("--log-level {filter:?} is no filter: {error}")))?;
        let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        // A second start in one process is a test's; the first one stays.
        let _ =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).try_init();
        Ok(())
    }
}
