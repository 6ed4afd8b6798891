//! Datagrams: one task reads what clients send, and one task for each client does the rest.

mod session;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use socket2::SockRef;
use tokio::{
    net::UdpSocket,
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
    task::JoinSet,
};

use crate::{
    lane::Direction,
    limits, proxy,
    shared::{Packet, Setting, Shared},
};
use session::Session;

/// Reads until the proxy is dropped.
pub(crate) async fn run(listen: UdpSocket, shared: Arc<Shared>, mut setting: watch::Receiver<Setting>) {
    let mut front = Front {
        listen: Arc::new(listen),
        shared,
        setting: setting.clone(),
        inboxes: HashMap::new(),
        sessions: JoinSet::new(),
        buffer: vec![0; limits::DATAGRAM_BYTES_MAX].into(),
    };
    loop {
        tokio::select! {
            biased;
            () = proxy::ended(&mut setting) => break,
            Some(ended) = front.sessions.join_next() => front.forget(ended.ok()),
            // An error is about one datagram, and says nothing of the next.
            _ = front.listen.readable() => front.read(),
        }
    }
    front.inboxes.clear();
    while let Some(ended) = front.sessions.join_next().await {
        front.forget(ended.ok());
    }
}

/// A burst must not be lost before it is seen; the kernel gives what it allows.
pub(crate) fn enlarge_buffers(socket: &UdpSocket) {
    let socket = SockRef::from(socket);
    let _ = socket.set_recv_buffer_size(limits::SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(limits::SOCKET_BUFFER_BYTES);
}

/// The side that clients see.
struct Front {
    listen: Arc<UdpSocket>,
    shared: Arc<Shared>,
    setting: watch::Receiver<Setting>,
    inboxes: HashMap<SocketAddr, mpsc::Sender<Packet>>,
    sessions: JoinSet<SocketAddr>,
    buffer: Box<[u8]>,
}

impl Front {
    fn read(&mut self) {
        for _ in 0..limits::BATCH_PACKETS_MAX {
            let Ok((bytes, client)) = self.listen.try_recv_from(&mut self.buffer) else { return };
            if let Some(packet) = self.shared.receive(Direction::Up, &self.buffer[..bytes])
                && !self.pass_on(client, packet)
            {
                self.shared.count_in(Direction::Up, |counters| counters.dropped.bound += 1);
            }
        }
    }

    /// Whether the client's task has it.
    fn pass_on(&mut self, client: SocketAddr, packet: Packet) -> bool {
        let packet = match self.inboxes.get(&client) {
            Some(inbox) => match inbox.try_send(packet) {
                // Its task is about to end; another one begins.
                Err(TrySendError::Closed(packet)) => packet,
                sent => return sent.is_ok(),
            },
            None if self.inboxes.len() >= limits::CLIENTS_MAX => return false,
            None => packet,
        };
        match self.open(client) {
            Some(inbox) => inbox.try_send(packet).is_ok(),
            None => false,
        }
    }

    fn open(&mut self, client: SocketAddr) -> Option<&mpsc::Sender<Packet>> {
        let number = self.shared.stats().clients;
        let Ok(upstream) = session::upstream_socket(self.shared.upstream, None) else {
            self.shared.count(|stats| stats.socket_errors += 1);
            return None;
        };
        let (inbox, packets) = mpsc::channel(limits::INBOX_PACKETS_MAX);
        let listen = self.listen.clone();
        let session =
            Session::new(client, number, listen, upstream, packets, self.shared.clone(), self.setting.clone());
        self.shared.count(|stats| {
            stats.clients += 1;
            stats.clients_open += 1;
        });
        self.sessions.spawn(session.run());
        Some(self.inboxes.entry(client).insert_entry(inbox).into_mut())
    }

    fn forget(&mut self, client: Option<SocketAddr>) {
        self.shared.count(|stats| stats.clients_open -= 1);
        // A later task of the same client may have taken the place.
        if let Some(client) = client
            && self.inboxes.get(&client).is_some_and(mpsc::Sender::is_closed)
        {
            self.inboxes.remove(&client);
        }
    }
}
