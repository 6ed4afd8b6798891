//! What is wrong below the session, on its way over a WebSocket.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use loquic_client::{Client, From, Message as Payload, Transport as Way};
use loquic_wire::{Code, Frame};
use qmux::{
    Config, Error as MuxError, Protocol, Session as Mux, Version,
    transport::{Reader, Transport, Writer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        http::header::{HeaderName, HeaderValue},
    },
};

use crate::{
    http::{ask, get},
    http3::varint,
    raw::{hello, join, soon},
    world::World,
};

const SUBPROTOCOL: &str = "qmux-02.loquic-1";

/// Asks for a WebSocket with these headers; the status if there is none.
async fn open(to: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<WebSocketStream<TcpStream>, u16> {
    let stream = TcpStream::connect(to).await.unwrap();
    let mut request = format!("ws://{to}{path}").into_client_request().unwrap();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
    }
    match soon("an answer", client_async(request, stream)).await {
        Ok((stream, _)) => Ok(stream),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn socket(world: &World) -> WebSocketStream<TcpStream> {
    open(world.node.address("http"), "/v1/ws", &[("sec-websocket-protocol", SUBPROTOCOL)]).await.unwrap()
}

/// Waits until the server has ended the connection, whatever it says before.
async fn ended(mut socket: WebSocketStream<TcpStream>, what: &str) {
    soon(what, async { while let Some(Ok(_)) = socket.next().await {} }).await;
}

/// Takes down what QMux says first, which is its parameters.
struct Capture(mpsc::UnboundedSender<Bytes>);

struct Nothing;

impl Transport for Capture {
    type Writer = Self;
    type Reader = Nothing;

    fn split(self) -> (Self, Nothing) {
        (self, Nothing)
    }
}

impl Writer for Capture {
    async fn send(&mut self, record: Bytes) -> Result<(), MuxError> {
        self.0.send(record).map_err(|_| MuxError::Closed)
    }

    async fn close(&mut self) -> Result<(), MuxError> {
        Ok(())
    }
}

impl Reader for Nothing {
    async fn recv(&mut self) -> Result<Bytes, MuxError> {
        std::future::pending().await
    }
}

/// The parameters of an honest client: the record that is sent first.
async fn parameters() -> Bytes {
    let (sender, mut records) = mpsc::unbounded_channel();
    let mut config = Config::new(Version::QMux02);
    config.protocol = Protocol::Negotiated("loquic-1".into());
    let connecting = tokio::spawn(Mux::connect(Capture(sender), config));
    let record = records.recv().await.unwrap();
    connecting.abort();
    record
}

/// A STREAM frame of the client's bidirectional stream of this number.
fn stream(number: u64, offset: u64, data: &[u8], is_last: bool) -> Vec<u8> {
    let mut frame = vec![0x0e | u8::from(is_last)];
    for value in [4 * number, offset, data.len() as u64] {
        frame.extend_from_slice(&varint(value));
    }
    frame.extend_from_slice(data);
    frame
}

fn bytes(frame: impl Into<Frame>) -> Vec<u8> {
    frame.into().to_bytes().to_vec()
}

#[tokio::test]
async fn what_is_no_request_for_our_websocket_is_refused() {
    let world = World::with("origins.allow = ['https://good.example']\n").await;
    let http = world.node.address("http");
    let ours = ("sec-websocket-protocol", SUBPROTOCOL);
    get(http, "/v1/ws").await.is_problem(426, Code::NOT_OFFERED.0);
    let host = format!("host: {http}\r\nconnection: close\r\n");
    ask(http, &format!("POST /v1/ws HTTP/1.1\r\n{host}\r\n")).await.is_problem(405, Code::NOT_OFFERED.0);
    for (what, path, headers, status) in [
        ("no subprotocol", "/v1/ws", &[][..], 400),
        ("QMux without a protocol in it", "/v1/ws", &[("sec-websocket-protocol", "qmux-02")], 400),
        ("without flow control", "/v1/ws", &[("sec-websocket-protocol", "webtransport, loquic-1")], 400),
        ("another path", "/v1/ws/", &[ours], 404),
        ("a stranger's page", "/v1/ws", &[ours, ("origin", "https://evil.example")], 403),
        ("no page at all", "/v1/ws", &[ours, ("origin", "null")], 403),
        ("two pages", "/v1/ws", &[ours, ("origin", "https://good.example"), ("origin", "https://evil.example")], 403),
    ] {
        assert_eq!(open(http, path, headers).await.err(), Some(status), "{what}");
    }
    let many = "webtransport, qmux-01.loquic-1,qmux-02.loquic-1 , qmux-02";
    for headers in [&[ours][..], &[ours, ("origin", "https://good.example")], &[("sec-websocket-protocol", many)]] {
        open(http, "/v1/ws", headers).await.unwrap();
    }
    world.finish().await;
}

#[tokio::test]
async fn who_says_nothing_is_cut_off() {
    let world = World::with("timeouts.hello = '1s'\ntimeouts.http = '1s'\n").await;
    ended(socket(&world).await, "the end of one without parameters").await;
    let mut greeted = socket(&world).await;
    greeted.send(Message::Binary(parameters().await)).await.unwrap();
    ended(greeted, "the end of one without a Hello").await;
    // TLS that does not get anywhere.
    let mut stream = TcpStream::connect(("127.0.0.1", world.port())).await.unwrap();
    stream.write_all(&[22, 3, 1]).await.unwrap();
    assert_eq!(soon("the end of TLS", stream.read(&mut [0])).await.unwrap_or(0), 0);
    world.finish().await;
}

#[tokio::test]
async fn what_is_no_record_ends_the_connection() {
    let world = World::start().await;
    let parameters = parameters().await;
    let records: Vec<(&str, Vec<Message>)> = vec![
        ("a text", vec![Message::text("hello")]),
        ("a record too long", vec![Message::binary(vec![0; 16_383])]),
        ("rubbish", vec![Message::binary(vec![0xff; 100])]),
        ("no parameters first", vec![Message::binary(stream(0, 0, b"x", false))]),
        ("parameters twice", vec![Message::Binary(parameters.clone()), Message::Binary(parameters.clone())]),
        (
            "a stream past the last one",
            vec![Message::Binary(parameters.clone()), Message::binary(stream(256, 0, b"x", false))],
        ),
        ("a stream of ours", vec![Message::Binary(parameters.clone()), Message::binary(vec![0x0e, 1, 0, 1, 0])]),
        ("half a frame", vec![Message::Binary(parameters.clone()), Message::binary(vec![0x0e, 0, 0, 9, 0])]),
    ];
    for (what, messages) in records {
        let mut socket = socket(&world).await;
        for message in messages {
            socket.send(message).await.unwrap();
        }
        ended(socket, what).await;
    }
    // Below the messages: without a mask, a control frame too long, fragments that never end, a length of 2^62.
    let fragments = [&[0x02, 0x80, 0, 0, 0, 0][..], &[0x00, 0xfe, 0x3f, 0xff, 0, 0, 0, 0], &[0; 0x3fff]].concat();
    for (what, raw) in [
        ("no mask", vec![0x82, 1, 0]),
        ("a long ping", [&[0x89, 0xfe, 1, 0, 0, 0, 0, 0][..], &[0; 256]].concat()),
        ("fragments", fragments),
        ("a huge frame", vec![0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("a reserved bit", vec![0xc2, 0x80, 0, 0, 0, 0]),
    ] {
        let mut stream = socket(&world).await.into_inner();
        stream.write_all(&raw).await.unwrap();
        let mut answer = Vec::new();
        let _ = soon(what, stream.read_to_end(&mut answer)).await;
    }
    world.finish().await;
}

/// Flow control counts a byte; what it comes in is held as well.
#[tokio::test]
async fn a_byte_in_each_record_is_not_taken_for_long() {
    let world = World::start().await;
    let mut socket = socket(&world).await;
    socket.send(Message::Binary(parameters().await)).await.unwrap();
    // Waits for a welcome that never comes, so what follows its first frame is not read.
    let first = bytes(join("room", From::Live, 0));
    socket.send(Message::binary(stream(0, 0, &first, false))).await.unwrap();
    let before = world.rss();
    let sent = async {
        for number in 0..60_000 {
            // Behind the frame there is padding.
            let mut record = stream(0, (first.len() + number) as u64, b"x", false);
            record.resize(16_382, 0);
            if socket.send(Message::binary(record)).await.is_err() {
                return number;
            }
        }
        60_000
    };
    let sent = soon("the end", sent).await;
    assert!(sent < 60_000, "{sent} records were taken for as many bytes");
    let grown = world.rss().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
    world.finish().await;
}

/// Asks for fifteen times twelve megabytes and takes nothing, but goes on pinging.
#[tokio::test]
async fn who_takes_nothing_is_cut_off() {
    let world = World::with("timeouts.http = '1s'\n").await;
    let publisher = world.client("publisher").await;
    let room = publisher.publisher("full").unwrap();
    for _ in 0..200 {
        soon("an ack", room.publish(Payload::text("7".repeat(60_000)))).await.unwrap();
    }
    let small = TcpSocket::new_v4().unwrap();
    small.set_recv_buffer_size(4_096).unwrap();
    let http = world.node.address("http");
    let stream_of = small.connect(http).await.unwrap();
    let mut request = format!("ws://{http}/v1/ws").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    let (mut socket, _) = client_async(request, stream_of).await.unwrap();
    socket.send(Message::Binary(parameters().await)).await.unwrap();
    socket.send(Message::binary(stream(0, 0, &bytes(hello("mallory")), false))).await.unwrap();
    for number in 1..16 {
        let join = bytes(join("full", From::Oldest, 64 << 20));
        socket.send(Message::binary(stream(number, 0, &join, false))).await.unwrap();
    }
    let before = world.rss();
    let flood = async { while socket.send(Message::Ping(Bytes::from_static(&[7; 125]))).await.is_ok() {} };
    soon("the end", flood).await;
    let grown = world.rss().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
    publisher.close().await;
    world.finish().await;
}

/// UDP goes nowhere: nobody listens there, and nobody says so.
#[tokio::test]
async fn a_client_that_may_choose_gets_through_without_udp() {
    let world = World::start().await;
    let silent = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let server = world.port();
    let relay = tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let client = Client::builder(format!("https://127.0.0.1:{port}"))
        .transport(Way::Auto)
        .danger_accept_any_certificate(true)
        .connect_timeout(Duration::from_secs(20));
    let client = soon("a session", client.connect()).await.unwrap();
    soon("an ack", client.publisher("room").unwrap().publish(Payload::text("hello"))).await.unwrap();
    client.close().await;
    relay.abort();
    world.finish().await;
}
