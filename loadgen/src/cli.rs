//! The command line. Results go to standard output, everything that is said about them to standard error.

use std::{
    collections::hash_map::RandomState,
    fs::File,
    hash::{BuildHasher, Hasher},
    io::{self, Write},
    process::ExitCode,
    thread,
    time::Duration,
};

use clap::{Parser, Subcommand};
use loquic_impair::Profile;

use crate::{
    limits::LAG_MAX_DEFAULT,
    output,
    plan::{Plan, Transport},
    process::Process,
    report::{Grade, Report},
    run,
    scenario::{self, Scenario},
    scrape,
    slo::{self, Slo},
    units,
};

/// An open-loop load generator for Loquic that judges every delivery.
#[derive(Debug, Parser)]
#[command(name = "loquic-loadgen", version, max_term_width = 120, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 pass, 1 failure, 2 usage, 98 the run is invalid, 99 an SLO was not met.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish at a fixed rate, follow everything that comes, and say how it went
    #[command(args_override_self = true, after_help = slo::help())]
    Run(Box<Run>),
}

#[derive(Debug, clap::Args)]
struct Run {
    /// A scenario that is built in (broadcast, chat, many-rooms) or a TOML file; flags override it
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Option<String>,
    /// The server
    #[arg(long, env = "LOQUIC_URL", default_value = "https://127.0.0.1:4433")]
    url: String,
    /// How to get there
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// Take any certificate: for a development server only
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Rooms [default: 1]
    #[arg(long, value_name = "N", value_parser = units::count)]
    rooms: Option<u64>,
    /// Subscribers in each room [default: 10]
    #[arg(long, value_name = "N", value_parser = units::count)]
    subscribers: Option<u64>,
    /// Publishers in each room; they are its first subscribers [default: 1]
    #[arg(long, value_name = "N", value_parser = units::count)]
    publishers: Option<u64>,
    /// Sessions that the members of all rooms are dealt out over [default: one for each member]
    #[arg(long, value_name = "N", value_parser = units::count)]
    sessions: Option<u64>,
    /// Publishes per second, of all publishers together, whatever the server does [default: 100]
    #[arg(short, long, value_name = "N", value_parser = units::number)]
    rate: Option<f64>,
    /// Bytes of a payload [default: 128]
    #[arg(short, long, value_name = "BYTES", value_parser = units::size)]
    size: Option<usize>,
    /// How long to measure [default: 10s]
    #[arg(short, long, value_name = "TIME", value_parser = units::duration)]
    duration: Option<Duration>,
    /// How long to publish before that [default: 2s]
    #[arg(short, long, value_name = "TIME", value_parser = units::duration)]
    warmup: Option<Duration>,
    /// What the run must achieve (below); can be said several times, and replaces those of the scenario
    #[arg(long, value_name = "CONDITION")]
    slo: Vec<Slo>,
    /// Also measure this process: CPU and memory of a server on this machine
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Read the server's metrics there: its own counts, and CPU and memory of a server elsewhere
    #[arg(long, value_name = "URL")]
    metrics_url: Option<scrape::Source>,
    /// Put a network between: the name of a profile (loss-2, rtt-100ms, …) or `delay=15ms,loss=1%`, seeded by --seed
    #[arg(long, value_name = "PROFILE")]
    impair: Option<Profile>,
    /// Write the report as JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
    /// Decides when publishes are due, and the bytes they carry [default: random, told in the report]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads that receive [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// How late the generator itself may be (p99) before the run is invalid
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "10ms")]
    lag_max: Duration,
    /// How long to wait for each session
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "10s")]
    connect_timeout: Duration,
}

/// Why there is no report.
#[derive(Debug)]
pub(crate) enum Failed {
    /// What was asked for makes no sense.
    Usage(String),
    /// It did not work.
    Tool(String),
}

impl Failed {
    pub(crate) fn tool(message: impl std::fmt::Display) -> Self {
        Self::Tool(message.to_string())
    }
}

