//! How many bytes may be under way to a client, and the memory that all clients share for it.
//!
//! What is sent stays in memory until the client acknowledges it, so a window is what a stopped client costs. Each
//! connection has a small one of its own. What a fast path needs beyond that comes out of one budget, of which nobody
//! gets more than a part of what is left: few connections have large windows, and many have small ones that together
//! carry as much (dynamic thresholds, Choudhury and Hahne 1998).

use std::{
    future::poll_fn,
    ops::RangeInclusive,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use parking_lot::Mutex;

use crate::config::limits;

/// The windows of a node's connections.
#[derive(Debug)]
pub(super) struct Windows {
    /// Of one connection, in bytes.
    bounds: RangeInclusive<u64>,
    /// Bytes of the budget that no connection holds.
    spare: AtomicU64,
}

impl Windows {
    /// Nobody holds anything of `budget`.
    pub(super) fn new(bounds: RangeInclusive<u64>, budget: u64) -> Arc<Self> {
        Arc::new(Self { bounds, spare: AtomicU64::new(budget) })
    }

    /// The window of a new connection.
    pub(super) fn open(self: &Arc<Self>) -> Window {
        let bytes = *self.bounds.start();
        let state = State { bytes, filled: bytes, is_used: false };
        Window { windows: self.clone(), state: Mutex::new(state) }
    }

    /// Bytes of the budget that nobody holds.
    #[cfg(test)]
    pub(super) fn spare(&self) -> u64 {
        self.spare.load(Ordering::Relaxed)
    }

    /// Changes a window of `bytes` to `wanted`, or as near as bounds and budget allow, and returns what it is now.
    /// Small changes are not made.
    fn resize(&self, bytes: u64, wanted: u64) -> u64 {
        let (min, max) = (*self.bounds.start(), *self.bounds.end());
        let held = bytes - min;
        let mut new = bytes;
        // An error says that nothing was to be changed.
        let _ = self.spare.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spare| {
            let free = spare + held;
            let share = (wanted.clamp(min, max) - min).min(free / limits::SEND_WINDOW_SHARE);
            new = min + share;
            if new.abs_diff(bytes) <= bytes / 8 && new != min {
                new = bytes;
            }
            (new != bytes).then(|| free - (new - min))
        });
        new
    }
}

/// The window of one connection. Dropping it gives back what it holds of the budget.
#[derive(Debug)]
pub(super) struct Window {
    windows: Arc<Windows>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bytes: u64,
    /// About what was in it when a write last found it full: more than its size after it has shrunk.
    filled: u64,
    /// Whether a write found it full since the last call of `rest`.
    is_used: bool,
}

impl Window {
    /// Its size.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// Follows a path that takes `congestion_window` at once. To be called when a write did not fit; returns the new
    /// size if it changed.
    ///
    /// Twice what the path takes: one half is under way while the other is being acknowledged. Only then is it the
    /// path, and not the window, that limits.
    pub(super) fn follow(&self, congestion_window: u64) -> Option<u64> {
        let mut state = self.state.lock();
        state.is_used = true;
        state.filled = state.bytes;
        self.set(&mut state, congestion_window.saturating_mul(2))
    }

    /// Doubles. To be called when a page was written without waiting: then it is the pages that limit, and they are as
    /// small as the window. Returns the new size if it changed.
    pub(super) fn grow(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.is_used = true;
        let wanted = state.bytes.saturating_mul(2);
        self.set(&mut state, wanted)
    }

