//! `loquic certs`: the development certificate.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use super::{Exit, Failed};
use crate::config::{
    DEV_CERTS_DIR,
    certs::{DEV_FILE, dev_certificate},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make the certificate that `serve --dev` uses, unless it is there, and print its SHA-256 hash
    ///
    /// It is for localhost, 127.0.0.1 and ::1, valid for 13 days, and replaced after half of them. The hash, of the
    /// certificate's DER in base64, is what a browser's serverCertificateHashes takes.
    Dev {
        /// Where certificate and key are kept, in one file
        #[arg(long, default_value = DEV_CERTS_DIR)]
        dir: PathBuf,
    },
}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Failed> {
        let Self::Dev { dir } = self;
        let identity = dev_certificate(&dir).map_err(Failed::new)?;
        writeln!(io::stderr(), "{}", dir.join(DEV_FILE).display())?;
        writeln!(io::stdout().lock(), "{}", identity.hash_base64())?;
        Ok(Exit::Success)
    }
}
