//! Follows one room and judges what comes.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use loquic_client::{Event, Room};
use tokio::sync::watch;

use crate::{
    meter::{Clock, Meter},
    run::{Phase, until},
    verdict::Judge,
};

pub(crate) struct Subscriber {
    /// Counts all of them.
    pub(crate) number: usize,
    pub(crate) room: Room,
    pub(crate) judge: Judge,
    /// The last offset that the room has; known once the run is settling.
    pub(crate) head: Arc<AtomicU64>,
    pub(crate) clock: Clock,
    pub(crate) meter: Arc<Meter>,
    pub(crate) phase: watch::Receiver<Phase>,
}

impl Subscriber {
    /// Until it has everything, or the run is over.
    pub(crate) async fn follow(mut self) -> Judge {
        let mut settling = pin!(until(self.phase.clone(), Phase::Settling));
        let mut over = pin!(until(self.phase.clone(), Phase::Over));
        let mut is_settling = false;
        loop {
            tokio::select! {
                biased;
                batch = self.room.next_batch() => match batch {
                    Some(Ok(events)) => self.handle(&events),
                    Some(Err(error)) => {
                        self.meter.error(format!("subscription: {error}"));
                        break;
                    }
                    None => break,
                },
                () = &mut settling, if !is_settling => is_settling = true,
                () = &mut over, if is_settling => break,
            }
            if is_settling && self.judge.reached() >= self.head.load(Ordering::Acquire) {
                break;
            }
        }
        self.judge
    }

    /// All of it came at the same time: when the client handed it over.
    fn handle(&mut self, events: &[Event]) {
        let now = self.clock.now();
        let missing = self.judge.missing();
        let mut deliveries = self.meter.shard(self.number).lock();
        for event in events {
            match event {
                Event::Record(record) => {
                    if let Some(stamp) = self.judge.record(record.offset.get(), &record.payload) {
                        deliveries.record(now, stamp);
                    }
                }
                Event::Gap(gap) => {
                    self.judge.gap(gap.to.get());
                    self.meter.error(format!("gap: {:?}", gap.reason));
                }
                Event::Reset(reset) => {
                    self.judge.reset(reset.valid_to.get());
                    self.meter.error("reset: the server has lost records that it had delivered".into());
                }
                _ => {}
            }
        }
        deliveries.miss(missing, &self.judge);
    }
}
