//! `loquic-impair`: the proxy by hand. Says where it listens, and at the end (Ctrl-C) what it did.

use std::{error::Error, io::Write, net::SocketAddr};

use clap::{Args, Parser, Subcommand};
use loquic_impair::{NAMED, Profile, Proxy};

/// A UDP and TCP proxy that is as bad as a network can be.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the profiles that have a name.
    Profiles,
    /// Stand in front of a TCP server.
    Tcp(Run),
    /// Stand in front of a UDP server.
    Udp(Run),
}

#[derive(Args)]
struct Run {
    /// The server.
    #[arg(long, value_name = "ADDRESS")]
    to: SocketAddr,
    /// Where clients connect to.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A name, or keys and values, or both: loss-2,delay=15ms,down.rate=10Mbit
    #[arg(long, value_name = "PROFILE", default_value = "clean")]
    profile: Profile,
    /// What is decided by chance is the same again with the same seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print what it did as JSON.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let (run, proxy) = match Cli::parse().command {
        Command::Profiles => {
            for named in NAMED {
                writeln!(out, "{:30}{}", named.name, named.words)?;
            }
            return Ok(());
        }
        Command::Tcp(run) => {
            let proxy = Proxy::tcp_at(run.listen, run.to, run.profile.clone(), run.seed).await?;
            (run, proxy)
        }
        Command::Udp(run) => {
            let proxy = Proxy::udp_at(run.listen, run.to, run.profile.clone(), run.seed).await?;
            (run, proxy)
        }
    };
    eprintln!("{} to {}: {} (seed {})", proxy.address(), run.to, run.profile, run.seed);
    tokio::signal::ctrl_c().await?;
    let stats = proxy.shutdown().await;
    match run.json {
        true => writeln!(out, "{}", serde_json::to_string(&stats)?)?,
        false => writeln!(out, "{stats}")?,
    }
    Ok(())
}
