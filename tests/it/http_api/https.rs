//! The same API on the HTTPS port, for whoever comes over the network.

use std::{fs, sync::Arc};

use loquic_wire::Code;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::TEXT;
use crate::{
    http::{Events, send_over},
    raw::soon,
    support::{Node, Site},
};

/// A host that the port does not know, and need not: it is for everybody.
const HOST: &str = "chat.example.com";

/// TLS, with the development certificate as the only one that is trusted.
async fn connect(site: &Site, node: &Node) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let pem = fs::read(site.home().join("certs/dev.pem")).unwrap();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut tls = tls.with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = soon("a connection", TcpStream::connect(node.address("https"))).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = soon("TLS", TlsConnector::from(Arc::new(tls)).connect(name, stream)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    stream
}

#[tokio::test]
async fn the_https_port_serves_the_api_and_no_page() {
    let site = Site::new("");
    let node = site.start().await;
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        send_over(connect(&site, &node).await, HOST, method, path, headers, body).await
    };
    let posted = ask("POST", "/v1/rooms/room/records", &[TEXT], b"hello").await;
    assert_eq!((posted.status, posted.header("location")), (201, "/v1/rooms/room/records/1"));
    assert!(!posted.has("strict-transport-security"), "the certificate may be for a day");
    let record = ask("GET", "/v1/rooms/room/records/1", &[], b"").await.json();
    assert_eq!(record["payload"], "hello");
    let stream = connect(&site, &node).await;
    let mut events = Events::over(stream, HOST, "/v1/rooms/room/events?from=oldest", &[]).await.unwrap();
    assert_eq!(events.next().await.unwrap().data, record);
    assert_eq!(events.next().await.unwrap().name, "caught-up");
    ask("POST", "/v1/rooms/room/records", &[TEXT], b"again").await;
    assert_eq!(events.next().await.unwrap().data["payload"], "again");
    for path in ["/", "/index.html", "/chat:lobby", "/metrics", "/healthz"] {
        ask("GET", path, &[], b"").await.is_problem(404, Code::NOT_FOUND.0);
    }
    // Pages of strangers are refused here too.
    let stranger = ask("GET", "/v1/info", &[("Origin", "https://evil.example")], b"").await;
    stranger.is_problem(403, Code::FORBIDDEN.0);
    assert_eq!(ask("GET", "/v1/info", &[], b"").await.json()["node"], get_node(&node).await);
    drop(events);
    node.terminate().await;
}

/// The name that the plain port tells.
async fn get_node(node: &Node) -> serde_json::Value {
    crate::http::get(node.address("http"), "/v1/info").await.json()["node"].take()
}
