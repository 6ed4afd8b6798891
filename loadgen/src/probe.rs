//! How long whatever arrives waits for a thread of the generator.

use std::time::Duration;

use tokio::{
    sync::watch,
    task::yield_now,
    time::{Instant, sleep_until},
};

use crate::{
    meter::{Clock, Latencies},
    run::{Phase, until},
};

/// Often enough for a 99th percentile of a short run; a thousandth of what a thread can do.
const INTERVAL: Duration = Duration::from_millis(5);

/// Asks to be woken at known times and notes how late that was, until no more acks are waited for. The timers of the
/// runtime are exact to a millisecond, so that much is always there.
pub(crate) async fn watch(clock: Clock, measured_from: u64, phase: watch::Receiver<Phase>) -> Latencies {
    let mut lags = Latencies::new();
    let mut end = std::pin::pin!(until(phase, Phase::Settling));
    let mut due = clock.instant(measured_from);
    loop {
        tokio::select! {
            biased;
            () = &mut end => return lags,
            () = sleep_until(Instant::from_std(due)) => {}
        }
        // A task that a timer has woken may go first; deliveries do not. Yielding puts it behind all that are ready.
        yield_now().await;
        let now = std::time::Instant::now();
        // Also for the times at which it could not even look.
        while due <= now {
            lags.record((now - due).as_nanos() as u64);
            due += INTERVAL;
        }
    }
}
