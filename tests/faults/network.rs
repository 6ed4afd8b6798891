//! Bad networks: `loquic-impair` between real clients and a real server, over both transports. Whatever it does to
//! packets, publishers get their answers, and subscribers see what the log holds: those that were there from the
//! beginning, those that come late, one that forgets its client again and again, and one that is cut off.

use std::{
    panic::resume_unwind,
    sync::Arc,
    time::{Duration, Instant},
};

use loquic_check::{FaultKind, Level, Promise};
use loquic_client::{Client, From, Status, Transport};
use loquic_impair::{Cut, Profile, Proxy, Stats};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::support::{
    Node, Pace, Random, Run, Site, Tally, figure, final_log, final_log_on_disk, follow, joined, judge, long, publish,
    resume_often, seed, status,
};

/// Pings that make a client notice within 3 s that it is alone.
const CONFIG: &str = "[timeouts]\nping = \"1s\"\n[log]\ndisk_free_min = \"0B\"\n";

const ROOM: &str = "a";

/// A publisher's publishes come this often: 100/s together are no burden for two cores, so that what is slow here is
/// the network.
const EVERY: Duration = Duration::from_millis(20);

/// Publishes of one publisher without an answer: more than come in a round trip of 750 ms.
const IN_FLIGHT: usize = 128;

/// Acks after which a run may end: 12 s, two periods of what comes every 5 s. Times [`long`].
const ACKS: u64 = 1200;

/// A run's acks come in so many parts; something happens after each.
const PARTS: u64 = 4;

/// Longest wait for one thing, many times what it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network.
struct Weather {
    /// As `loquic-impair` understands it.
    profile: &'static str,
    /// Whether the proxy has done what the profile says.
    shows: fn(&Stats) -> bool,
    /// Whether a client that was there from the beginning keeps its session.
    keeps_sessions: bool,
    /// Whether publishes are sent again that are in the log.
    repeats: bool,
    /// Times that the server is killed meanwhile.
    kills: u64,
}

impl Weather {
    const fn new(profile: &'static str, shows: fn(&Stats) -> bool) -> Self {
        Self { profile, shows, keeps_sessions: false, repeats: false, kills: 0 }
    }
}

const WEATHERS: [Weather; 12] = [
    Weather::new("loss-2", lost),
    Weather::new("loss-20", lost),
    Weather::new("reordering", |stats| stats.up.reordered.min(stats.down.reordered) > 0),
    Weather::new("duplication", |stats| stats.up.duplicated.min(stats.down.duplicated) > 0),
    Weather::new("interop-long-rtt", |stats| stats.up.delayed.min(stats.down.delayed) > 0),
    Weather::new("interop-handshake-loss", lost),
    Weather::new("rtt-750ms", |stats| stats.up.delayed.min(stats.down.delayed) > 0),
    // Some clients give up, and some do not.
    Weather::new("blackouts,blackout=4s/3s", |stats| stats.up.dropped.blackout.min(stats.down.dropped.blackout) > 0),
    // Publishes come in, and their acks get lost.
    Weather { repeats: true, ..Weather::new("down.blackout=4s/4s", |stats| stats.down.dropped.blackout > 0) },
    Weather { keeps_sessions: true, ..Weather::new("rebind-5s", rebound) },
    Weather { keeps_sessions: true, ..Weather::new("rebind-address-5s", rebound) },
    Weather { kills: 3, ..Weather::new("loss-2", lost) },
];

fn lost(stats: &Stats) -> bool {
    stats.up.dropped.loss.min(stats.down.dropped.loss) > 0
}

