//! Asks a server for its metrics, over HTTP.

use std::{str::FromStr, time::Duration};

use http_body_util::{BodyExt, Limited};
use hyper::{Request, StatusCode, Uri, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde::{Serialize, Serializer};
use tokio::{net::TcpStream, task::AbortHandle, time::timeout};

use crate::{
    limits::{METRICS_BYTES_MAX, METRICS_TIMEOUT},
    metrics::Page,
};

/// Where a server tells its metrics: `http://127.0.0.1:9090/metrics`. It is an inner address, so there is no TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    url: Uri,
    /// `host:port`, as it is connected to and as the request names it.
    authority: String,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").ok_or("must begin with http:// (http://127.0.0.1:9090/metrics)")?;
        if rest.is_empty() || rest.starts_with(['/', ':']) {
            return Err("names no host (http://127.0.0.1:9090/metrics)".into());
        }
        let url: Uri = text.parse().map_err(|error| format!("is not an address: {error}"))?;
        let host = url.host().ok_or("names no host")?;
        let authority = format!("{host}:{}", url.port_u16().unwrap_or(80));
        Ok(Self { url, authority })
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.url)
    }
}

impl Source {
    /// All of them as they are now.
    pub(crate) async fn read(&self) -> Result<Page, String> {
        self.read_within(METRICS_TIMEOUT).await
    }

    async fn read_within(&self, limit: Duration) -> Result<Page, String> {
        let read = timeout(limit, self.get()).await.unwrap_or_else(|_| Err(format!("no answer in {limit:?}")));
        read.and_then(|text| Page::parse(&text)).map_err(|reason| format!("cannot read {}: {reason}", self.url))
    }

    async fn get(&self) -> Result<String, String> {
        let stream = TcpStream::connect(&self.authority).await.map_err(|error| {
            format!("{error}\n    Is this the server's ops listener? Its ready line names it as \"ops\".")
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| chain(&error))?;
        // It ends by itself when the answer is read; it must also when nobody waits for that any more.
        let _guard = AbortOnDrop(tokio::spawn(connection).abort_handle());
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path).header(HOST, &self.authority).body(String::new());
        let answer =
            sender.send_request(request.map_err(|error| chain(&error))?).await.map_err(|error| chain(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("the answer is {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), METRICS_BYTES_MAX).collect().await;
        let body = body.map_err(|error| chain(error.as_ref()))?.to_bytes();
        String::from_utf8(body.into()).map_err(|_| "the answer is not text".into())
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An error with what is below it: hyper says there what went wrong.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A server that gives one answer.
    async fn answering(answer: String) -> Source {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let _ = stream.write_all(answer.as_bytes()).await;
        });
        url.parse().unwrap()
    }

    #[tokio::test]
    async fn a_page_is_read() {
        let page = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\na_total 1\n";
        assert_eq!(answering(page.into()).await.read().await, Page::parse("a_total 1\n"));
    }

    #[tokio::test]
    async fn what_is_wrong_is_said() {
        let too_long = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x_total 1\n".repeat(METRICS_BYTES_MAX / 10 + 1));
        for (answer, said) in [
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".into(), "the answer is 404"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n".into(), "is no metric"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 600\r\n\r\nhello\n".into(), "cannot read http://127.0.0.1"),
            ("SSH-2.0-OpenSSH\r\n".into(), "HTTP"),
            (too_long, "length limit exceeded"),
        ] {
            let error = answering(answer).await.read().await.unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        // It takes the connection, and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source: Source = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
        let error = source.read_within(Duration::from_millis(10)).await.unwrap_err();
        assert!(error.contains("no answer in 10ms"), "{error}");
        drop(silent);
        let error = source.read().await.unwrap_err();
        assert!(error.contains("ops listener"), "{error}");
    }
}
