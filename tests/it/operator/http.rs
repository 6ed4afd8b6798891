//! The plain HTTP port: what it tells, who may ask, and that slow clients do not hold it.

use std::{fs, net::TcpListener};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_STANDARD};
use loquic_wire::Code;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::{loquic, run};
use crate::{
    http::{ask, get, rest, say},
    raw::Peer,
    support::{Node, Site},
};

/// The hash of the certificate that the QUIC port presents.
async fn presented(site: &Site) -> String {
    let peer = Peer::connect(site.port()).await;
    let identity = peer.connection.peer_identity().unwrap().downcast::<Vec<CertificateDer<'static>>>().unwrap();
    peer.close().await;
    BASE64_STANDARD.encode(digest(&SHA256, &identity[0]))
}

/// The hashes that it tells.
async fn told(node: &Node) -> Vec<String> {
    let hashes = get(node.address("http"), "/v1/info").await.json()["certificate_hashes"].take();
    serde_json::from_value(hashes).unwrap()
}

/// Moves the time from which a certificate is served to days ago.
fn age(site: &Site, file: &str, days: u64) {
    let file = site.home().join("certs").join(file);
    let text = fs::read_to_string(&file).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    let (words, from) = head.rsplit_once(' ').unwrap();
    fs::write(&file, format!("{words} {}\n{rest}", from.parse::<u64>().unwrap() - days * 24 * 60 * 60)).unwrap();
}

#[tokio::test]
async fn info_says_where_the_node_is_and_whom_to_trust() {
    let site = Site::new("node.name = 'n1'\n");
    let node = site.start().await;
    let http = node.address("http");
    let answer = get(http, "/v1/info").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let info = answer.json();
    assert_eq!((&info["version"], &info["node"]), (&env!("CARGO_PKG_VERSION").into(), &"n1".into()));
    assert_eq!(info["protocol"], loquic_wire::ALPN);
    let (port, url) = (site.port(), site.url());
    assert_eq!(info["ports"], serde_json::json!({"quic": [port], "https": [port], "http": [http.port()]}));
    let websocket = [format!("wss://127.0.0.1:{port}/v1/ws"), format!("ws://{http}/v1/ws")];
    let transports = serde_json::json!({"webtransport": [format!("{url}/v1")], "quic": [url], "websocket": websocket});
    assert_eq!(info["transports"], transports);
    let hashes = told(&node).await;
    assert_eq!(hashes.len(), 2);
    assert_ne!(hashes[0], hashes[1]);
    assert_eq!(presented(&site).await, hashes[0]);
    let printed = site.loquic(&["certs", "dev"]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap().trim_end(), hashes[0]);
    node.terminate().await;
}

#[tokio::test]
async fn a_page_that_knows_both_hashes_outlives_a_restart_and_a_new_certificate() {
    let site = Site::new("");
    let node = site.start().await;
    let before = told(&node).await;
    node.kill().await;
    let node = site.start().await;
    assert_eq!(told(&node).await, before, "kept over a restart");
    node.terminate().await;
    // Seven days later.
    age(&site, "dev.pem", 7);
    age(&site, "dev-next.pem", 7);
    let node = site.start().await;
    let after = told(&node).await;
    assert_eq!(after[0], before[1], "what was announced");
    assert_eq!(presented(&site).await, after[0]);
    assert!(!before.contains(&after[1]));
    node.terminate().await;
}

#[tokio::test]
async fn what_is_advertised_is_told_and_an_operators_certificate_has_no_hash() {
    let site = Site::new("");
    site.loquic(&["certs", "dev"]);
    site.configure(
        "[advertise]\nwebtransport = ['https://loquic.example.com/v1']\nwebsocket = ['wss://loquic.example.com/v1/ws']\n\
         [tls]\ncertificate = 'certs/dev.pem'\nkey = 'certs/dev.pem'\n",
    );
    let node = site.start().await;
    let info = get(node.address("http"), "/v1/info").await.json();
    assert_eq!(info["transports"]["webtransport"], serde_json::json!(["https://loquic.example.com/v1"]));
    assert_eq!(info["transports"]["websocket"], serde_json::json!(["wss://loquic.example.com/v1/ws"]));
    assert_eq!(info["transports"]["quic"], serde_json::json!([site.url()]));
    assert_eq!(info["certificate_hashes"], serde_json::json!([]));
    node.terminate().await;
}

