//! Just enough HTTP/1.1 to ask one thing at a time, and to ask it badly.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::raw::soon;

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| {
            panic!("no answer, but {:?}", String::from_utf8_lossy(bytes));
        });
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    /// A header that must be there once.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) => value,
            found => panic!("{name}: {found:?} in {}", self.head),
        }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.text()))
    }

    /// An error with our code.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!((&self.json()["status"], &self.json()["code"]), (&status.into(), &code.into()), "{self:?}");
        assert!(self.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        self
    }
}

/// A connection on which these bytes were said.
pub async fn say(to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = soon("a connection", TcpStream::connect(to)).await.unwrap();
    soon("a write", stream.write_all(bytes)).await.unwrap();
    stream
}

/// Everything that still comes.
pub async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A server that closes without having read everything resets the connection; what came before it counts.
    let _ = soon("the end of the connection", stream.read_to_end(&mut bytes)).await;
    bytes
}

/// The answer to these bytes, after which the server closes.
pub async fn ask(to: SocketAddr, request: &str) -> Answer {
    Answer::parse(&rest(say(to, request.as_bytes()).await).await)
}

/// The answer to a request of somebody decent.
pub async fn get(to: SocketAddr, path: &str) -> Answer {
    ask(to, &format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")).await
}
