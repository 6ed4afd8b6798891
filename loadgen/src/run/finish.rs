//! The end of a run: what is late is waited for, then everything is counted.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use loquic_client::Client;
use tokio::{
    task::JoinSet,
    time::{interval, timeout},
};

use crate::{
    answers::Outcomes,
    environment::Environment,
    health::Health,
    limits::{BUSY_TIME_MIN, SETTLE_MAX, SILENCE_MAX},
    meter::{Deliveries, Latencies, Meter},
    metrics::Comparison,
    pacer::{Paced, Pacing},
    plan::Plan,
    report::{Fault, Generator, Impaired, Rate, Report, SCHEMA, Second, Server},
    slo,
    verdict::{Acked, Judge, Tally, Verdict},
};

use super::{Course, Phase, Reading, Signals, Stage};

/// What came of it.
pub(super) struct Finished {
    scheduled: u64,
    paced: Paced,
    outcomes: Outcomes,
    verdict: Verdict,
    tally: Tally,
    total: Deliveries,
    acks: Latencies,
    receive_lag: Latencies,
    errors: Vec<Fault>,
    reconnects: u64,
    /// In seconds: how long publishes were measured, and how long deliveries came.
    published_for: f64,
    delivered_for: f64,
    /// After everything.
    settled: Reading,
}

pub(super) async fn finish(
    plan: &Plan,
    mut stage: Stage,
    pacing: Pacing,
    course: &mut Course,
    signals: &mut Signals,
) -> Finished {
    let measured_from = plan.warmup.as_nanos() as u64;
    let due_until = measured_from + plan.duration.as_nanos() as u64;
    let end = course.interrupted.map_or(due_until, |at| at.clamp(measured_from, due_until));
    let paced = if course.interrupted.is_some() { pacing.stop() } else { pacing.wait() };
    // What was due in the moment of a signal may have stayed behind, without the generator being too slow.
    let cut_off = course.interrupted.map_or(0, |_| plan.lag_max.as_nanos() as u64);
    let scheduled = scheduled(&stage, measured_from, end.saturating_sub(cut_off)).max(paced.sent);
    course.end = course.gauges.read().await;
    course.live.say("waiting for what is late");

    let mut answered = Vec::new();
    let hurried = tokio::select! {
        () = gather(&mut stage.answers, &mut answered) => false,
        () = silence(&stage.meter) => false,
        () = signals.next() => true,
    };
    let mut heads = heads(stage.sessions.client(0), &stage.names, &stage.meter).await;
    for (room, outcomes) in &answered {
        let head = &mut heads[*room as usize];
        *head = outcomes.room.last.max(*head);
    }
    heads.iter().zip(&stage.heads).for_each(|(head, shared)| shared.store(*head, Ordering::Release));
    stage.phase.send_replace(Phase::Settling);
    gather(&mut stage.answers, &mut answered).await;

    let (mut lags, mut judged) = (Vec::new(), Vec::new());
    gather(&mut stage.probe, &mut lags).await;
    if !hurried {
        tokio::select! {
            () = gather(&mut stage.subscribers, &mut judged) => {}
            () = silence(&stage.meter) => {}
            () = signals.next() => {}
        }
    }
    stage.phase.send_replace(Phase::Over);
    gather(&mut stage.subscribers, &mut judged).await;

    let settled = course.gauges.read().await;
    course.last_row(&mut stage, &settled);
    [&course.start, &settled].into_iter().filter_map(Reading::unread).for_each(|error| stage.meter.error(error));
    let (outcomes, verdict, tally) = verdict(answered, judged, &heads);
    let total = stage.meter.total();
    let since_start = |time: u64| Duration::from_nanos(time.saturating_sub(measured_from)).as_secs_f64();
    let (published_for, last) = (since_start(end), since_start(total.last));
    let finished = Finished {
        scheduled,
        paced,
        outcomes,
        verdict,
        tally,
        acks: stage.meter.acks.lock().clone(),
        receive_lag: lags.pop().unwrap_or_else(Latencies::new),
        errors: stage.meter.errors(),
        reconnects: stage.sessions.reconnects(),
        published_for,
        delivered_for: last.max(published_for),
        settled,
        total,
    };
    stage.sessions.close().await;
    finished
}

