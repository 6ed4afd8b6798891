//! A running proxy, as those who use it see it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::{
    net::{TcpListener, UdpSocket},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    lane::Direction,
    profile::{Profile, Rebinding},
    shared::{Setting, Shared},
    stats::Stats,
    tcp, udp,
};

/// A running proxy in front of one server. It ends when it is dropped, or with [`Proxy::shutdown`].
///
/// What is asked of it by a call holds for every packet that comes after the call returned.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// All tasks end when it is gone.
    setting: watch::Sender<Setting>,
    task: JoinHandle<()>,
}

/// Directions in which nothing passes, by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Neither way does anything pass.
    Both,
    /// The server is not heard.
    Down,
    /// It is over; a profile's own blackouts go on.
    Neither,
    /// Clients are not heard.
    Up,
}

impl Cut {
    pub(crate) fn holds(self, direction: Direction) -> bool {
        match self {
            Self::Both => true,
            Self::Down => direction == Direction::Down,
            Self::Neither => false,
            Self::Up => direction == Direction::Up,
        }
    }
}

impl Proxy {
    /// A UDP proxy on a free port of 127.0.0.1.
    pub async fn udp(upstream: SocketAddr, profile: Profile, seed: u64) -> io::Result<Self> {
        Self::udp_at(LOOPBACK, upstream, profile, seed).await
    }

    /// A UDP proxy at an address of one's own choice.
    pub async fn udp_at(listen: SocketAddr, upstream: SocketAddr, profile: Profile, seed: u64) -> io::Result<Self> {
        let listen = UdpSocket::bind(listen).await?;
        udp::enlarge_buffers(&listen);
        let address = listen.local_addr()?;
        Ok(Self::spawn(address, upstream, profile, seed, |shared, setting| udp::run(listen, shared, setting)))
    }

    /// A TCP proxy on a free port of 127.0.0.1. The crate's documentation says what a profile means for a stream.
    pub async fn tcp(upstream: SocketAddr, profile: Profile, seed: u64) -> io::Result<Self> {
        Self::tcp_at(LOOPBACK, upstream, profile, seed).await
    }

    /// A TCP proxy at an address of one's own choice.
    pub async fn tcp_at(listen: SocketAddr, upstream: SocketAddr, profile: Profile, seed: u64) -> io::Result<Self> {
        let listen = TcpListener::bind(listen).await?;
        let address = listen.local_addr()?;
        Ok(Self::spawn(address, upstream, profile, seed, |shared, setting| tcp::run(listen, shared, setting)))
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(
        address: SocketAddr,
        upstream: SocketAddr,
        profile: Profile,
        seed: u64,
        run: impl FnOnce(Arc<Shared>, watch::Receiver<Setting>) -> F,
    ) -> Self {
        let shared = Shared::new(upstream, seed);
        let profile = Arc::new(profile);
        let setting = Setting { profile, profiles: 0, cut: Cut::Neither, rebinding: Rebinding::Port, rebinds: 0 };
        let (setting, asked) = watch::channel(setting);
        let task = tokio::spawn(run(shared.clone(), asked));
        Self { address, shared, setting, task }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it did so far.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Replaces the profile, for clients that are there as well.
    pub fn set_profile(&self, profile: Profile) {
        self.setting.send_modify(|setting| {
            setting.profile = Arc::new(profile);
            setting.profiles += 1;
        });
    }

    /// Begins and ends a blackout by hand.
    pub fn cut(&self, cut: Cut) {
        self.setting.send_modify(|setting| setting.cut = cut);
    }

    /// Moves every client to a new address, and resets TCP connections. Calls in quick succession may be one.
    pub fn rebind(&self, what: Rebinding) {
        self.setting.send_modify(|setting| {
            setting.rebinding = what;
            setting.rebinds += 1;
        });
    }

    /// Ends it: sockets are closed when this returns, and the counters final.
    pub async fn shutdown(self) -> Stats {
        let Self { shared, setting, task, .. } = self;
        drop(setting);
        // An error would be a panic inside, which the counters do not hide: packets are missing.
        let _ = task.await;
        shared.stats()
    }
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Waits until the proxy is dropped.
pub(crate) async fn ended(setting: &mut watch::Receiver<Setting>) {
    while setting.changed().await.is_ok() {}
}
