//! A server as a process: started, looked at from outside, and ended.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tempfile::TempDir;

/// A process that is killed when it is dropped.
pub struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// How a node is started.
#[derive(Debug, Clone, Default)]
pub struct Node<'a> {
    /// Threads for the network; the configuration's default if it is not said.
    pub workers: Option<usize>,
    /// The level of every room; `disk` if it is not said.
    pub level: Option<&'a str>,
    /// Further lines of the configuration, before the rooms.
    pub config: &'a str,
    /// Another binary than the one that was built with the bench: `BENCH_BIN` says so too.
    pub binary: Option<&'a Path>,
}

/// A node with a data directory of its own.
pub struct Server {
    pub process: Process,
    pub address: SocketAddr,
    pub directory: TempDir,
}

impl Server {
    /// Starts `loquic serve --dev` on a free port and waits until it is ready.
    pub fn start(node: &Node) -> Self {
        Self::start_in(directory(), node)
    }

    /// Ends the node in good order and starts it again on the same data directory.
    pub fn restart(self, node: &Node) -> Self {
        let Self { mut process, directory, .. } = self;
        process.terminate();
        process.wait();
        Self::start_in(directory, node)
    }

    fn start_in(directory: TempDir, node: &Node) -> Self {
        let mut config = String::from(node.config);
        if let Some(level) = node.level {
            config.push_str(&format!("\n[[rooms]]\npattern = \"**\"\nlevel = \"{level}\"\n"));
        }
        let path = directory.path().join("loquic.toml");
        fs::write(&path, config).expect("the configuration is written");
        let named = std::env::var_os("BENCH_BIN");
        let binary = node.binary.or(named.as_deref().map(Path::new)).unwrap_or(Path::new(env!("CARGO_BIN_EXE_loquic")));
        let mut command = Command::new(binary);
        command.args(["serve", "--dev", "--listen", "127.0.0.1:0"]).arg("--config").arg(&path);
        // By the environment, which older binaries that are compared with leave alone.
        command.env("LOQUIC_LISTEN__HTTP", "127.0.0.1:0").env("LOQUIC_LISTEN__OPS", "127.0.0.1:0");
        // The development certificate goes there too.
        command.arg("--data-dir").arg(directory.path().join("data")).current_dir(directory.path());
        if let Some(workers) = node.workers {
            command.env("LOQUIC_RUNTIME__WORKERS", workers.to_string());
        }
        // What the node logs is not what is measured.
        command.stderr(Stdio::null());
        let mut process = Process::spawn(command);
        let ready: serde_json::Value = serde_json::from_str(&process.line()).expect("the ready line");
        let address = ready["quic"][0].as_str().and_then(|address| address.parse().ok()).expect("an address");
        Self { process, address, directory }
    }
}

/// A directory on the disk of the build, and not in `/tmp`, which may be memory.
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("loquic-bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

impl Process {
    /// Starts it with its output piped.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the process starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, output }
    }

    /// Starts the bench itself with other arguments.
    pub fn spawn_self(arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("the bench's own path"));
        command.args(arguments);
        Self::spawn(command)
    }

    /// The next line it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "the process ended early");
        line
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Time its threads have spent on a processor, those that have ended excepted.
    pub fn cpu(&self) -> Duration {
        cpu_of(&format!("/proc/{}/task", self.id()))
    }

    /// Memory that is resident and its own, in bytes: without the pages of the binary and of libraries.
    pub fn rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let field = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = field.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kilobytes.expect("the process is there") * 1024
    }

    /// Stops it as if it hung (SIGSTOP).
    pub fn stop(&self) {
        let id = Pid::from_child(&self.child);
        kill_process(id, Signal::STOP).expect("the process is there");
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the process is there");
    }

    /// Waits for its end.
    pub fn wait(&mut self) {
        self.child.wait().expect("the process is there");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Time the threads of this process have spent on a processor.
pub fn own_cpu() -> Duration {
    cpu_of("/proc/self/task")
}

fn cpu_of(tasks: &str) -> Duration {
    let tasks = fs::read_dir(tasks).expect("the process is there");
    let nanos = tasks.flatten().filter_map(|task| {
        // A thread may end meanwhile.
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Lets this process and its children open as many files as it may.
pub fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
