//! The publisher and the subscribers, for both sorts of server: they differ only in how a message looks.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use loquic_wire::{Frame, join::From, limits::NUMBER_MAX};
use parking_lot::Mutex;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    Pace, bare,
    support::{
        figures::Times,
        process::Process,
        wire::{Carrier, Cutter, RECORD_KIND, Session, endpoints, put_publish},
    },
};

/// Both servers carry it; the first 8 bytes say when the message was sent.
const PAYLOAD_BYTES: usize = 128;

/// A message of the bare server: the payload and a header's worth.
const BARE_BYTES: usize = PAYLOAD_BYTES + 8;

/// A run that is not over by then has lost something.
const PATIENCE: Duration = Duration::from_secs(30);

const ROOM: &str = "bench:fanout";

/// What one run gives.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) cpu_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) rate: f64,
    /// Bytes of one message in the stream to a subscriber.
    pub(crate) bytes: f64,
    deliveries: u64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu_us, p50_us, p99_us, rate, deliveries, .. } = self;
        write!(f, "{cpu_us:7.3} us  p50 {p50_us:6.0}  p99 {p99_us:6.0}  {rate:8.0}/s  {deliveries}")
    }
}

/// A publisher and subscribers of one server.
pub(crate) struct Clients {
    shared: Arc<Shared>,
    publisher: Publisher,
    /// Reading.
    _tasks: JoinSet<()>,
    _sessions: Vec<Session>,
    _connections: Vec<Connection>,
    _endpoints: Vec<Endpoint>,
}

/// What the subscribers tell.
struct Shared {
    began: Instant,
    subscribers: u64,
    /// How many messages are a step, on which subscribers report.
    step: AtomicU64,
    /// Which message the first step begins behind.
    from: AtomicU64,
    /// How many subscribers have all of a step, by step.
    arrived: Mutex<Vec<u64>>,
    /// A step has arrived everywhere.
    stepped: Notify,
    measuring: AtomicBool,
    times: Mutex<Times>,
    /// How many bytes have come.
    bytes: AtomicU64,
    /// Every how many messages a time is kept.
    sample: AtomicU64,
}

impl Shared {
    fn new(subscribers: usize) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            subscribers: subscribers as u64,
            step: AtomicU64::new(u64::MAX),
            from: AtomicU64::new(0),
            arrived: Mutex::default(),
            stepped: Notify::new(),
            measuring: AtomicBool::new(false),
            times: Mutex::default(),
            bytes: AtomicU64::new(0),
            sample: AtomicU64::new(1),
        })
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Starts anew behind message `from`.
    fn reset(&self, from: u64, step: u64, sample: u64) {
        self.step.store(step, Ordering::Relaxed);
        self.from.store(from, Ordering::Relaxed);
        self.sample.store(sample, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.arrived.lock().clear();
        *self.times.lock() = Times::default();
    }

    /// A subscriber has `count` messages now, and had `before`.
    fn progress(&self, before: u64, count: u64) {
        let (step, from) = (self.step.load(Ordering::Relaxed), self.from.load(Ordering::Relaxed));
        for done in (before - from) / step..(count - from) / step {
            let mut arrived = self.arrived.lock();
            let at = done as usize;
            if arrived.len() <= at {
                arrived.resize(at + 1, 0);
            }
            arrived[at] += 1;
            if arrived[at] == self.subscribers {
                self.stepped.notify_one();
            }
        }
    }

    /// How many whole steps have arrived everywhere; they arrive in order.
    fn steps(&self) -> u64 {
        self.arrived.lock().iter().take_while(|count| **count == self.subscribers).count() as u64
    }

    async fn wait_for_steps(&self, count: u64) {
        let wait = async {
            while self.steps() < count {
                self.stepped.notified().await;
            }
        };
        timeout(PATIENCE, wait).await.expect("everything arrives");
    }
}

