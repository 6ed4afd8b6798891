//! The program against a real server: what it prints, writes and ends with.
//!
//! The server is `LOQUIC_BIN`, or `loquic` beside this program, where `cargo build` puts both.

// All of it is a test: a failed expectation is what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

const LOADGEN: &str = env!("CARGO_BIN_EXE_loquic-loadgen");

/// A development server with a directory of its own. It is killed when it is dropped.
struct Server {
    child: Child,
    url: String,
    metrics: String,
    home: TempDir,
}

impl Server {
    fn start() -> Self {
        let beside = || Path::new(LOADGEN).with_file_name("loquic");
        let binary = env::var_os("LOQUIC_BIN").map_or_else(beside, PathBuf::from);
        assert!(binary.exists(), "no server at {}: build it, or name one with LOQUIC_BIN", binary.display());
        let home = tempfile::Builder::new().prefix("loadgen-").tempdir().unwrap();
        let mut child = Command::new(binary)
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
            .args(["--ops-listen", "127.0.0.1:0", "--data-dir", "data"])
            .current_dir(home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let ready: Value = serde_json::from_str(&ready).expect("the ready line");
        let url = format!("https://{}", ready["quic"][0].as_str().unwrap());
        let metrics = format!("http://{}/metrics", ready["ops"].as_str().or(ready["ops"][0].as_str()).unwrap());
        Self { child, url, metrics, home }
    }

    /// A short run against it. Whatever else the machine does, the generator's lag is no reason: it is not tested here.
    fn run(&self, flags: &str) -> Output {
        let common = "--insecure --rooms 2 --subscribers 5 --publishers 2 --rate 200 --duration 1s --warmup 200ms";
        loadgen(&format!("run --url {} --lag-max 1h {common} {flags}", self.url))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn loadgen(flags: &str) -> Output {
    Command::new(LOADGEN).args(flags.split_ascii_whitespace()).env_remove("LOQUIC_URL").output().unwrap()
}

#[track_caller]
fn ended(output: &Output, code: i32) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(code), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

#[track_caller]
fn said(output: &Output, text: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(text), "{text:?} is not in {stderr}");
}

#[test]
fn a_clean_run_passes_and_reports() {
    let server = Server::start();
    let output = server.run(&format!("--json - --seed 7 --slo delivered==100% --server-pid {}", server.child.id()));
    ended(&output, 0);
    said(&output, "PASS");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], "loquic-loadgen/1");
    let count = |name: &str| report[name].as_u64().unwrap();
    // One second of 200 publishes, five deliveries each.
    assert!((199..=201).contains(&count("sent")), "{}", count("sent"));
    assert_eq!((count("acked"), count("refused"), count("unknown")), (count("sent"), 0, 0));
    assert_eq!((count("expected"), count("delivered")), (5 * count("sent"), 5 * count("sent")));
    for name in ["lost", "duplicated", "reordered", "corrupt", "reconnects"] {
        assert_eq!(count(name), 0, "{name}");
    }
    for name in ["latency_us", "latency_uncorrected_us", "ack_latency_us"] {
        let quantiles = ["p50", "p90", "p99", "p999", "max"].map(|quantile| report[name][quantile].as_u64().unwrap());
        assert!(quantiles[0] > 0 && quantiles.is_sorted(), "{name}: {quantiles:?}");
    }
    let rows = report["series"].as_array().unwrap();
    let sum = |name: &str| rows.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("published"), sum("delivered")), (count("sent"), count("delivered")));
    assert!(rows.iter().all(|row| row["sessions"] == 10 && row["server_rss"].as_u64() > Some(0)));
    assert!(report["server"]["cpu_us_per_delivery"].is_number() && report["server"]["rss_bytes"].as_u64() > Some(0));
    assert_eq!((&report["config"]["seed"], &report["config"]["rooms"]), (&7.into(), &2.into()));
    assert_eq!(report["slo"].as_array().unwrap().iter().filter(|slo| slo["pass"] == true).count(), 6);
    assert_eq!((&report["valid"], &report["interrupted"]), (&true.into(), &false.into()));
}

#[test]
fn browsers_transports_deliver_as_well() {
    let server = Server::start();
    for transport in ["webtransport", "websocket"] {
        let output = server.run(&format!("--transport {transport} --json -"));
        ended(&output, 0);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["delivered"], &report["config"]["transport"]), (&report["expected"], &transport.into()));
    }
}

#[test]
fn an_slo_that_cannot_be_met_is_99_and_the_report_is_there_all_the_same() {
    let server = Server::start();
    let file = server.home.path().join("report.json");
    let output = server.run(&format!("--slo p50<1us --json {}", file.display()));
    ended(&output, 99);
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAIL  p50<1us"));
    let report: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let slo = report["slo"].as_array().unwrap().last().unwrap();
    assert!(slo["expr"] == "p50<1us" && slo["pass"] == false && slo["value"].as_f64() > Some(1.0), "{slo}");
    assert!(report["server"].is_null());
}

#[test]
fn a_generator_that_cannot_keep_up_is_98_before_99() {
    let server = Server::start();
    let output = server.run("--rate 100M --duration 300ms --warmup 0 --slo p50<1us --json -");
    ended(&output, 98);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["valid"], false);
    assert!(report["invalid_reasons"][0].as_str().unwrap().contains("were sent in time"), "{report}");
}

