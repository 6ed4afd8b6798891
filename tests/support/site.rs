//! A server as a process: started, killed, stopped and started again on the same port and directory.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use loquic::token::{Claims, Right, Signer};
use loquic_client::{Backoff, Builder, Client, Transport};
use loquic_wire::{RoomPattern, UserName};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};

/// Longer than any start or stop takes on a busy machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// What every development server says.
const ALWAYS_ALLOWED: &[&str] = &["everybody who reaches this node may use any name"];

/// One server's directory, configuration and port, over all the processes that serve it one after the other.
///
/// When it is dropped it fails the test if a process has logged a warning or an error that was not
/// [`allow`](Self::allow)ed.
pub struct Site {
    /// The working directory of the processes: certificate and configuration.
    home: TempDir,
    data: Mutex<PathBuf>,
    port: u16,
    is_dev: bool,
    transport: Transport,
    allowed: Vec<&'static str>,
    lines: Lines,
}

/// What the processes have said; a `watch`, so that a test can wait for a line.
type Lines = Arc<watch::Sender<Vec<String>>>;

/// A process that has ended before it was ready.
#[derive(Debug)]
pub struct Exit {
    /// How.
    pub status: ExitStatus,
    /// What it said.
    pub stderr: String,
}

impl Site {
    /// A new directory, with this configuration file.
    pub fn new(config: &str) -> Self {
        let home = tempfile::Builder::new().prefix("loquic-site-").tempdir().expect("make a directory");
        let data = home.path().join("data");
        Self::in_home(home, data, config)
    }

    /// The data directory is somewhere else.
    pub fn at(data: &Path, config: &str) -> Self {
        let home = tempfile::Builder::new().prefix("loquic-site-").tempdir().expect("make a directory");
        Self::in_home(home, data.into(), config)
    }

    fn in_home(home: TempDir, data: PathBuf, config: &str) -> Self {
        fs::write(home.path().join("loquic.toml"), config).expect("write the configuration");
        let (data, allowed) = (Mutex::new(data), ALWAYS_ALLOWED.to_vec());
        let (port, lines) = (free_port(), Arc::default());
        Self { home, data, port, is_dev: true, transport: Transport::Quic, allowed, lines }
    }

    /// Nobody comes in without a [`token`](Self::token): its processes run without `--dev`. The configuration begins
    /// with keys of no section.
    pub fn with_tokens(config: &str) -> Self {
        let keys = "tls.certificate = 'certs/dev.pem'\ntls.key = 'certs/dev.pem'\nauth.token_key = 'token.secret'\n";
        let mut site = Self::new(&format!("{keys}{config}"));
        site.is_dev = false;
        fs::write(site.home().join("token.secret"), "0123456789abcdef0123456789abcdef").expect("write the secret");
        assert!(site.loquic(&["certs", "dev"]).status.success());
        site
    }

    /// A token that ends at this Unix second.
    pub fn token(&self, user: &str, rooms: &[(&str, &[Right])], expires: u64) -> String {
        let pattern =
            |(pattern, rights): &(&str, &[Right])| (RoomPattern::new(pattern).expect("a pattern"), rights.to_vec());
        let user = UserName::new(user).expect("a name");
        let claims = Claims { user, expires, rooms: rooms.iter().map(pattern).collect() };
        let signer = Signer::open(&self.home().join("token.secret")).expect("the secret");
        signer.sign(&claims, None, None).expect("a token")
    }

    /// Warnings and errors that contain this text are expected.
    #[must_use]
    pub fn allow(mut self, text: &'static str) -> Self {
        self.allowed.push(text);
        self
    }

    /// Its clients come this way.
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.data.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The working directory of the processes.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The next process has another data directory.
    pub fn move_to(&self, data: &Path) {
        *self.data.lock().unwrap_or_else(PoisonError::into_inner) = data.into();
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("https://{}", self.address())
    }

    /// The same, as an address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The port, the same for all its processes.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the configuration of the next process.
    pub fn configure(&self, config: &str) {
        fs::write(self.home.path().join("loquic.toml"), config).expect("write the configuration");
    }

    /// A client that comes back quickly.
    pub fn client(&self, name: &str) -> Builder {
        self.client_through(self.port, name)
    }

