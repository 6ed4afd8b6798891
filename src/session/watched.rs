//! A stream of events that is polled only after it has asked for it.
//!
//! A task that waits for two things polls both whenever either wakes it. Looking for a peer's frames takes the
//! connection's lock and two look-ups there, as much as the rest of a delivery costs a join stream (0.6 of 1.4 us), and
//! nearly every wake-up is for records.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::{Stream, task::AtomicWaker};

/// A stream that is left alone until it wakes its task.
pub(super) struct Watched<S> {
    stream: S,
    bell: Arc<Bell>,
    /// Rings the bell; what the stream is polled with.
    waker: Waker,
}

#[derive(Default)]
struct Bell {
    /// The stream may have something.
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { stream, waker: bell.clone().into(), bell }
    }
}

impl<S: Stream + Unpin> Stream for Watched<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        // In this order: a ring that comes before the look at it is seen here, a later one wakes the task.
        self.bell.task.register(context.waker());
        if !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let Self { stream, bell, waker } = &mut *self;
        let polled = Pin::new(stream).poll_next(&mut Context::from_waker(waker));
        if polled.is_ready() {
            // It has promised no call for what comes next.
            bell.rung.store(true, Ordering::Relaxed);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::{FutureExt, StreamExt, channel::mpsc, stream::poll_fn};

    use super::*;

    #[tokio::test]
    async fn it_is_polled_only_when_something_may_be_there() {
        let (sender, mut receiver) = mpsc::unbounded();
        let polls = AtomicUsize::new(0);
        let counted = poll_fn(|context| {
            polls.fetch_add(1, Ordering::Relaxed);
            receiver.poll_next_unpin(context)
        });
        let mut watched = Watched::new(counted);
        for _ in 0..3 {
            assert_eq!(watched.next().now_or_never(), None);
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        sender.unbounded_send(1).unwrap();
        sender.unbounded_send(2).unwrap();
        assert_eq!((watched.next().await, watched.next().await), (Some(1), Some(2)));
        assert_eq!(watched.next().now_or_never(), None);
        assert_eq!(polls.load(Ordering::Relaxed), 4);
        drop(sender);
        assert_eq!(watched.next().await, None);
    }

    #[tokio::test]
    async fn it_wakes_the_task_that_waits_now() {
        let (sender, receiver) = mpsc::unbounded();
        let mut watched = Watched::new(receiver);
        assert_eq!(watched.next().now_or_never(), None);
        let waiting = tokio::spawn(async move { watched.next().await });
        tokio::task::yield_now().await;
        sender.unbounded_send(1).unwrap();
        assert_eq!(waiting.await.unwrap(), Some(1));
    }
}