impl Cli {
    pub(crate) fn run(self) -> ExitCode {
        let Command::Run(command) = self.command;
        let (code, message) = match command.run() {
            Ok(Grade::Pass) => (0, None),
            Ok(Grade::Invalid) => (98, None),
            Ok(Grade::Failed) => (99, None),
            Err(Failed::Tool(message)) => (1, Some(message)),
            Err(Failed::Usage(message)) => (2, Some(message)),
        };
        if let Some(message) = message {
            // Nobody is left to be told if standard error is closed.
            let _ = writeln!(io::stderr(), "loquic-loadgen: {message}");
        }
        ExitCode::from(code)
    }
}

impl Run {
    fn run(self) -> Result<Grade, Failed> {
        let json = self.json.clone();
        let plan = self.plan().map_err(Failed::Usage)?;
        // Not after a run of an hour.
        let file = match json.as_deref() {
            None | Some("-") => None,
            Some(path) => {
                Some(File::create(path).map_err(|error| Failed::tool(format_args!("cannot write {path}: {error}")))?)
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(plan.threads)
            .enable_all()
            .build()
            .map_err(|error| Failed::tool(format_args!("cannot start threads: {error}")))?;
        let report = runtime.block_on(run::run(plan))?;
        let written = match (json.as_deref(), file) {
            (Some("-"), _) => {
                // Who reads the JSON need not have an ear for the rest.
                let _ = print(&mut io::stderr(), &report);
                write_json(&mut io::stdout(), &report)
            }
            (_, Some(mut file)) => write_json(&mut file, &report).and_then(|()| print(&mut io::stdout(), &report)),
            (_, None) => print(&mut io::stdout(), &report),
        };
        written.map_err(|error| Failed::tool(format_args!("cannot write the report: {error}")))?;
        Ok(report.grade())
    }

    fn plan(self) -> Result<Plan, String> {
        let scenario = self.scenario.as_deref().map(scenario::load).transpose()?.unwrap_or_default();
        let count = |name: &str, flag: Option<u64>, file: Option<u64>, default: u32| match flag.or(file) {
            Some(number) => u32::try_from(number).map_err(|_| format!("--{name} {number} is too many")),
            None => Ok(default),
        };
        let mut plan = Plan {
            rooms: count("rooms", self.rooms, scenario.rooms, 1)?,
            subscribers: count("subscribers", self.subscribers, scenario.subscribers, 10)?,
            publishers: count("publishers", self.publishers, scenario.publishers, 1)?,
            rate: self.rate.or(scenario.rate).unwrap_or(100.0),
            size: self.size.or(scenario.size).unwrap_or(128),
            duration: time("duration", self.duration, scenario.duration.as_deref(), DURATION_DEFAULT)?,
            warmup: time("warmup", self.warmup, scenario.warmup.as_deref(), WARMUP_DEFAULT)?,
            seed: self.seed.unwrap_or_else(|| random() >> 11),
            threads: self.threads.map_or_else(threads_default, usize::from),
            slo: conditions(self.slo, &scenario)?,
            scenario: self.scenario,
            url: self.url,
            transport: self.transport,
            insecure: self.insecure,
            server_pid: self.server_pid,
            metrics_url: self.metrics_url,
            impair: self.impair,
            lag_max: self.lag_max,
            connect_timeout: self.connect_timeout,
            sessions: 0,
        };
        // A flag that changes how many members there are makes nonsense of the scenario's number.
        let of_scenario = scenario.sessions.filter(|_| self.rooms.or(self.subscribers).or(self.publishers).is_none());
        let each = u32::try_from(u64::from(plan.rooms) * u64::from(plan.members())).unwrap_or(u32::MAX);
        plan.sessions = count("sessions", self.sessions, of_scenario, each)?;
        plan.check()?;
        match plan.server_pid.filter(|id| Process::with_id(*id).usage().is_none()) {
            Some(id) => Err(format!("--server-pid {id}: there is no such process on this machine")),
            None => Ok(plan),
        }
    }
}

const DURATION_DEFAULT: Duration = Duration::from_secs(10);
const WARMUP_DEFAULT: Duration = Duration::from_secs(2);
const _: () = assert!(LAG_MAX_DEFAULT.as_millis() == 10, "the help says so");

fn time(name: &str, flag: Option<Duration>, file: Option<&str>, default: Duration) -> Result<Duration, String> {
    match (flag, file) {
        (Some(flag), _) => Ok(flag),
        (None, Some(text)) => units::duration(text).map_err(|reason| format!("{name}: {reason}")),
        (None, None) => Ok(default),
    }
}

fn conditions(flags: Vec<Slo>, scenario: &Scenario) -> Result<Vec<Slo>, String> {
    let given =
        if flags.is_empty() { scenario.slo.iter().map(|text| text.parse()).collect::<Result<_, _>>()? } else { flags };
    let implicit = slo::implicit();
    Ok(given.into_iter().filter(|slo| !implicit.contains(slo)).collect())
}

/// All of them: more threads do not cost more for each delivery (DECISIONS), and one alone is soon a queue.
fn threads_default() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Different each time; the standard library seeds its hash tables well.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn write_json(to: &mut dyn Write, report: &Report) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *to, report)?;
    writeln!(to)?;
    to.flush()
}