    /// The same client, which finds the site at another port: that of a proxy.
    pub fn client_through(&self, port: u16, name: &str) -> Builder {
        Client::builder(format!("https://127.0.0.1:{port}"))
            .name(name)
            .transport(self.transport)
            .danger_accept_any_certificate(true)
            .backoff(Backoff { first: Duration::from_millis(20), max: Duration::from_millis(250) })
            .connect_timeout(PATIENCE)
    }

    /// A client with a session.
    pub async fn connect(&self, name: &str) -> Client {
        self.client(name).connect().await.expect("connect")
    }

    /// A client that connects when it can.
    pub fn connect_lazy(&self, name: &str) -> Client {
        self.client(name).connect_lazy().expect("set up a client")
    }

    /// Starts a process and waits until it is ready.
    pub async fn start(&self) -> Node {
        self.start_with("").await
    }

    /// Starts a process that dies where `failpoints` says (see `src/failpoint.rs`).
    pub async fn start_with(&self, failpoints: &str) -> Node {
        match self.try_start(failpoints).await {
            Ok(node) => node,
            Err(Exit { status, stderr }) => panic!("the server did not start: {status}\n{stderr}"),
        }
    }

    /// Starts a process with further arguments and waits until it is ready.
    pub async fn start_saying(&self, arguments: &[&str]) -> Node {
        match self.run("", arguments).await {
            Ok(node) => node,
            Err(Exit { status, stderr }) => panic!("the server did not start: {status}\n{stderr}"),
        }
    }

    /// Starts a process that may end before it is ready.
    pub async fn try_start(&self, failpoints: &str) -> Result<Node, Exit> {
        self.run(failpoints, &[]).await
    }

    async fn run(&self, failpoints: &str, arguments: &[&str]) -> Result<Node, Exit> {
        let mut command = self.command();
        command.arg("serve").args(self.is_dev.then_some("--dev")).args(["--config", "loquic.toml", "--listen"]);
        command.arg(format!("127.0.0.1:{}", self.port)).arg("--data-dir").arg(self.data()).args(arguments);
        if !failpoints.is_empty() {
            command.env("FAILPOINTS", failpoints);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start the server");
        let pid = Pid::from_child(&child);
        let handle = pidfd_open(pid, PidfdFlags::empty()).expect("open a handle of the process");
        let first = self.lines().len();
        let ready = read_ready(&mut child);
        let exit = self.watch(child);
        let lines = self.lines.clone();
        let mut node = Node { pid, handle, exit, lines, ready: serde_json::Value::Null };
        match timeout(PATIENCE, ready).await.expect("the server is ready in time") {
            Ok(line) => {
                node.ready = serde_json::from_str(&line).expect("the ready line is JSON");
                Ok(node)
            }
            Err(_) => {
                let status = node.exited().await;
                Err(Exit { status, stderr: self.lines()[first..].join("\n") })
            }
        }
    }

    /// Runs another command of the binary, `loquic log …` for example.
    pub fn loquic(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("run loquic")
    }

    /// Everything that the processes have said.
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// How often a process has said this.
    pub fn said(&self, text: &str) -> usize {
        said(&self.lines.borrow(), text)
    }

    /// Waits until a process has said this so many times.
    pub async fn says(&self, text: &str, times: usize) {
        let mut lines = self.lines.subscribe();
        let came = timeout(PATIENCE, lines.wait_for(|lines| said(lines, text) >= times)).await;
        let came = came.map(|lines| drop(lines.expect("the site holds the sender")));
        came.unwrap_or_else(|_| panic!("the server does not say {text:?}:\n{}", tail(&self.lines())));
    }

    /// `loquic log verify` finds nothing. Returns what it says.
    pub fn verify(&self) -> serde_json::Value {
        let output = self.loquic(&["log", "verify", "--json", "--data-dir", &self.data().display().to_string()]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "log verify: {}\n{text}", output.status);
        serde_json::from_slice(&output.stdout).expect("log verify prints JSON")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(self.home.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LOQUIC_") || name == "FAILPOINTS") {
            command.env_remove(name);
        }
        // Tests run side by side; what they got is in the ready line.
        command.env("LOQUIC_LISTEN__HTTP", "127.0.0.1:0").env("LOQUIC_LISTEN__OPS", "127.0.0.1:0");
        command
    }

    /// Collects what the process says and how it ends. Everything it said is there when its end is.
    fn watch(&self, mut child: Child) -> watch::Receiver<Option<ExitStatus>> {
        let (sender, exit) = watch::channel(None);
        let (stderr, lines) = (child.stderr.take().expect("stderr is a pipe"), self.lines.clone());
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.send_modify(|lines| lines.push(line));
            }
            sender.send_replace(child.wait().ok());
        });
        exit
    }

    fn assert_quiet(&self) {
        let lines = self.lines();
        let loud = |line: &&String| {
            [" WARN ", " ERROR ", "panicked at"].iter().any(|level| line.contains(level))
                && !self.allowed.iter().any(|allowed| line.contains(allowed))
        };
        let unlisted: Vec<&String> = lines.iter().filter(loud).take(20).collect();
        assert!(unlisted.is_empty(), "the server has logged what nobody expected:\n{unlisted:#?}");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the last lines of the server on port {}:\n{}", self.port, tail(&self.lines()));
        } else {
            self.assert_quiet();
        }
    }
}