impl Clients {
    pub(crate) async fn loquic(carrier: Carrier, to: SocketAddr, subscribers: usize) -> Self {
        let endpoints = endpoints(16, carrier.alpn());
        let shared = Shared::new(subscribers);
        let (mut tasks, mut sessions) = (JoinSet::new(), Vec::new());
        for at in 0..subscribers {
            let session = Session::open_over(carrier, &endpoints[at % endpoints.len()], to, "subscriber").await;
            let (mut stream, _) = session.join(ROOM, From::Live, NUMBER_MAX).await;
            assert!(matches!(stream.frame().await, Some(Frame::CaughtUp(_))), "caught up");
            let (send, recv, frames) = stream.into_halves();
            assert!(frames.is_empty(), "nothing is published yet");
            tasks.spawn(subscribe(send, recv, Messages::Frames(Cutter::default()), shared.clone()));
            sessions.push(session);
        }
        let session = Session::open_over(carrier, &endpoints[0], to, "ann").await;
        let (stream, last) = session.publisher(ROOM, 1).await;
        assert_eq!(last, 0, "a new room");
        let (send, recv, _) = stream.into_halves();
        tasks.spawn(ignore(recv));
        sessions.push(session);
        let publisher = Publisher { send, shared: shared.clone(), published: 0, is_bare: false };
        Self { shared, publisher, _tasks: tasks, _sessions: sessions, _connections: vec![], _endpoints: endpoints }
    }

    pub(crate) async fn bare(endpoints: Vec<Endpoint>, to: SocketAddr, subscribers: usize) -> Self {
        let shared = Shared::new(subscribers);
        let (mut tasks, mut connections) = (JoinSet::new(), Vec::new());
        for at in 0..=subscribers {
            let connecting = endpoints[at % endpoints.len()].connect(to, "localhost").expect("an address");
            let connection = connecting.await.expect("connected");
            let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
            let purpose = if at < subscribers { bare::SUBSCRIBE } else { bare::PUBLISH };
            send.write_all(&[purpose]).await.expect("written");
            recv.read_exact(&mut [0]).await.expect("an answer");
            connections.push(connection);
            if at < subscribers {
                tasks.spawn(subscribe(send, recv, Messages::Bare(Vec::new()), shared.clone()));
            } else {
                let publisher = Publisher { send, shared: shared.clone(), published: 0, is_bare: true };
                tasks.spawn(ignore(recv));
                return Self {
                    shared,
                    publisher,
                    _tasks: tasks,
                    _sessions: vec![],
                    _connections: connections,
                    _endpoints: endpoints,
                };
            }
        }
        unreachable!("the last one is the publisher")
    }

    /// One run, with a short one before it that is not measured.
    pub(crate) async fn run(&mut self, pace: Pace, time: Duration, server: &Process) -> Measured {
        self.publish(pace, time.min(Duration::from_millis(300))).await;
        self.shared.measuring.store(true, Ordering::Relaxed);
        let (cpu, began) = (server.cpu(), Instant::now());
        let published = self.publish(pace, time).await;
        let (cpu, took) = (server.cpu() - cpu, began.elapsed());
        self.shared.measuring.store(false, Ordering::Relaxed);
        let deliveries = published * self.shared.subscribers;
        let mut times = self.shared.times.lock();
        Measured {
            cpu_us: cpu.as_nanos() as f64 / 1_000.0 / deliveries as f64,
            p50_us: times.percentile(0.5),
            p99_us: times.percentile(0.99),
            rate: deliveries as f64 / took.as_secs_f64(),
            bytes: self.shared.bytes.load(Ordering::Relaxed) as f64 / deliveries as f64,
            deliveries,
        }
    }

