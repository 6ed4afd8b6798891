//! The command line: what is asked for, and how the answer is printed. Results go to standard output, everything that
//! is said about them to standard error.

mod certs;
mod config;
mod connect;
mod log;
mod logging;
mod output;
mod publish;
mod serve;
mod subscribe;
mod token;

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Rooms that are ordered, durable logs, over QUIC.
#[derive(Debug, Parser)]
#[command(name = "loquic", version, max_term_width = 120, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    Serve(serve::Serve),
    /// Check a configuration, or print the default one
    #[command(subcommand)]
    Config(config::Command),
    /// Make certificates
    #[command(subcommand)]
    Certs(certs::Command),
    /// Make and check tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Publish into a room
    Pub(publish::Publish),
    /// Print the records of a room as they come
    Sub(subscribe::Subscribe),
    /// Look into the data directory of a node that is not running
    #[command(subcommand)]
    Log(log::Command),
}

/// How a command ended, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Success,
    /// It did not work.
    Failure,
    /// The command line or the configuration is wrong. clap uses the same number.
    Usage,
    /// The server said no.
    Refused,
    /// It worked, but records are missing, or history has changed.
    Incomplete,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::Incomplete => 4,
        })
    }
}

/// Why a command ends early: what to say and which code to leave with.
#[derive(Debug)]
struct Failed {
    exit: Exit,
    /// Nothing is said if it is empty.
    message: String,
}

impl Failed {
    fn new(message: impl Display) -> Self {
        Self { exit: Exit::Failure, message: message.to_string() }
    }

    fn usage(message: impl Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }
}

impl From<io::Error> for Failed {
    /// Writing to standard output failed. A reader that has seen enough, like `head`, is no failure.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { exit: Exit::Success, message: String::new() },
            _ => Self::new(format_args!("cannot write the output: {error}")),
        }
    }
}

impl Cli {
    /// Does what is asked for.
    pub fn run(self) -> Exit {
        let result = match self.command {
            Command::Serve(command) => command.run(),
            Command::Config(command) => command.run(),
            Command::Certs(command) => command.run(),
            Command::Token(command) => command.run(),
            Command::Pub(command) => command.run(),
            Command::Sub(command) => command.run(),
            Command::Log(command) => command.run(),
        };
        match result {
            Ok(exit) => exit,
            Err(failed) => {
                if !failed.message.is_empty() {
                    // Nobody is left to be told if standard error is closed.
                    let _ = writeln!(io::stderr(), "loquic: {}", failed.message);
                }
                failed.exit
            }
        }
    }
}

/// A runtime on this thread, for a command that is a client.
fn client_runtime() -> Result<tokio::runtime::Runtime, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failed::new(format_args!("cannot start: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_closed_pipe_is_success() {
        let failed = Failed::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failed.exit, failed.message.as_str()), (Exit::Success, ""));
    }
}
