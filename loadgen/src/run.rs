//! One run from the first session to the report.

mod finish;
mod stage;

use std::time::{Duration, Instant};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{MissedTickBehavior, interval_at, sleep_until},
};

use crate::{
    cli::Failed,
    environment::Environment,
    metrics::Page,
    network::Network,
    output::Live,
    plan::Plan,
    process::{Process, Usage},
    report::{Report, Second},
    scrape::Source,
};

use stage::Stage;

/// How far a run is, for the tasks that take part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Running,
    /// No more acks are waited for. It is known how many records each room has; who has them all is done.
    Settling,
    /// Who is not done by now never will be.
    Over,
}

/// Waits for a phase, or one behind it.
pub(crate) async fn until(mut phase: watch::Receiver<Phase>, wanted: Phase) {
    // Without a sender there is nothing left to wait for.
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

pub(crate) async fn run(plan: Plan) -> Result<Report, Failed> {
    let mut signals = Signals::new()?;
    let environment = Environment::look(plan.server_pid);
    let gauges = Gauges { server: plan.server_pid.map(Process::with_id), source: plan.metrics_url.clone() };
    let idle = gauges.read().await;
    if let Some(Err(error)) = &idle.page {
        return Err(Failed::tool(format_args!("--metrics-url: {error}")));
    }
    let network = Network::start(&plan).await?;
    let live = Live::new(&plan);
    let stage = tokio::select! {
        stage = Stage::prepare(&plan, &network, &live) => stage?,
        () = signals.next() => return Err(Failed::tool("interrupted before anything was published")),
    };
    let mut course = Course {
        live,
        gauges,
        start: idle.clone(),
        end: idle.clone(),
        last_sampled: idle.clone(),
        idle,
        series: Vec::new(),
        interrupted: None,
    };
    let (mut stage, pacing) = stage.start(&plan)?;
    course.measure(&plan, &mut stage, &mut signals).await;
    let finished = finish::finish(&plan, stage, pacing, &mut course, &mut signals).await;
    let impaired = network.end().await;
    Ok(finish::report(plan, environment, course, finished, impaired))
}

/// What is known of a run besides what was delivered.
struct Course {
    live: Live,
    gauges: Gauges,
    /// Before the first session, when the warm-up was over, after the last publish.
    idle: Reading,
    start: Reading,
    end: Reading,
    /// When the last row was made.
    last_sampled: Reading,
    series: Vec<Second>,
    /// When a signal ended it, on the clock of the run.
    interrupted: Option<u64>,
}

impl Course {
    /// Until the time is up or somebody has had enough.
    async fn measure(&mut self, plan: &Plan, stage: &mut Stage, signals: &mut Signals) {
        let start = stage.clock.instant(plan.warmup.as_nanos() as u64);
        if !plan.warmup.is_zero() {
            self.live.say(format_args!("warming up for {:?}", plan.warmup));
        }
        tokio::select! {
            () = sleep_until(start.into()) => {}
            () = signals.next() => self.interrupted = Some(stage.clock.now()),
        }
        self.start = self.gauges.read().await;
        self.last_sampled = self.start.clone();
        stage.sessions.online();
        self.live.say(format_args!("measuring for {:?}", plan.duration));
        self.live.heading();
        let mut ticks = interval_at((start + SECOND).into(), SECOND);
        // After a pause of the whole process one row is late, and no row is made up.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let end = start + plan.duration;
        while self.interrupted.is_none() {
            tokio::select! {
                biased;
                () = signals.next() => self.interrupted = Some(stage.clock.now()),
                _ = ticks.tick() => self.row(stage, start).await,
                () = sleep_until(end.into()) => break,
            }
            if Instant::now() >= end {
                break;
            }
        }
    }

    async fn row(&mut self, stage: &mut Stage, start: Instant) {
        let before = std::mem::replace(&mut self.last_sampled, self.gauges.read().await);
        let mut row = Second { t: start.elapsed().as_secs_f64().round() as u64, ..Second::default() };
        if let (Some(now), Some(before)) = (self.last_sampled.server, before.server) {
            row.server_cpu = Some(now.cpu.saturating_sub(before.cpu).as_secs_f64());
            row.server_rss = Some(now.rss);
        }
        stage.sample(&mut row);
        self.live.row(&row);
        self.series.push(row);
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// What is looked at from outside.
#[derive(Debug)]
struct Gauges {
    server: Option<Process>,
    source: Option<Source>,
}

/// What was seen there.
#[derive(Debug, Clone)]
struct Reading {
    at: Instant,
    own: Usage,
    server: Option<Usage>,
    page: Option<Result<Page, String>>,
}

impl Reading {
    /// Why there are no metrics although they were asked for.
    fn unread(&self) -> Option<String> {
        self.page.as_ref()?.as_ref().err().map(|error| format!("metrics: {error}"))
    }
}

impl Gauges {
    async fn read(&self) -> Reading {
        let page = match &self.source {
            Some(source) => Some(source.read().await),
            None => None,
        };
        let own = Process::own().usage().unwrap_or_default();
        let server = match self.server {
            Some(server) => server.usage(),
            // A server elsewhere says itself what it has used.
            None => page.as_ref().and_then(|page| page.as_ref().ok()?.usage()),
        };
        Reading { at: Instant::now(), own, server, page }
    }
}

/// Requests to end early. The first one ends the run, which then still reports; the second one ends the wait for what
/// is late.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failed> {
        let signal = |kind| signal(kind).map_err(Failed::tool);
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