/// Publishes that are due from one time to another.
fn scheduled(stage: &Stage, from: u64, to: u64) -> u64 {
    stage.schedule.count_before(to).saturating_sub(stage.schedule.count_before(from))
}

impl Course {
    /// One more row for what came after the last publish, if something did.
    fn last_row(&mut self, stage: &mut Stage, settled: &Reading) {
        let t = self.series.last().map_or(0, |row| row.t) + 1;
        let mut row = Second { t, ..Second::default() };
        stage.sample(&mut row);
        if row.delivered == 0 && row.published == 0 && row.lost == 0 {
            return;
        }
        if let (Some(now), Some(before)) = (settled.server, self.last_sampled.server) {
            row.server_cpu = Some(now.cpu.saturating_sub(before.cpu).as_secs_f64());
            row.server_rss = Some(now.rss);
        }
        self.live.row(&row);
        self.series.push(row);
    }
}

/// Waits for all tasks. What has ended is kept when it is cancelled.
async fn gather<T: 'static>(tasks: &mut JoinSet<T>, into: &mut Vec<T>) {
    while let Some(ended) = tasks.join_next().await {
        into.push(ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())));
    }
}

/// Waits until nothing has come for [`SILENCE_MAX`], at most [`SETTLE_MAX`].
async fn silence(meter: &Meter) {
    let begun = Instant::now();
    let (mut last, mut since) = (meter.activity(), begun);
    let mut looks = interval(LOOK_INTERVAL);
    while since.elapsed() < SILENCE_MAX && begun.elapsed() < SETTLE_MAX {
        looks.tick().await;
        let now = meter.activity();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

/// How often it is looked whether anything still comes.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The last offset of each room, as the server says; 0 where it does not.
async fn heads(client: &Client, names: &[String], meter: &Meter) -> Vec<u64> {
    let mut heads = Vec::with_capacity(names.len());
    for rooms in names.chunks(PEEK_ROOMS_MAX) {
        let statuses = match timeout(SILENCE_MAX, client.peek(rooms)).await {
            Ok(Ok(statuses)) => statuses,
            Ok(Err(error)) => {
                meter.error(format!("peek: {error}"));
                break;
            }
            Err(_) => {
                meter.error("peek: no answer".into());
                break;
            }
        };
        heads.extend(statuses.into_iter().map(|status| status.map_or(0, |status| status.head.get())));
    }
    heads.resize(names.len(), 0);
    heads
}

/// Rooms that one `Peek` may name.
const PEEK_ROOMS_MAX: usize = 100;

/// Brings together what publishers and subscribers of each room know.
fn verdict(answered: Vec<(u32, Outcomes)>, judged: Vec<(u32, Judge)>, heads: &[u64]) -> (Outcomes, Verdict, Tally) {
    let mut rooms = vec![Acked::default(); heads.len()];
    let mut sum = Outcomes::default();
    for (room, outcomes) in answered {
        rooms[room as usize].merge(outcomes.room);
        sum.acked += outcomes.acked;
        sum.refused += outcomes.refused;
        sum.unknown += outcomes.unknown;
    }
    let mut judges: Vec<Vec<Judge>> = heads.iter().map(|_| Vec::new()).collect();
    judged.into_iter().for_each(|(room, judge)| judges[room as usize].push(judge));
    let (mut verdict, mut tally) = (Verdict::default(), Tally::default());
    for ((acked, head), judges) in rooms.iter().zip(heads).zip(&judges) {
        verdict.add_room(acked, *head, judges);
        tally.add_room(acked, judges);
    }
    (sum, verdict, tally)
}

pub(super) fn report(
    plan: Plan,
    environment: Environment,
    course: Course,
    finished: Finished,
    impair: Option<Impaired>,
) -> Report {
    let Finished { paced, outcomes, verdict, total, .. } = &finished;
    let p99 = |lags: &Latencies| Duration::from_micros(lags.quantile(0.99));
    let (send_lag_p99, receive_lag_p99) = (p99(&paced.lag), p99(&finished.receive_lag));
    let own_cpu = course.end.own.cpu.saturating_sub(course.start.own.cpu).as_secs_f64();
    let elapsed = course.end.at.saturating_duration_since(course.start.at).as_secs_f64();
    let busy = if elapsed < BUSY_TIME_MIN.as_secs_f64() { 0.0 } else { own_cpu / (elapsed * plan.threads as f64) };
    let health = Health {
        scheduled: finished.scheduled,
        sent: paced.sent,
        send_lag_p99,
        receive_lag_p99,
        lag_max: plan.lag_max,
        latency_p99: p99(&total.corrected),
        busy,
        threads: plan.threads,
    };
    let reasons = health.reasons();
    let per_delivery = |cpu: f64| (verdict.delivered > 0).then(|| cpu * 1e6 / verdict.delivered as f64);
    let all_cpu = finished.settled.own.cpu.saturating_sub(course.start.own.cpu).as_secs_f64();
    let per_second = |count: u64, seconds: f64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let mut report = Report {
        schema: SCHEMA,
        scheduled: finished.scheduled,
        sent: paced.sent,
        acked: outcomes.acked,
        refused: outcomes.refused + paced.refused,
        unknown: outcomes.unknown,
        expected: verdict.expected,
        delivered: verdict.delivered,
        lost: verdict.lost,
        duplicated: verdict.duplicated,
        reordered: verdict.reordered,
        corrupt: verdict.corrupt,
        reconnects: finished.reconnects,
        rate: Rate {
            target: plan.rate,
            published: per_second(paced.sent, finished.published_for),
            delivered: per_second(verdict.delivered, finished.delivered_for),
        },
        latency_us: total.corrected.summary(),
        latency_uncorrected_us: total.uncorrected.summary(),
        ack_latency_us: finished.acks.summary(),
        server: server(&plan, &course, &finished),
        generator: Generator {
            cpu_s: all_cpu,
            cpu_us_per_delivery: per_delivery(all_cpu),
            send_lag_p99_us: send_lag_p99.as_micros() as u64,
            receive_lag_p99_us: receive_lag_p99.as_micros() as u64,
            busy: health.busy,
        },
        impair,
        valid: reasons.is_empty(),
        invalid_reasons: reasons,
        interrupted: course.interrupted.is_some(),
        slo: Vec::new(),
        series: course.series,
        errors: finished.errors,
        environment,
        config: plan,
    };
    report.slo = slo::implicit().iter().chain(&report.config.slo).map(|slo| slo.judge(&report)).collect();
    report
}

/// `None` also if the process is not there any more.
fn server(plan: &Plan, course: &Course, finished: &Finished) -> Option<Server> {
    let (start, settled) = (course.start.server?, finished.settled.server?);
    let cpu = settled.cpu.saturating_sub(start.cpu).as_secs_f64();
    let grown = settled.rss as f64 - course.idle.server?.rss as f64;
    let delivered = finished.verdict.delivered;
    Some(Server {
        cpu_us_per_delivery: (delivered > 0).then(|| cpu * 1e6 / delivered as f64),
        cpu_s: cpu,
        rss_bytes: settled.rss,
        rss_bytes_per_session: (grown > 0.0).then(|| grown / f64::from(plan.sessions)),
        metrics: comparison(course, finished),
    })
}

/// `None` if the server could not be asked each time; why is among the errors.
fn comparison(course: &Course, finished: &Finished) -> Option<Comparison> {
    let [idle, start, settled] = [&course.idle, &course.start, &finished.settled].map(|reading| reading.page.as_ref());
    let [idle, start, settled] = [idle?.as_ref().ok()?, start?.as_ref().ok()?, settled?.as_ref().ok()?];
    Some(Comparison::new(idle, start, settled, &finished.tally))
}
