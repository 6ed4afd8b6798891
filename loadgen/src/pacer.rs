//! Publishes on schedule, from a thread of its own: what the runtime is busy with must not delay a publish.

use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use loquic_client::{Error, Message, Pending, Publisher};
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    meter::{Clock, Latencies, Meter},
    payload::{Payloads, Stamp},
    schedule::{Due, Schedule},
};

/// What the pacer needs.
pub(crate) struct Pacer {
    pub(crate) schedule: Schedule,
    pub(crate) payloads: Payloads,
    pub(crate) clock: Clock,
    /// What is due from here on is measured.
    pub(crate) measured_from: u64,
    /// What is due from here on is not sent.
    pub(crate) end: u64,
    /// By the number of the publisher.
    pub(crate) seats: Vec<Seat>,
    pub(crate) meter: Arc<Meter>,
}

/// One publisher.
pub(crate) struct Seat {
    pub(crate) publisher: Publisher,
    /// The channel has no bound of its own: what is in it is also in the outbox, which has one, or has its answer.
    pub(crate) answers: UnboundedSender<Sent>,
}

/// A publish that was handed over.
pub(crate) struct Sent {
    pub(crate) sequence: u32,
    pub(crate) intended: u64,
    pub(crate) measured: bool,
    pub(crate) pending: Pending,
}

/// How it went; measured publishes only.
#[derive(Debug)]
pub(crate) struct Paced {
    pub(crate) lag: Latencies,
    pub(crate) sent: u64,
    /// Not taken by the client, because too many had no answer.
    pub(crate) refused: u64,
}

/// The running thread.
pub(crate) struct Pacing {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Paced>,
}

/// A pacer that is this late has lost; what it would still send tells nothing.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// How precisely the kernel wakes the thread; its default of 50 µs would be in every latency.
const TIMER_SLACK_NANOS: NonZeroU64 = NonZeroU64::MIN;

impl Pacing {
    /// Ends it before its time.
    pub(crate) fn stop(self) -> Paced {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.wait()
    }

    /// Waits for its end: a little late, if what was due last left late. Blocks, at most [`BEHIND_MAX`] past the end.
    pub(crate) fn wait(self) -> Paced {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Pacer {
    pub(crate) fn start(self) -> std::io::Result<Pacing> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("pacer".into()).spawn(move || self.run(&stopped))?;
        Ok(Pacing { stop, thread })
    }

    fn run(self, stop: &AtomicBool) -> Paced {
        // Where it is not allowed, the send lag shows it.
        let _ = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NANOS));
        let mut paced = Paced { lag: Latencies::new(), sent: 0, refused: 0 };
        let give_up = self.end + BEHIND_MAX.as_nanos() as u64;
        for number in 0.. {
            let due = self.schedule.at(number);
            let Some(now) = self.wait(due.time, stop).filter(|now| due.time < self.end && *now < give_up) else {
                break;
            };
            self.publish(due, now, &mut paced);
        }
        paced
    }

    /// The time when it is due, or later; `None` if the run was stopped.
    fn wait(&self, due: u64, stop: &AtomicBool) -> Option<u64> {
        loop {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            let now = self.clock.now();
            if now >= due {
                return Some(now);
            }
            thread::park_timeout(Duration::from_nanos(due - now));
        }
    }

    fn publish(&self, due: Due, now: u64, paced: &mut Paced) {
        let Due { time: intended, publisher, sequence } = due;
        let lag = now - intended;
        let lag_us = u32::try_from(lag / 1000).unwrap_or(u32::MAX);
        let measured = intended >= self.measured_from;
        if measured {
            paced.lag.record(lag);
            paced.sent += 1;
            self.meter.published.fetch_add(1, Ordering::Relaxed);
        }
        let seat = &self.seats[publisher as usize];
        let payload = self.payloads.write(Stamp { publisher, sequence, intended, lag_us });
        match seat.publisher.try_publish(Message::new(payload)) {
            // Whoever would take the answer has given up.
            Ok(pending) => drop(seat.answers.send(Sent { sequence, intended, measured, pending })),
            Err(error) => {
                paced.refused += u64::from(measured);
                self.meter.error(match error {
                    Error::OutboxFull => "too many publishes of one publisher have no answer".into(),
                    other => format!("publish: {other}"),
                });
            }
        }
    }
}