    /// Publishes for `time`, waits until all of it has arrived, and returns how many messages it was.
    async fn publish(&mut self, pace: Pace, time: Duration) -> u64 {
        let from = self.publisher.published;
        let began = Instant::now();
        match pace {
            Pace::Rate(rate) => {
                self.shared.reset(from, 1, 1);
                let mut ticks = interval(Duration::from_micros(1_000_000 / u64::from(rate)).max(MILLISECOND));
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                while began.elapsed() < time {
                    ticks.tick().await;
                    let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as u64;
                    self.publisher.publish((from + due).saturating_sub(self.publisher.published)).await;
                }
                self.shared.wait_for_steps(self.publisher.published - from).await;
            }
            Pace::Window(window) => {
                // Four steps are under way, so the server never runs dry while the slowest subscriber reads.
                let step = window / 4;
                self.shared.reset(from, step, 16);
                let mut steps = 0;
                while began.elapsed() < time {
                    while steps < self.shared.steps() + 4 {
                        self.publisher.publish(step).await;
                        steps += 1;
                    }
                    self.shared.wait_for_steps(steps - 3).await;
                }
                self.shared.wait_for_steps(steps).await;
            }
        }
        self.publisher.published - from
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);

struct Publisher {
    send: SendStream,
    shared: Arc<Shared>,
    published: u64,
    is_bare: bool,
}

impl Publisher {
    async fn publish(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        let mut out = Vec::with_capacity(count as usize * (BARE_BYTES + 16));
        let mut payload = [0; PAYLOAD_BYTES];
        payload[..8].copy_from_slice(&self.shared.now().to_be_bytes());
        let payload = Bytes::copy_from_slice(&payload);
        for _ in 0..count {
            self.published += 1;
            if self.is_bare {
                out.extend_from_slice(&[0; BARE_BYTES - PAYLOAD_BYTES]);
                out.extend_from_slice(&payload);
            } else {
                put_publish(&mut out, self.published, payload.clone());
            }
        }
        self.send.write_chunk(out.into()).await.expect("written");
    }
}

/// How messages lie in a stream.
enum Messages {
    Frames(Cutter),
    /// Of one length; what is held is the beginning of one.
    Bare(Vec<u8>),
}

impl Messages {
    /// Gives `take` the payload of each message.
    fn push(&mut self, piece: &[u8], mut take: impl FnMut(&[u8])) {
        match self {
            Self::Frames(cutter) => cutter.push(piece, |kind, frame| {
                assert_eq!(kind, RECORD_KIND, "only records come");
                take(&frame[frame.len() - PAYLOAD_BYTES..]);
            }),
            Self::Bare(partial) => {
                partial.extend_from_slice(piece);
                let whole = partial.len() - partial.len() % BARE_BYTES;
                partial[..whole].chunks_exact(BARE_BYTES).for_each(|message| take(&message[8..]));
                partial.drain(..whole);
            }
        }
    }
}

/// Reads for ever, and counts.
async fn subscribe(_send: SendStream, mut recv: RecvStream, mut messages: Messages, shared: Arc<Shared>) {
    let mut pieces = vec![Bytes::new(); 32];
    let mut count = 0_u64;
    while let Ok(Some(read)) = recv.read_chunks(&mut pieces).await {
        let before = count;
        let (measuring, sample) = (shared.measuring.load(Ordering::Relaxed), shared.sample.load(Ordering::Relaxed));
        let now = shared.now();
        let mut times = shared.times.lock();
        for piece in &pieces[..read] {
            messages.push(piece, |payload| {
                count += 1;
                if measuring && count.is_multiple_of(sample) {
                    let sent = u64::from_be_bytes(payload[..8].try_into().expect("8 bytes"));
                    times.add(Duration::from_nanos(now.saturating_sub(sent)));
                }
            });
        }
        drop(times);
        let bytes = pieces[..read].iter().map(Bytes::len).sum::<usize>() as u64;
        shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        shared.progress(before, count);
    }
}

/// Acks cost the client little and are not looked at.
async fn ignore(mut recv: RecvStream) {
    let mut pieces = vec![Bytes::new(); 32];
    while let Ok(Some(_)) = recv.read_chunks(&mut pieces).await {}
}
