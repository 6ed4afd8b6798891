//! What an idle session costs the server over each library: resident memory per session, each with one stream that was
//! used, as the growth from 500 to 2,500 sessions. In turns, a process for each.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
};

use loquic_wtransport::{HEADER, Identity, Library, Session, client, serve};

const ROUNDS: usize = 3;
const FIRST: usize = 500;
const THEN: usize = 2_500;

#[tokio::main]
async fn main() {
    match env::args().nth(1).as_deref() {
        Some("web-transport-quinn") => server(Library::WebTransportQuinn).await,
        Some("wtransport") => server(Library::Wtransport).await,
        _ => {
            for round in 1..=ROUNDS {
                for name in ["web-transport-quinn", "wtransport"] {
                    println!("figure: round {round}: {name}: {} bytes a session", measure(name).await);
                }
            }
        }
    }
}

/// Serves until standard input ends: a line with the port, behind the certificate's bytes on standard input.
async fn server(library: Library) {
    let identity = {
        let mut input = std::io::stdin().lock();
        let mut part = || {
            let mut length = [0; 4];
            input.read_exact(&mut length).expect("a length");
            let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
            input.read_exact(&mut bytes).expect("that many bytes");
            bytes
        };
        let (certificate, key) = (part(), part());
        Identity::from_der(certificate, key)
    };
    let (endpoint, _tasks) = serve(library, &identity);
    println!("{}", endpoint.local_addr().expect("an address").port());
    let until_end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    until_end.await.expect("it does not panic").expect("read");
}

async fn measure(name: &str) -> u64 {
    let identity = Identity::new();
    let this = env::current_exe().expect("this program");
    let mut server = Command::new(this).arg(name).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start");
    let mut stdin = server.stdin.take().expect("it is piped");
    let (certificate, key) = identity.to_der();
    for part in [certificate, key] {
        stdin.write_all(&(part.len() as u32).to_be_bytes()).expect("write");
        stdin.write_all(&part).expect("write");
    }
    stdin.flush().expect("write");
    let mut port = String::new();
    BufReader::new(server.stdout.take().expect("it is piped")).read_line(&mut port).expect("a port");
    let port = port.trim().parse().expect("a number");
    let from = client();
    let mut sessions = Vec::new();
    let mut resident = Vec::new();
    for count in [FIRST, THEN] {
        while sessions.len() < count {
            let session = Session::connect(&from, &identity, port).await;
            let mut stream = session.open(&[&HEADER[..], &[1]].concat()).await;
            stream.1.read_exact(&mut [0]).await.expect("an answer");
            sessions.push((session, stream));
        }
        resident.push(rss(server.id()));
    }
    drop(stdin);
    server.wait().expect("it ends");
    (resident[1] - resident[0]) / (THEN - FIRST) as u64
}

fn rss(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