#[tokio::test]
async fn who_names_another_host_gets_nothing() {
    let site = Site::new("");
    let node = site.start().await;
    for (address, path) in
        [(node.address("http"), "/v1/info"), (node.address("http"), "/"), (node.address("ops"), "/metrics")]
    {
        let with = |target: String, host: String| async move {
            ask(address, &format!("GET {target} HTTP/1.1\r\n{host}Connection: close\r\n\r\n")).await
        };
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:65535", "[::1]:8080"] {
            assert_ne!(with(path.into(), format!("Host: {host}\r\n")).await.status, 403, "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example:8080", "192.168.0.1", "localhost:x"]
        {
            let answer = with(path.into(), format!("Host: {host}\r\n")).await;
            answer.is_problem(403, Code::FORBIDDEN.0);
            assert!(answer.text().contains("localhost") && !answer.text().contains("loquic_"), "{answer:?}");
        }
        for hosts in ["", "Host: localhost\r\nHost: evil.example\r\n"] {
            let refused = with(path.into(), hosts.into()).await.status;
            assert!([400, 403].contains(&refused), "{hosts:?}: {refused}");
        }
        let absolute = with(format!("http://evil.example{path}"), "Host: localhost\r\n".into()).await;
        absolute.is_problem(403, Code::FORBIDDEN.0);
    }
    node.terminate().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_with_a_code() {
    let site = Site::new("");
    let node = site.start().await;
    let (http, ops) = (node.address("http"), node.address("ops"));
    for (address, path) in
        [(http, "/v1"), (http, "/v1/room"), (http, "/v1/info/"), (http, "/nothing.js"), (ops, "/"), (ops, "/v1/info")]
    {
        get(address, path).await.is_problem(404, Code::NOT_FOUND.0);
    }
    let post = |to, path: &'static str| async move {
        ask(to, &format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
            .await
    };
    post(http, "/v1/info").await.is_problem(405, Code::NOT_OFFERED.0);
    post(ops, "/metrics").await.is_problem(405, Code::NOT_OFFERED.0);
    node.terminate().await;
}

#[tokio::test]
async fn the_page_is_there_or_it_says_how_to_build_it() {
    let site = Site::new("");
    let node = site.start().await;
    let answer = get(node.address("http"), "/").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"), "{answer:?}");
    // Whether it is built in depends on whether it was built before this binary; a plain page says how to build it.
    let (text, is_built) = (answer.text(), answer.text().contains("/assets/"));
    assert!(is_built || text.contains("npm run build") && text.contains("--demo-dir"), "{answer:?}");
    node.terminate().await;
}

#[tokio::test]
async fn the_page_of_a_directory_is_served_as_it_is_now_and_nothing_beside_it() {
    let site = Site::new("");
    let dist = site.home().join("dist");
    fs::create_dir_all(dist.join("assets")).unwrap();
    fs::write(dist.join("index.html"), "<p>first").unwrap();
    fs::write(dist.join("assets/app-1a2b.js"), "1").unwrap();
    let node = site.start_saying(&["--demo-dir", "dist"]).await;
    let http = node.address("http");
    let index = get(http, "/").await;
    assert_eq!((index.status, index.text()), (200, "<p>first"));
    assert_eq!(index.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(index.header("cache-control"), "no-cache");
    assert_eq!(index.header("x-content-type-options"), "nosniff");
    let policy = index.header("content-security-policy");
    // The addresses of `/v1/info`, and no others.
    let connect = format!(
        "connect-src 'self' https://{} ws://{} wss://{}",
        node.address("quic"),
        node.address("http"),
        node.address("https")
    );
    assert!(policy.contains("default-src 'none'") && policy.ends_with(&connect), "{policy}");
    let script = get(http, "/assets/app-1a2b.js?x").await;
    assert_eq!((script.text(), script.header("content-type")), ("1", "text/javascript; charset=utf-8"));
    fs::write(dist.join("index.html"), "<p>second").unwrap();
    assert_eq!(get(http, "/index.html").await.text(), "<p>second");
    for path in [
        "/../loquic.toml",
        "/assets/../../loquic.toml",
        "/%2e%2e/loquic.toml",
        "/..%2floquic.toml",
        "//etc/passwd",
        "/assets",
        "/assets/",
        "/assets/..%5cindex.html",
    ] {
        get(http, path).await.is_problem(404, Code::NOT_FOUND.0);
    }
    node.terminate().await;
}

#[tokio::test]
async fn clients_that_say_no_more_lose_their_places() {
    let site = Site::new("timeouts.http = '1s'\nlimits.http_connections_max = 2\n");
    let node = site.start().await;
    for address in [node.address("http"), node.address("ops")] {
        let first = say(address, b"GET /v1/info HTTP/1.1\r\nHost: loc").await;
        let second = say(address, b"").await;
        // All places are taken, and it is answered all the same.
        assert!([200, 404].contains(&get(address, "/v1/info").await.status));
        let said = rest(first).await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{:?}", String::from_utf8_lossy(&said));
        assert!(rest(second).await.is_empty());
        // A body that is announced and not sent is nothing to wait for.
        let request = b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
        assert!(rest(say(address, request).await).await.starts_with(b"HTTP/1.1 "));
        // The same once something was answered and nothing more is asked.
        let idle = say(address, b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert!(rest(idle).await.starts_with(b"HTTP/1.1 "));
    }
    node.terminate().await;
}

#[tokio::test]
async fn clients_that_take_no_answer_lose_their_places() {
    let site = Site::new("timeouts.http = '1s'\nlimits.http_connections_max = 1\n");
    let dist = site.home().join("dist");
    fs::create_dir(&dist).unwrap();
    // More than the kernel keeps for one connection.
    fs::write(dist.join("large.wasm"), vec![7; 16 * 1024 * 1024]).unwrap();
    let node = site.start_saying(&["--demo-dir", "dist"]).await;
    let http = node.address("http");
    let slow = say(http, b"GET /large.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(get(http, "/v1/info").await.status, 200);
    assert!(rest(slow).await.len() < 16 * 1024 * 1024);
    // Who reads gets it all.
    assert_eq!(get(http, "/large.wasm").await.body.len(), 16 * 1024 * 1024);
    node.terminate().await;
}

#[tokio::test]
async fn heads_have_an_end() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\nConnection: close\r\n\r\n", "x".repeat(17_000));
    assert_eq!(ask(http, &long).await.status, 431);
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}Connection: close\r\n\r\n", "X: x\r\n".repeat(100));
    assert_eq!(ask(http, &many).await.status, 431);
    assert_eq!(ask(http, "rubbish\r\n\r\n").await.status, 400);
    assert_eq!(get(http, "/v1/info").await.status, 200);
    node.terminate().await;
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_flag_that_sets_it() {
    let home = TempDir::new().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let serve = |arguments: &[&str]| {
        let mut command = loquic(home.path(), &["serve", "--dev", "--listen", "127.0.0.1:0"]);
        command.args(arguments);
        run(command)
    };
    for flag in ["--http-listen", "--ops-listen"] {
        serve(&[flag, &taken]).await.says(1, &["TCP", &taken, flag]);
        // An address that no machine has.
        serve(&[flag, "203.0.113.1:8080"]).await.says(1, &["TCP 203.0.113.1:8080", flag]);
        serve(&[flag, "nonsense"]).await.says(2, &[flag]);
    }
    serve(&["--demo-dir", "nowhere"]).await.says(1, &["nowhere", "--demo-dir"]);
    super::stop::ready_then_killed(loquic(home.path(), &["serve", "--dev", "--listen", "127.0.0.1:0"])).await;
}
