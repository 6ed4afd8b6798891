//! Everybody who takes part in a run, and where they are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use loquic_client::Room;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    answers::{Answers, Outcomes},
    cli::{self, Failed},
    limits::CONNECTING_MAX,
    meter::{Clock, Latencies, Meter},
    network::Network,
    output::Live,
    pacer::{Pacer, Pacing, Seat},
    payload::Payloads,
    plan::Plan,
    probe,
    report::Second,
    schedule::Schedule,
    sessions::Sessions,
    subscriber::Subscriber,
    verdict::Judge,
};

use super::Phase;

/// Who has connected and joined, and waits for the start.
pub(crate) struct Prepared {
    run: u32,
    names: Vec<String>,
    sessions: Sessions,
    /// Subscriptions and the number of the room of each.
    joined: Vec<(u32, Room)>,
}

/// A run that is going on.
pub(crate) struct Stage {
    pub(crate) names: Vec<String>,
    pub(crate) sessions: Sessions,
    pub(crate) clock: Clock,
    pub(crate) meter: Arc<Meter>,
    pub(crate) schedule: Schedule,
    pub(crate) phase: watch::Sender<Phase>,
    /// The last offset of each room; the subscribers look there once the run is settling.
    pub(crate) heads: Vec<Arc<AtomicU64>>,
    pub(crate) answers: JoinSet<(u32, Outcomes)>,
    pub(crate) subscribers: JoinSet<(u32, Judge)>,
    pub(crate) probe: JoinSet<Latencies>,
    sampled: Sampled,
}

/// What the last row ended with.
#[derive(Debug, Default)]
struct Sampled {
    published: u64,
    missing: u64,
}

/// From when everybody is ready to the first publish: the threads are up by then.
const START_DELAY: Duration = Duration::from_millis(20);

/// So many for each thread, so that two threads seldom want the same one.
const SHARDS_PER_THREAD: usize = 4;

impl Stage {
    /// Connects and joins. The rooms are new ones, so what is in them is of this run.
    pub(crate) async fn prepare(plan: &Plan, network: &Network, live: &Live) -> Result<Prepared, Failed> {
        let run = cli::random() as u32;
        let names: Vec<_> = (0..plan.rooms).map(|room| format!("loadgen:{run:08x}:{room}")).collect();
        live.say(format_args!("connecting {} sessions to {}", plan.sessions, plan.url));
        let sessions = Sessions::open(plan, network).await?;
        let all = (0..plan.rooms).flat_map(|room| (0..plan.subscribers).map(move |member| (room, member)));
        let joined = stream::iter(all)
            .map(|(room, member)| {
                let opening = sessions.client(plan.session_of(room, member)).room(&names[room as usize]).open();
                async move { opening.await.map(|joined| (room, joined)) }
            })
            .buffered(CONNECTING_MAX)
            .try_collect()
            .await
            .map_err(|error| Failed::tool(format_args!("cannot join the rooms: {error}")))?;
        Ok(Prepared { run, names, sessions, joined })
    }

    /// Fills in what happened since the last row. The warm-up is in none: only what is measured is counted.
    pub(crate) fn sample(&mut self, row: &mut Second) {
        let deliveries = self.meter.take_second();
        let published = self.meter.published.load(Ordering::Relaxed);
        row.published = published - self.sampled.published;
        row.delivered = deliveries.delivered;
        row.lost = deliveries.missing as i64 - self.sampled.missing as i64;
        let latency = deliveries.second.summary();
        row.p50 = latency.map(|latency| latency.p50);
        row.p99 = latency.map(|latency| latency.p99);
        row.max = latency.map(|latency| latency.max);
        row.sessions = self.sessions.online();
        self.sampled = Sampled { published, missing: deliveries.missing };
    }
}

impl Prepared {
    /// Lets everybody go.
    pub(crate) fn start(self, plan: &Plan) -> Result<(Stage, Pacing), Failed> {
        let Self { run, names, sessions, joined } = self;
        let clock = Clock::from(Instant::now() + START_DELAY);
        let meter = Arc::new(Meter::new(plan.threads * SHARDS_PER_THREAD));
        let phase = watch::Sender::new(Phase::Running);
        let payloads = Payloads::new(run, plan.size, plan.seed);
        let measured_from = plan.warmup.as_nanos() as u64;
        let heads: Vec<_> = names.iter().map(|_| Arc::new(AtomicU64::new(0))).collect();
        let mut subscribers = JoinSet::new();
        for (number, (room, joined)) in joined.into_iter().enumerate() {
            let publishers = room * plan.publishers..(room + 1) * plan.publishers;
            let first = joined.head_at_open().next().get();
            let judge = Judge::new(payloads.clone(), measured_from, publishers, first);
            let (head, meter) = (Arc::clone(&heads[room as usize]), Arc::clone(&meter));
            let phase = phase.subscribe();
            let subscriber = Subscriber { number, room: joined, judge, head, clock, meter, phase };
            subscribers.spawn(async move { (room, subscriber.follow().await) });
        }
        let mut answers = JoinSet::new();
        let mut seats = Vec::with_capacity(plan.publishers_total() as usize);
        for publisher in 0..plan.publishers_total() {
            let (room, member) = (publisher / plan.publishers, publisher % plan.publishers);
            let client = sessions.client(plan.session_of(room, member));
            let (sender, inbox) = mpsc::unbounded_channel();
            let (meter, phase) = (Arc::clone(&meter), phase.subscribe());
            let waiting = Answers { publisher, inbox, clock, meter, phase };
            answers.spawn(async move { (room, waiting.collect().await) });
            let publisher = client.publisher(&names[room as usize]).map_err(Failed::tool)?;
            seats.push(Seat { publisher, answers: sender });
        }
        let mut probing = JoinSet::new();
        probing.spawn(probe::watch(clock, measured_from, phase.subscribe()));
        let schedule = Schedule::new(plan.publishers_total(), plan.rate, plan.seed);
        let end = measured_from + plan.duration.as_nanos() as u64;
        let pacer =
            Pacer { schedule: schedule.clone(), payloads, clock, measured_from, end, seats, meter: Arc::clone(&meter) };
        let pacing = pacer.start().map_err(Failed::tool)?;
        let sampled = Sampled::default();
        let stage = Stage {
            names,
            sessions,
            clock,
            meter,
            schedule,
            phase,
            heads,
            answers,
            subscribers,
            probe: probing,
            sampled,
        };
        Ok((stage, pacing))
    }
}
