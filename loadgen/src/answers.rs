//! Waits for the acks of one publisher.

use std::sync::{Arc, atomic::Ordering};

use loquic_client::{Ack, Duplicate, Error};
use tokio::sync::{mpsc::UnboundedReceiver, watch};

use crate::{
    meter::{Clock, Meter},
    pacer::Sent,
    run::{Phase, until},
    verdict::Acked,
};

pub(crate) struct Answers {
    pub(crate) publisher: u32,
    pub(crate) inbox: UnboundedReceiver<Sent>,
    pub(crate) clock: Clock,
    pub(crate) meter: Arc<Meter>,
    pub(crate) phase: watch::Receiver<Phase>,
}

/// The outcomes of one publisher's publishes.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// For the verdict; with the warm-up.
    pub(crate) room: Acked,
    /// Measured ones.
    pub(crate) acked: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
}

impl Answers {
    /// Until everything that was sent has its answer, or no more of them are waited for.
    pub(crate) async fn collect(mut self) -> Outcomes {
        let mut outcomes = Outcomes::default();
        let mut given_up = std::pin::pin!(until(self.phase.clone(), Phase::Settling));
        while let Some(mut sent) = self.inbox.recv().await {
            let answer = tokio::select! {
                biased;
                answer = &mut sent.pending => answer,
                () = &mut given_up => {
                    outcomes.unknown(sent.measured);
                    break;
                }
            };
            self.meter.answered.fetch_add(1, Ordering::Relaxed);
            match answer {
                Ok(ack) => self.acked(&mut outcomes, &sent, &ack),
                Err(error @ Error::Refused { .. }) => {
                    outcomes.refused += u64::from(sent.measured);
                    self.meter.error(format!("publish: {error}"));
                }
                Err(error) => {
                    outcomes.unknown(sent.measured);
                    self.meter.error(format!("publish: {error}"));
                }
            }
        }
        while let Ok(sent) = self.inbox.try_recv() {
            outcomes.unknown(sent.measured);
        }
        outcomes
    }

    fn acked(&self, outcomes: &mut Outcomes, sent: &Sent, ack: &Ack) {
        if ack.duplicate == Duplicate::Trimmed {
            // It is in the log, and nobody says where.
            outcomes.room.unclear += 1;
        } else {
            outcomes.room.add(ack.position.offset.get(), self.publisher, sent.sequence);
        }
        if sent.measured {
            outcomes.acked += 1;
            self.meter.acks.lock().record(self.clock.now().saturating_sub(sent.intended));
        }
    }
}

impl Outcomes {
    fn unknown(&mut self, measured: bool) {
        self.unknown += u64::from(measured);
        self.room.unclear += 1;
    }
}
