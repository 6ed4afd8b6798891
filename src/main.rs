//! The `loquic` binary: everything is in the library's `cli`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    loquic::failpoint::arm();
    loquic::cli::Cli::parse().run().into()
}