/// Each of the first clients twice.
fn rebound(stats: &Stats) -> bool {
    stats.rebinds >= 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_networks_over_quic() {
    bad_networks("bad_networks_over_quic", Transport::Quic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_networks_over_webtransport() {
    bad_networks("bad_networks_over_webtransport", Transport::WebTransport).await;
}

/// All weathers side by side, a server each: most of the time goes into waiting for them. `LOQUIC_WEATHER` names one
/// alone.
async fn bad_networks(test: &str, transport: Transport) {
    let (seed, start) = (seed(test), Instant::now());
    let mut endured = JoinSet::new();
    let only = std::env::var("LOQUIC_WEATHER").unwrap_or_default();
    for (weather, seed) in WEATHERS.iter().zip(seed..).filter(|(weather, _)| weather.profile.contains(&only)) {
        endured.spawn(async move {
            let result = tokio::spawn(endure(weather, transport, seed)).await;
            (weather, result)
        });
    }
    assert!(!endured.is_empty(), "there is no weather {only}");
    while let Some(ended) = endured.join_next().await {
        let (weather, result) = joined(ended);
        let name = format!("{} over {transport:?}, {} kills", weather.profile, weather.kills);
        match result {
            Ok(said) => figure(format_args!("{name}: {said}")),
            Err(error) => {
                eprintln!("{name}: failed");
                resume_unwind(error.into_panic());
            }
        }
    }
    figure(format_args!(
        "bad networks over {transport:?}: {} ({:.1} s)",
        WEATHERS.len(),
        start.elapsed().as_secs_f64()
    ));
}

async fn endure(weather: &Weather, transport: Transport, seed: u64) -> String {
    let (run, mut random) = (Run::new(), Random::new(seed));
    // The packet that says goodbye may be lost, and then a session is there until it is idle for too long.
    let site = Site::new(CONFIG).over(transport).allow("sessions that did not leave are cut off");
    let node = site.start().await;
    let road = Arc::new(Road::new(site, weather, seed).await);
    let (stop, stopped) = watch::channel(false);
    let (target, seen) = watch::channel(None);
    let (mut publishers, mut subscribers) = (JoinSet::new(), JoinSet::new());
    for sender in ["ann", "bob"] {
        let pace = Pace { in_flight: IN_FLIGHT, every: EVERY, ..Pace::of(sender, random.next()) };
        publishers.spawn(publish(run.clone(), road.client(sender), ROOM.into(), pace, stopped.clone()));
    }
    let reader = |client, name: String, from| follow(run.clone(), client, ROOM.into(), name, from, seen.clone());
    // A few times: at 750 ms a new session and its join take 4 s.
    let (again, often) = (Arc::clone(&road), (random.next(), ACKS / 4..ACKS));
    let connect = move || again.client("again");
    subscribers.spawn(resume_often(run.clone(), connect, ROOM.into(), "again".into(), often, seen.clone()));
    let (steady, lonely) = (road.client("steady"), road.lonely_client());
    let mut sessions = JoinSet::from_iter([count_sessions(&steady)]);
    subscribers.spawn(reader(steady, "steady".into(), From::Oldest));
    subscribers.spawn(reader(road.client("live"), "live".into(), From::Live));
    subscribers.spawn(reader(lonely.clone(), "lonely".into(), From::Oldest));

    let late = |part| _ = subscribers.spawn(reader(road.client("late"), format!("late {part}"), From::Oldest));
    let node = trouble(&road, &run, node, weather, &lonely, late).await;
    stop.send_replace(true);
    let end = Instant::now();
    let mut tally = Tally::default();
    while let Some(publisher) = timeout(PATIENCE, publishers.join_next()).await.expect("every publish is answered") {
        tally += joined(publisher);
    }
    // Not through the proxy: what the log holds is not its affair.
    let beside = road.site.connect("reader").await;
    target.send_replace(Some(status(&beside, ROOM).await.head.get()));
    let mut resumes = 0;
    while let Some(subscriber) = timeout(PATIENCE, subscribers.join_next()).await.expect("everybody gets to the head") {
        let follow = joined(subscriber);
        assert_eq!((follow.renumbered, follow.gaps, follow.resets), (0, 0, 0), "nothing is lost");
        resumes += follow.resumes;
    }
    let (end, sessions) = (end.elapsed(), joined(sessions.join_next().await.expect("there is one task")));
    assert!(!weather.keeps_sessions || sessions == 1, "there were {sessions} sessions in place of one");
    final_log(run.recorder(), run.node(), &beside, ROOM).await;
    beside.close().await;
    node.terminate().await;
    final_log_on_disk(run.recorder(), run.recorder().node("disk"), &road.site, ROOM);
    road.site.verify();
    let report = judge(&run.history(), &Promise::new(Level::Disk));
    assert_eq!((report.acked, report.unknown), (tally.sent, 0), "every publish was answered");
    assert!(!weather.repeats || tally.duplicates > 0, "nothing was sent twice");
    format!(
        "{} acked ({} retries), {} delivered, {resumes} resumes, {sessions} sessions, the end took {:.1} s; {}",
        report.acked,
        tally.duplicates,
        report.delivered,
        end.as_secs_f64(),
        road.done(weather)
    )
}

/// What happens while there is traffic: a client is cut off and comes back, others come late, the server is killed.
async fn trouble(
    road: &Road,
    run: &Run,
    mut node: Node,
    weather: &Weather,
    lonely: &Client,
    mut late: impl FnMut(u64),
) -> Node {
    for part in 0..PARTS {
        run.more_acks(long() * ACKS / PARTS).await;
        match part {
            0 => road.cut_off(lonely).await,
            2 => road.lonely.cut(Cut::Neither),
            _ => late(part),
        }
        if part < weather.kills {
            node.kill().await;
            run.recorder().fault(run.node(), FaultKind::Kill, true);
            node = road.site.start().await;
        }
    }
    while !(weather.shows)(&road.proxy.stats()) {
        run.more_acks(ACKS / PARTS / 10).await;
    }
    node
}

/// A satellite, or a full queue: three round trips take longer than 5 s, and no attempt to connect may end before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_trip_of_1700_ms_is_borne() {
    let site = Site::new("");
    let node = site.start().await;
    let profile = "delay=850ms".parse().expect("a profile");
    let proxy = Proxy::udp(site.address(), profile, 0).await.expect("start a proxy");
    let publish_once = async |transport| {
        let builder = site.client_through(proxy.address().port(), "ann").transport(transport);
        let client = builder.connect().await.expect("it connects");
        let ack = timeout(PATIENCE, client.publisher(ROOM).expect("a name").publish("text")).await;
        client.close().await;
        ack.expect("in time").expect("an ack")
    };
    tokio::join!(publish_once(Transport::Quic), publish_once(Transport::WebTransport));
    node.terminate().await;
}

/// How many sessions a client has, until it is closed.
fn count_sessions(client: &Client) -> impl Future<Output = u64> + use<> {
    let mut status = client.status();
    async move {
        let (mut last, mut count) = (None, 0);
        loop {
            if let Status::Online { session, .. } = &*status.borrow_and_update() {
                count += u64::from(last.replace(*session) != Some(*session));
            }
            if status.changed().await.is_err() {
                return count;
            }
        }
    }
}

/// A server, and what is between it and its clients.
struct Road {
    site: Site,
    proxy: Proxy,
    /// One client's own, which can be cut.
    lonely: Proxy,
}

impl Road {
    async fn new(site: Site, weather: &Weather, seed: u64) -> Self {
        let profile: Profile = weather.profile.parse().expect("a profile");
        let proxy = Proxy::udp(site.address(), profile.clone(), seed).await.expect("start a proxy");
        let lonely = Proxy::udp(site.address(), profile, seed + 1).await.expect("start a proxy");
        Self { site, proxy, lonely }
    }

    fn client(&self, name: &str) -> Client {
        self.through(&self.proxy, name)
    }

    fn lonely_client(&self) -> Client {
        self.through(&self.lonely, "lonely")
    }

    fn through(&self, proxy: &Proxy, name: &str) -> Client {
        self.site.client_through(proxy.address().port(), name).connect_lazy().expect("set up a client")
    }

    /// Lets nothing pass until the client has noticed.
    async fn cut_off(&self, lonely: &Client) {
        let mut status = lonely.status();
        let online = timeout(PATIENCE, status.wait_for(Status::is_online)).await;
        drop(online.expect("it connects").expect("the client goes on"));
        self.lonely.cut(Cut::Both);
        let noticed = timeout(PATIENCE, status.wait_for(|status| !status.is_online())).await;
        drop(noticed.expect("it notices").expect("the client goes on"));
    }

    /// What the proxy did: what it was told, and nothing else.
    fn done(&self, weather: &Weather) -> Stats {
        let (stats, lonely) = (self.proxy.stats(), self.lonely.stats());
        assert!((weather.shows)(&stats), "{stats}");
        assert!(lonely.up.dropped.blackout > 0, "nobody was cut off: {lonely}");
        for Stats { up, down, socket_errors, .. } in [stats, lonely] {
            assert_eq!((up.dropped.bound, down.dropped.bound, socket_errors), (0, 0, 0), "too much for the proxy");
        }
        stats
    }
}