fn print(to: &mut dyn Write, report: &Report) -> io::Result<()> {
    to.write_all(output::summary(report).as_bytes())?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn plan(flags: &str) -> Result<Plan, String> {
        let arguments = ["loquic-loadgen", "run"].into_iter().chain(flags.split_ascii_whitespace());
        let Command::Run(run) = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?.command;
        run.plan()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_override_the_scenario() {
        let chat = plan("--scenario chat").unwrap();
        assert_eq!((chat.rooms, chat.sessions, chat.rate, chat.size), (25, 500, 100.0, 200));
        let smaller = plan("--scenario chat --rooms 2 -r 1k -d 3s --slo p99<1s").unwrap();
        assert_eq!((smaller.rooms, smaller.sessions, smaller.rate), (2, 40, 1000.0));
        assert_eq!((smaller.duration, smaller.warmup), (Duration::from_secs(3), Duration::from_secs(2)));
        assert_eq!(smaller.slo.len(), 1);
        let rooms = plan("--scenario many-rooms").unwrap();
        assert_eq!((rooms.rooms, rooms.subscribers, rooms.sessions), (1000, 2, 100));
        assert_eq!(plan("--scenario many-rooms --rooms 10").unwrap().sessions, 20);
        assert_eq!(plan("--scenario broadcast").unwrap().sessions, 1000);
    }

    #[test]
    fn what_every_run_must_achieve_is_not_said_twice() {
        assert!(plan("--slo lost==0").unwrap().slo.is_empty());
    }

    #[test]
    fn mistakes_are_named() {
        for (flags, said) in [
            ("--transport carrier-pigeon", "possible values: quic, webtransport, websocket"),
            ("--duration 10", "has no unit"),
            ("--slo p98<1ms", "nothing that is measured"),
            ("--scenario nowhere", "neither a file nor a scenario"),
            ("--rooms 5000000000", "too many"),
            ("--server-pid 4294967295", "no such process"),
            ("--rate -5", "unexpected argument"),
            ("--threads 0", "0"),
            ("--metrics-url 127.0.0.1:9090", "must begin with http://"),
            ("--metrics-url https://127.0.0.1:9090/metrics", "must begin with http://"),
            ("--metrics-url http:///metrics", "names no host"),
            ("--impair wet-string", "\"wet-string\" is not a profile"),
            ("--impair loss=200%", "loss=200%"),
            ("--impair loss-2 --transport websocket", "goes over TCP"),
            ("--impair loss-2 --rooms 20k --subscribers 1", "at most 16384 sessions with --impair"),
        ] {
            let error = plan(flags).unwrap_err();
            assert!(error.contains(said), "{flags}: {error}");
        }
    }
}