#[test]
fn an_interrupt_ends_it_early_with_a_report() {
    let server = Server::start();
    let mut flags: Vec<String> =
        "run --insecure --lag-max 1h --warmup 0 --duration 1h --json - --url".split(' ').map(str::to_owned).collect();
    flags.push(server.url.clone());
    let mut child = Command::new(LOADGEN).args(flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    assert!(stderr.lines().any(|line| line.unwrap().starts_with("measuring")), "it says when it begins");
    let pid = child.id();
    let killed = Command::new("kill").args(["-INT", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let code = child.wait().unwrap().code();
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["interrupted"], true);
    assert_eq!((&report["lost"], &report["unknown"]), (&0.into(), &0.into()));
    assert!(matches!(code, Some(0 | 99)), "{code:?}: nothing may have been delivered so early");
}

#[test]
fn the_server_counts_what_came_here() {
    let server = Server::start();
    for transport in ["quic", "webtransport"] {
        let flags = format!("--transport {transport} --slo server_rss<1GB --json - --metrics-url {}", server.metrics);
        let output = server.run(&flags);
        ended(&output, 0);
        said(&output, "as here");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let of_server = &report["server"];
        assert_eq!(of_server["metrics"]["agrees"], true, "{of_server}");
        for check in of_server["metrics"]["checks"].as_array().unwrap() {
            // With the warm-up of 200 ms.
            let (server, least) = (check["server"].as_f64().unwrap(), report["sent"].as_f64().unwrap());
            assert!(server > least && server == check["generator"].as_f64().unwrap(), "{check}");
        }
        assert!(of_server["metrics"]["counters"]["loquic_records_delivered_total"].as_f64().unwrap() > 0.0);
        assert_eq!(of_server["metrics"]["gauges"]["loquic_sessions"], 10.0);
        // Without a process id, what the server says of itself.
        assert!(of_server["cpu_s"].is_number() && of_server["rss_bytes"].as_u64() > Some(1 << 20), "{of_server}");
        assert!(report["series"][0]["server_rss"].as_u64() > Some(1 << 20));
    }
}

#[test]
fn metrics_that_cannot_be_read_are_1_before_anything_is_published() {
    let server = Server::start();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    drop(silent);
    for (url, text) in [
        (format!("http://127.0.0.1:{port}/metrics"), "ops listener"),
        (server.metrics.replace("metrics", "nowhere"), "the answer is 404"),
        (server.metrics.replace("metrics", "healthz"), "is no metric"),
    ] {
        let output = server.run(&format!("--metrics-url {url}"));
        ended(&output, 1);
        said(&output, "--metrics-url: cannot read http://127.0.0.1:");
        said(&output, text);
    }
}

#[test]
fn a_bad_network_loses_packets_and_no_records() {
    let server = Server::start();
    for transport in ["quic", "webtransport"] {
        let output = server.run(&format!(
            "--transport {transport} --json - --seed 3 --metrics-url {} --impair \
             loss-5,delay=2ms,duplicate=5%,rebind=port/300ms/400ms",
            server.metrics
        ));
        ended(&output, 0);
        said(&output, "network     delay=2ms,loss=5%,duplicate=5%,rebind=port/300ms/400ms");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let of_network = &report["impair"];
        let count = |path: &str| of_network.pointer(path).and_then(Value::as_u64).unwrap();
        assert_eq!(count("/clients"), 10, "each session has a link of its own: {of_network}");
        for path in ["/up/dropped/loss", "/down/dropped/loss", "/down/duplicated", "/rebinds"] {
            assert!(count(path) > 0, "{path}: {of_network}");
        }
        // There and back: 2 ms each way to the server and to the subscriber.
        assert!(report["latency_us"]["p50"].as_u64() >= Some(4_000), "{report}");
        assert_eq!((&report["lost"], &report["duplicated"]), (&0.into(), &0.into()));
    }
}

#[test]
fn what_is_asked_wrongly_is_2() {
    for (flags, text) in [
        ("run --bogus", "--bogus"),
        ("find-max", "unrecognized subcommand"),
        ("run --transport carrier-pigeon", "possible values: quic, webtransport, websocket"),
        ("run --slo p99<soon", "p99<soon"),
        ("run --url nonsense", "is not an address"),
        ("run --scenario nowhere", "neither a file nor a scenario"),
        ("run --size 5", "--size must be from 28"),
        ("run --duration 10", "has no unit"),
        ("run --slo server_rss<1GB", "needs --server-pid or --metrics-url"),
        ("run --metrics-url 127.0.0.1:9090/metrics", "must begin with http://"),
        ("run --impair wet-string", "\"wet-string\" is not a profile; there are clean, loss-1"),
        ("run --impair loss-2 --url nonsense", "is not an address"),
    ] {
        let output = loadgen(flags);
        ended(&output, 2);
        said(&output, text);
    }
}

#[test]
fn a_server_that_is_not_there_is_1() {
    // A socket that nobody reads from: its port is taken, and there is no answer.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let output = loadgen(&format!("run -k --url https://127.0.0.1:{port} --connect-timeout 200ms --rooms 1"));
    ended(&output, 1);
    said(&output, "Is the server running there?");
    let output = loadgen("run --json /nowhere/at/all.json");
    ended(&output, 1);
    said(&output, "cannot write");
}
