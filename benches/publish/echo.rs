//! A bare quinn echo server as a child of this bench: what a round trip costs without rooms, log and protocol.

use std::net::SocketAddr;

use crate::support::process::Process;

/// The flag that makes this program the echo server.
pub const FLAG: &str = "--serve-echo";

/// What it speaks.
pub const ALPN: &[u8] = b"echo";

/// The child.
pub struct Echo {
    pub address: SocketAddr,
    _process: Process,
}

impl Echo {
    /// Starts it.
    pub fn start() -> Self {
        let mut process = Process::spawn_self(&[FLAG]);
        Self { address: process.line().trim().parse().expect("it prints its address"), _process: process }
    }
}

/// Runs in the child: one worker, like the node on this machine, and every stream is sent back as it comes.
pub fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let certificates = loquic::transport::tls::Certificates::new(vec![made.cert.der().clone()], key);
        let tls = loquic::transport::tls::server_config(certificates.expect("a certificate"), &[ALPN]);
        let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls.expect("TLS")).expect("TLS for QUIC");
        let config = quinn::ServerConfig::with_crypto(std::sync::Arc::new(crypto));
        let endpoint = quinn::Endpoint::server(config, "127.0.0.1:0".parse().expect("an address")).expect("a port");
        println!("{}", endpoint.local_addr().expect("it is bound"));
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                while let Ok((mut send, mut recv)) = connection.accept_bi().await {
                    tokio::spawn(async move {
                        while let Ok(Some(chunk)) = recv.read_chunk(64 * 1024, true).await {
                            if send.write_chunk(chunk.bytes).await.is_err() {
                                return;
                            }
                        }
                    });
                }
            });
        }
    });
}
