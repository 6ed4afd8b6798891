//! The baseline: fan-out on bare quinn. A shared buffer that only grows, a position in it for each connection, and one
//! `Notify`; a wake-up takes everything from the position on as one write. No rooms, no log, no protocol.

use std::{
    fmt,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    thread,
};

use bytes::{Bytes, BytesMut};
use loquic::{config::limits, transport::tls};
use parking_lot::Mutex;
use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use rustls::pki_types::PrivateKeyDer;
use socket2::{Domain, Socket, Type};
use tokio::{runtime::Builder, sync::Notify};

/// Makes the bench this server; a [`Shape`] follows.
pub(crate) const ARGUMENT: &str = "--bare";

pub(crate) const ALPN: &[u8] = b"bare";

/// The first byte of a stream says what it is.
pub(crate) const SUBSCRIBE: u8 = b's';
pub(crate) const PUBLISH: u8 = b'p';

/// How the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One endpoint on one runtime.
    Shared { workers: usize },
    /// Threads with a runtime and an endpoint of their own each, on one port.
    Apart { workers: usize },
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared { workers } => write!(f, "shared-{workers}"),
            Self::Apart { workers } => write!(f, "apart-{workers}"),
        }
    }
}

impl Shape {
    pub(crate) fn parse(text: &str) -> Self {
        let (shape, workers) = text.split_once('-').expect("a shape");
        let workers = workers.parse().expect("a number");
        if shape == "apart" { Self::Apart { workers } } else { Self::Shared { workers } }
    }
}

#[derive(Default)]
struct Buffer {
    chunks: Mutex<Vec<Bytes>>,
    changed: Notify,
}

/// Prints the address, and serves until it is killed.
pub(crate) fn run(shape: Shape) {
    let (config, buffer) = (server_config(), Arc::new(Buffer::default()));
    match shape {
        Shape::Shared { workers } => {
            let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0)), false);
                println!("{}", socket.local_addr().expect("bound"));
                // As in the node, where the main thread only waits.
                let _ = tokio::spawn(serve(socket, config, buffer)).await;
            });
        }
        Shape::Apart { workers } => {
            let first = bind(SocketAddr::from(([127, 0, 0, 1], 0)), true);
            let address = first.local_addr().expect("bound");
            let others = (1..workers).map(|_| bind(address, true));
            let sockets: Vec<UdpSocket> = std::iter::once(first).chain(others).collect();
            println!("{address}");
            let threads = sockets.into_iter().map(|socket| {
                let (config, buffer) = (config.clone(), buffer.clone());
                thread::spawn(move || {
                    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
                    runtime.block_on(serve(socket, config, buffer));
                })
            });
            threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        }
    }
}

async fn serve(socket: UdpSocket, config: ServerConfig, buffer: Arc<Buffer>) {
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime).expect("an endpoint");
    while let Some(incoming) = endpoint.accept().await {
        let buffer = buffer.clone();
        tokio::spawn(async move {
            let connection = incoming.await.ok()?;
            let (mut send, mut recv) = connection.accept_bi().await.ok()?;
            let mut first = [0];
            recv.read_exact(&mut first).await.ok()?;
            send.write_all(&first).await.ok()?;
            if first[0] == PUBLISH { take(recv, &buffer).await } else { give(send, &buffer).await }
        });
    }
}

async fn take(mut recv: quinn::RecvStream, buffer: &Buffer) -> Option<()> {
    let mut pieces = vec![Bytes::new(); 64];
    while let Some(count) = recv.read_chunks(&mut pieces).await.ok()? {
        let mut chunk = BytesMut::new();
        pieces[..count].iter().for_each(|piece| chunk.extend_from_slice(piece));
        buffer.chunks.lock().push(chunk.freeze());
        buffer.changed.notify_waiters();
    }
    Some(())
}

async fn give(mut send: quinn::SendStream, buffer: &Buffer) -> Option<()> {
    let mut position = buffer.chunks.lock().len();
    loop {
        let changed = buffer.changed.notified();
        let mut chunks = {
            let all = buffer.chunks.lock();
            all[position..].to_vec()
        };
        if chunks.is_empty() {
            changed.await;
        } else {
            position += chunks.len();
            send.write_all_chunks(&mut chunks).await.ok()?;
        }
    }
}

/// The node's, as far as it matters here: ciphers, windows, socket buffers.
fn server_config() -> ServerConfig {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let certificates = tls::Certificates::new(vec![made.cert.der().clone()], key).expect("they fit");
    let tls = tls::server_config(certificates, &[ALPN]).expect("TLS");
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).expect("AES-128-GCM is there");
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(limits::STREAMS_START.into())
        .max_concurrent_uni_streams(0_u32.into())
        .stream_receive_window(limits::STREAM_RECEIVE_WINDOW.into())
        .receive_window(limits::RECEIVE_WINDOW.into())
        // The node's window follows the path up to this.
        .send_window(limits::SEND_WINDOW_MAX)
        .max_idle_timeout(Some(VarInt::from_u32(30_000).into()));
    config.transport_config(Arc::new(transport));
    config
}

fn bind(address: SocketAddr, shared: bool) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    let _ = socket.set_recv_buffer_size(limits::SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(limits::SOCKET_BUFFER_BYTES);
    socket.set_reuse_port(shared).expect("the kernel can");
    socket.bind(&address.into()).expect("a port");
    socket.into()
}
