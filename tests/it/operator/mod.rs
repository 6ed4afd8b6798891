//! What whoever runs Loquic meets: configuration, directories, ports and certificates that do not fit, and the contract
//! of the command line.

mod certificates;
mod config;
mod directory;
mod http;
mod log;
mod metrics;
mod publish;
mod stop;
mod subscribe;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

use crate::support::Site;

/// The binary, without what this process's environment says about Loquic.
fn loquic(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LOQUIC_")) {
        command.env_remove(name);
    }
    command.current_dir(home).env("NO_COLOR", "1").env("USER", "tester").args(arguments).stdin(Stdio::null());
    // Tests run side by side.
    command.env("LOQUIC_LISTEN__HTTP", "127.0.0.1:0").env("LOQUIC_LISTEN__OPS", "127.0.0.1:0");
    command
}

/// A copy: another build in the same target directory must not exchange the binary under a test.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("loquic-operator");
        // A new file, because the old one may be running.
        let _ = fs::remove_file(&copy);
        fs::copy(env!("CARGO_BIN_EXE_loquic"), &copy).unwrap();
        copy
    })
}

/// Runs a command to its end, off the runtime.
async fn run(mut command: Command) -> Ran {
    tokio::task::spawn_blocking(move || Ran::from(command.output().unwrap())).await.unwrap()
}

/// Runs a command to its end with this standard input.
async fn run_with(mut command: Command, input: Vec<u8>) -> Ran {
    let ran = move || {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that wants no more closes the pipe.
        let writer = std::thread::spawn(move || _ = stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Ran::from(output)
    };
    tokio::task::spawn_blocking(ran).await.unwrap()
}

/// How a command ended, and what it said.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("it says UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// It ended with this code and said all of these on standard error, without a panic.
    #[track_caller]
    fn says(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        words.iter().for_each(|word| assert!(self.err.contains(word), "it does not say {word:?}: {self:#?}"));
        assert!(!self.err.contains("panicked"), "{self:#?}");
        self
    }

    /// Standard output as JSON, line by line.
    #[track_caller]
    fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
    }
}

/// `loquic pub` or `sub` at this site, with JSON.
fn client(site: &Site, command: &str, arguments: &[&str]) -> Command {
    let mut client = loquic(Path::new("/"), &[command]);
    client.args(arguments).args(["--url", &site.url(), "--insecure", "--json", "--name", "tester"]);
    client
}

/// The keys of an object in the order in which they were printed.
fn keys(line: &str) -> Vec<&str> {
    let mut keys = Vec::new();
    let mut rest = line;
    // Enough for flat objects whose values hold neither quotes nor braces.
    while let Some((_, behind)) = rest.split_once('"') {
        let Some((key, behind)) = behind.split_once('"') else { break };
        rest = behind;
        if behind.starts_with(':') {
            keys.push(key);
        }
    }
    keys
}
