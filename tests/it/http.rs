//! Just enough HTTP/1.1 to ask one thing at a time, and to ask it badly.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
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
        let mut answer = Self { status, head, body: bytes[end + 4..].to_vec() };
        if answer.has("transfer-encoding") {
            answer.body = unchunked(&answer.body);
        }
        answer
    }

    /// Whether a header is there.
    pub fn has(&self, name: &str) -> bool {
        self.head.lines().filter_map(|line| line.split_once(": ")).any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The body as JSON, a document on each line.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
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

/// What HTTP goes over: TCP, or TLS above it.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Everything that still comes.
pub async fn rest(mut stream: impl Duplex) -> Vec<u8> {
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

/// A request with headers and a body.
pub async fn send(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let stream = soon("a connection", TcpStream::connect(to)).await.unwrap();
    send_over(stream, &to.to_string(), method, path, headers, body).await
}

/// The same over a connection that is there, for a host of any name.
pub async fn send_over(
    mut stream: impl Duplex,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
    if !body.is_empty() || method == "POST" {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    let bytes = [request.as_bytes(), b"\r\n", body].concat();
    soon("a write", stream.write_all(&bytes)).await.unwrap();
    Answer::parse(&rest(stream).await)
}

/// A whole body that came in chunks.
fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n").expect("the size of a chunk");
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
}

/// An event stream, as EventSource would take it apart.
pub struct Events {
    stream: BufReader<Box<dyn Duplex>>,
    /// What has come and was not taken.
    text: String,
    /// The last `retry:`, in milliseconds.
    pub retry: Option<u64>,
    /// Comments that have come.
    pub comments: usize,
    /// The last one.
    pub comment: String,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: serde_json::Value,
}

impl Events {
    /// Opens one; the answer has to be a stream.
    pub async fn open(to: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        Self::try_open(to, path, headers).await.expect("a connection")
    }

    /// The same where the server may be away.
    pub async fn try_open(to: SocketAddr, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Self> {
        Self::over(TcpStream::connect(to).await?, &to.to_string(), path, headers).await
    }

    /// The same over a connection that is there.
    pub async fn over(
        stream: impl Duplex + 'static,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> std::io::Result<Self> {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
        headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        let mut stream: Box<dyn Duplex> = Box::new(stream);
        stream.write_all((request + "\r\n").as_bytes()).await?;
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if soon("a head", stream.read_line(&mut head)).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        for line in ["content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"] {
            assert!(head.to_ascii_lowercase().contains(line), "{line} in {head}");
        }
        Ok(Self { stream, text: String::new(), retry: None, comments: 0, comment: String::new() })
    }

    /// The next event; `None` at the end of the stream, good or bad.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(event) = self.take(&block) {
                    return Some(event);
                }
                continue;
            }
            self.fill().await?;
        }
    }

    /// Waits for so many comments, without an event in between.
    pub async fn comments(&mut self, count: usize) {
        while self.comments < count {
            self.fill().await.expect("the stream goes on");
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                assert_eq!(self.take(&block), None);
            }
        }
    }

    /// One chunk.
    async fn fill(&mut self) -> Option<()> {
        let mut size = String::new();
        soon("a chunk", self.stream.read_line(&mut size)).await.ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok().filter(|size| *size > 0)?;
        let mut chunk = vec![0; size + 2];
        soon("a chunk", self.stream.read_exact(&mut chunk)).await.ok()?;
        self.text += std::str::from_utf8(&chunk[..size]).unwrap();
        Some(())
    }

    fn take(&mut self, block: &str) -> Option<Event> {
        let (mut id, mut name, mut data) = (None, "message".to_owned(), None);
        for line in block.lines() {
            match line.split_once(": ").unwrap_or((line, "")) {
                ("id", value) => id = Some(value.to_owned()),
                ("event", value) => name = value.to_owned(),
                ("data", value) => data = Some(serde_json::from_str(value).expect("JSON on one line")),
                ("retry", value) => self.retry = Some(value.parse().unwrap()),
                (field, value) if field.is_empty() || field.starts_with(':') => {
                    self.comments += 1;
                    value.clone_into(&mut self.comment);
                }
                (field, _) => panic!("an unknown field {field:?} in {block:?}"),
            }
        }
        data.map(|data| Event { id: id.expect("every event has an id"), name, data })
    }
}