/// A process that serves. Killed when it is dropped.
pub struct Node {
    pid: Pid,
    /// Signals go through a handle: the number may be another process's by then.
    handle: OwnedFd,
    exit: watch::Receiver<Option<ExitStatus>>,
    lines: Lines,
    ready: serde_json::Value,
}

impl Node {
    /// The ready line.
    pub fn ready(&self) -> &serde_json::Value {
        &self.ready
    }

    /// Where it listens for `what`: `http`, `https` or `ops`.
    pub fn address(&self, what: &str) -> SocketAddr {
        self.ready[what][0].as_str().and_then(|address| address.parse().ok()).expect("the ready line has the address")
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends a signal; nothing happens if the process has ended.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.handle, signal);
    }

    /// Waits until it has ended.
    pub async fn exited(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.exit.wait_for(Option::is_some)).await;
        let Ok(status) = ended.map(|status| *status.expect("somebody waits for the process")) else {
            panic!("the server does not end:\n{}", tail(&self.lines.borrow()));
        };
        status.expect("just looked")
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        self.signal(Signal::KILL);
        let status = self.exited().await;
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "the server had ended by itself: {status}");
    }

    /// Waits until a failpoint has killed it.
    pub async fn died_at_failpoint(mut self) {
        let status = self.exited().await;
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "no failpoint ended the server: {status}");
    }

    /// SIGTERM, and waits for the end of the drain.
    pub async fn terminate(mut self) {
        self.signal(Signal::TERM);
        let status = self.exited().await;
        assert!(status.success(), "the server did not end in good order: {status}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        // What it has open is closed when this returns, so that a disk can be unmounted.
        for _ in 0..5000 {
            if self.has_ended() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn said(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| line.contains(text)).count()
}

fn tail(lines: &[String]) -> String {
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A copy of the binary under test: another build in the same target directory must not exchange it between two starts.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!("loquic-", env!("CARGO_CRATE_NAME")));
        // A new file, because the old one may be running.
        let _ = fs::remove_file(&copy);
        fs::copy(env!("CARGO_BIN_EXE_loquic"), &copy).expect("copy the binary");
        copy
    })
}

/// A port that nobody has, from below the range that clients' sockets come from: those would take it while the server
/// is down.
fn free_port() -> u16 {
    let mut random = super::Random::new(u64::from(std::process::id()) ^ super::seed_of_time());
    loop {
        let port = random.between(10_000, 30_000) as u16;
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The first line of standard output; nothing if there is none. The rest is read, so that the process never waits for
/// it.
fn read_ready(child: &mut Child) -> oneshot::Receiver<String> {
    let (sender, ready) = oneshot::channel();
    let stdout = child.stdout.take().expect("stdout is a pipe");
    thread::spawn(move || {
        let (mut reader, mut line) = (BufReader::new(stdout), String::new());
        if reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            let _ = sender.send(line);
        } else {
            drop(sender);
        }
        let _ = std::io::copy(&mut reader.by_ref(), &mut std::io::sink());
    });
    ready
}