    /// Gives back what was not needed since the last call; returns the new size if it changed.
    pub(super) fn rest(&self) -> Option<u64> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.is_used) {
            return None;
        }
        let resized = self.set(&mut state, 0);
        state.filled = state.bytes;
        resized
    }

    /// Writes for a stream that goes before catch-up. If the window, which `set` sets, is full, it writes beyond it;
    /// the second value says whether it was. As cancel-safe as `write`.
    ///
    /// Priorities order what is written already. Room to write goes to whoever comes first, and a stream in catch-up
    /// takes all of it whenever the peer acknowledges something: the others would wait behind it.
    pub(super) async fn ahead<T>(&self, set: impl Fn(u64), mut write: Pin<&mut impl Future<Output = T>>) -> (T, bool) {
        let mut was_full = false;
        let written = poll_fn(|context| {
            if let Poll::Ready(written) = write.as_mut().poll(context) {
                return Poll::Ready(written);
            }
            was_full = true;
            // Held meanwhile, so that nobody sets a size in between.
            let state = self.state.lock();
            // A window that has shrunk stays full until the path has taken what was in it.
            set(state.bytes.max(state.filled) + state.bytes / limits::SEND_WINDOW_AHEAD);
            let polled = write.as_mut().poll(context);
            set(state.bytes);
            polled
        });
        (written.await, was_full)
    }

    fn set(&self, state: &mut State, wanted: u64) -> Option<u64> {
        let new = self.windows.resize(state.bytes, wanted);
        (std::mem::replace(&mut state.bytes, new) != new).then_some(new)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.windows.resize(self.state.get_mut().bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::ready, pin::pin};

    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;

    const MIN: u64 = 16_384;
    const MAX: u64 = 1_048_576;
    const BUDGET: u64 = 16 * 1024 * 1024;

    #[test]
    fn a_lone_connection_gets_twice_what_its_path_takes_within_bounds() {
        let windows = Windows::new(MIN..=MAX, 64 * BUDGET);
        let window = windows.open();
        assert_eq!(window.bytes(), MIN);
        assert_eq!(window.follow(0), None);
        assert_eq!(window.follow(100_000), Some(200_000));
        assert_eq!(window.follow(101_000), None, "small changes are not made");
        assert_eq!(window.follow(u64::MAX), Some(MAX));
        assert_eq!(window.follow(20_000), Some(40_000));
    }

    #[test]
    fn what_was_not_needed_is_given_back() {
        let windows = Windows::new(MIN..=MAX, BUDGET);
        let window = windows.open();
        window.follow(100_000);
        assert_eq!(window.rest(), None, "it was used");
        assert_eq!(window.rest(), Some(MIN));
        assert_eq!(window.rest(), None);
        assert_eq!(windows.spare(), BUDGET);
    }

    #[test]
    fn what_goes_ahead_finds_room_in_a_full_window() {
        let window = Windows::new(MIN..=MAX, BUDGET).open();
        let size = &Cell::new(MIN);
        let set = |bytes| size.set(bytes);
        let fits = |bytes| poll_fn(move |_| if bytes <= size.get() { Poll::Ready(()) } else { Poll::Pending });
        assert_eq!(window.ahead(set, pin!(ready(()))).now_or_never(), Some(((), false)), "it had room");
        assert_eq!(window.ahead(set, pin!(fits(MIN + MIN / 4))).now_or_never(), Some(((), true)), "it went beyond");
        assert_eq!(window.ahead(set, pin!(fits(MIN + MIN / 4 + 1))).now_or_never(), None, "beyond, not without end");
        assert_eq!(size.get(), MIN, "it is as it was");
        window.follow(MIN * 4);
        window.follow(MIN);
        assert_eq!(
            window.ahead(set, pin!(fits(MIN * 8))).now_or_never(),
            Some(((), true)),
            "it has shrunk, and is full"
        );
        assert_eq!(size.get(), MIN * 2);
        assert_eq!(window.rest(), None, "it was used");
        size.set(window.rest().unwrap());
        assert_eq!(window.ahead(set, pin!(fits(MIN * 2))).now_or_never(), None, "it has come to rest");
    }

    #[test]
    fn many_that_want_everything_share_the_budget() {
        let windows = Windows::new(MIN..=MAX, BUDGET);
        let all: Vec<_> = (0..1_000).map(|_| windows.open()).collect();
        for _ in 0..2_000 {
            for window in &all {
                window.follow(u64::MAX);
            }
        }
        let largest = all.iter().map(Window::bytes).max().unwrap();
        assert!(largest <= MIN + 2 * BUDGET / 1_000, "{largest}");
        // One that comes late gets as much as the others.
        let late = windows.open();
        late.follow(u64::MAX);
        assert!(late.bytes() >= MIN + BUDGET / 16_000, "{}", late.bytes());
        drop((all, late));
        assert_eq!(windows.spare(), BUDGET);
    }

    proptest! {
        /// Whatever connections do, the budget is neither exceeded nor lost.
        #[test]
        fn the_budget_is_kept(steps in prop::collection::vec((0usize..8, 0u8..5, 0u64..2_000_000), 1..200)) {
            let windows = Windows::new(MIN..=MAX, BUDGET);
            let mut all: Vec<_> = (0..8).map(|_| windows.open()).collect();
            for (at, what, cwnd) in steps {
                match what {
                    0 => all[at] = windows.open(),
                    1 => drop(all[at].rest()),
                    2 => drop(all[at].grow()),
                    _ => drop(all[at].follow(cwnd)),
                }
                let held: u64 = all.iter().map(|window| window.bytes() - MIN).sum();
                prop_assert_eq!(held + windows.spare(), BUDGET);
                prop_assert!(all.iter().all(|window| (MIN..=MAX).contains(&window.bytes())));
            }
        }
    }
}
