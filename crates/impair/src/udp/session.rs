//! One client of a UDP proxy: its socket towards the server, and both directions of its path.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    time::sleep_until,
};

use crate::{
    lane::Direction,
    leg::Leg,
    limits,
    profile::Rebinding,
    shared::{Packet, Setting, Shared},
};

pub(super) struct Session {
    client: SocketAddr,
    listen: Arc<UdpSocket>,
    upstream: UdpSocket,
    inbox: mpsc::Receiver<Packet>,
    up: Leg,
    down: Leg,
    setting: watch::Receiver<Setting>,
    profiles: u64,
    rebinds_asked: u64,
    /// How often it was moved, and when it will be.
    rebinds: u64,
    rebind_at: Option<Duration>,
    heard_at: Duration,
    shared: Arc<Shared>,
}

impl Session {
    pub(super) fn new(
        client: SocketAddr,
        number: u64,
        listen: Arc<UdpSocket>,
        upstream: UdpSocket,
        inbox: mpsc::Receiver<Packet>,
        shared: Arc<Shared>,
        mut setting: watch::Receiver<Setting>,
    ) -> Self {
        let asked = setting.borrow_and_update().clone();
        let now = shared.now();
        Self {
            client,
            listen,
            upstream,
            inbox,
            up: Leg::new(shared.clone(), number, Direction::Up, &asked),
            down: Leg::new(shared.clone(), number, Direction::Down, &asked),
            setting,
            profiles: asked.profiles,
            rebinds_asked: asked.rebinds,
            rebinds: 0,
            rebind_at: asked.profile.rebind.map(|rebind| now + rebind.first),
            heard_at: now,
            shared,
        }
    }

    /// Until the client is forgotten, or the proxy dropped.
    pub(super) async fn run(mut self) -> SocketAddr {
        let mut buffer = vec![0; limits::DATAGRAM_BYTES_MAX];
        // Set again only when it changes: a timer for each packet would cost as much as the packet.
        let mut wake_at = self.wake_at();
        let mut timer = pin!(sleep_until(self.shared.instant(wake_at.unwrap_or_default())));
        loop {
            let next = self.wake_at();
            if next != wake_at {
                wake_at = next;
                timer.as_mut().reset(self.shared.instant(wake_at.unwrap_or_default()));
            }
            // First what was asked, so that it holds for all packets that came later.
            let packet = tokio::select! {
                biased;
                changed = self.setting.changed() => match changed {
                    Ok(()) => { self.adopt(); continue }
                    Err(_) => break,
                },
                () = &mut timer, if wake_at.is_some() => None,
                // `None` only after it was closed here.
                packet = self.inbox.recv(), if !self.is_ending() => packet,
                _ = self.upstream.readable() => None,
            };
            let now = self.shared.now();
            self.turn(now, packet, &mut buffer);
            self.hand_on(now).await;
            if self.is_ending() && self.up.is_empty() && self.down.is_empty() {
                break;
            }
        }
        self.inbox.close();
        while self.inbox.try_recv().is_ok() {
            self.shared.count_in(Direction::Up, |counters| counters.dropped.ended += 1);
        }
        self.client
    }

    /// Nothing will come from the client any more.
    fn is_ending(&self) -> bool {
        self.inbox.is_closed() && self.inbox.is_empty()
    }

    fn wake_at(&self) -> Option<Duration> {
        let idle_at = (!self.inbox.is_closed()).then_some(self.heard_at + limits::CLIENT_IDLE_MAX);
        [self.up.next_at(), self.down.next_at(), self.rebind_at, idle_at].into_iter().flatten().min()
    }

    fn adopt(&mut self) {
        let asked = self.setting.borrow_and_update().clone();
        self.up.adopt(&asked);
        self.down.adopt(&asked);
        if self.profiles != asked.profiles {
            self.profiles = asked.profiles;
            self.rebind_at = asked.profile.rebind.map(|rebind| self.shared.now() + rebind.first);
        }
        if self.rebinds_asked != asked.rebinds {
            self.rebinds_asked = asked.rebinds;
            self.rebind(asked.rebinding);
        }
    }

    /// Does what is due, and takes from both sides what is there, so that neither waits for the other.
    fn turn(&mut self, now: Duration, packet: Option<Packet>, buffer: &mut [u8]) {
        if self.rebind_at.is_some_and(|at| at <= now) {
            let rebind = self.setting.borrow().profile.rebind;
            self.rebind_at = rebind.map(|rebind| now + rebind.every.max(limits::PERIOD_MIN));
            if let Some(rebind) = rebind {
                self.rebind(rebind.what);
            }
        }
        let mut packet = packet;
        for _ in 0..limits::BATCH_PACKETS_MAX {
            let Some(next) = packet.take().or_else(|| self.inbox.try_recv().ok()) else { break };
            self.heard_at = now;
            self.up.handle_packet(now, next);
        }
        for _ in 0..limits::BATCH_PACKETS_MAX {
            match self.upstream.try_recv(buffer) {
                Ok(bytes) => {
                    self.heard_at = now;
                    if let Some(packet) = self.shared.receive(Direction::Down, &buffer[..bytes]) {
                        self.down.handle_packet(now, packet);
                    }
                }
                // Nobody listens there just now; the next one may be an answer.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => break,
            }
        }
        if now.saturating_sub(self.heard_at) >= limits::CLIENT_IDLE_MAX {
            self.inbox.close();
        }
    }

    async fn hand_on(&mut self, now: Duration) {
        while let Some(packet) = self.up.pop(now) {
            let mut sent = self.upstream.send(&packet.bytes).await;
            // That is the answer to an earlier one, and this one was not sent.
            if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                sent = self.upstream.send(&packet.bytes).await;
            }
            self.up.count_handed_on(packet.bytes.len(), sent.is_ok());
        }
        while let Some(packet) = self.down.pop(now) {
            let sent = self.listen.send_to(&packet.bytes, self.client).await;
            self.down.count_handed_on(packet.bytes.len(), sent.is_ok());
        }
    }

    /// The old socket is open until the new one is bound, so that the port is another one.
    fn rebind(&mut self, what: Rebinding) {
        let upstream = self.shared.upstream;
        let host = match what {
            Rebinding::Address => u8::try_from(2 + self.rebinds % 253).ok().map(|last| Ipv4Addr::new(127, 0, 0, last)),
            Rebinding::Port => self.upstream.local_addr().ok().and_then(|local| match local.ip() {
                IpAddr::V4(host) => Some(host),
                IpAddr::V6(_) => None,
            }),
        };
        match upstream_socket(upstream, host) {
            Ok(socket) => {
                self.upstream = socket;
                self.rebinds += 1;
                self.shared.count(|stats| stats.rebinds += 1);
            }
            Err(_) => self.shared.count(|stats| stats.socket_errors += 1),
        }
    }
}

/// A new port towards the server, at that address if both are on the IPv4 loopback.
pub(super) fn upstream_socket(server: SocketAddr, host: Option<Ipv4Addr>) -> io::Result<UdpSocket> {
    let host = match server.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => host.unwrap_or(Ipv4Addr::LOCALHOST).into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = std::net::UdpSocket::bind((host, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(server)?;
    let socket = UdpSocket::from_std(socket)?;
    super::enlarge_buffers(&socket);
    Ok(socket)
}
