//! The journal of a node that is alone: one thread, one write and one sync for everything that has arrived.
//!
//! While a sync runs, publishes gather; the next turn takes them all. That is the whole group commit. One thread is
//! enough: it is the disk that orders, and applying costs a small part of what delivering does (docs/DECISIONS.md).

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use loquic_wire::Time;
use tracing::{error, info, warn};

use super::{Applier, Refusing, Stats};
use crate::{
    config::limits,
    log::{MarkFile, Store, StoreError, disk},
};

/// Where work waits.
pub trait Source: Send + 'static {
    /// Waits until there is work, at most this long; `false` when the journal is to end and no work is left.
    fn wait(&mut self, at_most: Duration) -> bool;
}

/// What the thread needs to know.
pub struct Options {
    /// Where free space and the mark file are looked after; `None` in tests without a disk.
    pub directory: Option<PathBuf>,
    /// Free bytes below which publishes are refused.
    pub disk_free_min: u64,
    /// The mark file.
    pub mark: Option<MarkFile>,
    /// What the thread counts.
    pub stats: Arc<Stats>,
}

/// The running thread.
pub struct Local {
    thread: Option<thread::JoinHandle<Ended>>,
}

/// How the thread ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything that was applied is in the store and synced.
    Clean,
    /// Something may be missing.
    Unclean,
}

impl Local {
    /// Starts the thread.
    pub fn start<A: Applier, S: Source>(
        applier: A,
        source: S,
        store: Arc<dyn Store>,
        options: Options,
    ) -> std::io::Result<Self> {
        let mut turn = Turn { applier, store, options, refusing: None, poisoned: false, housekept: None };
        let mut source = source;
        let thread = thread::Builder::new().name("journal".into()).spawn(move || turn.run(&mut source))?;
        Ok(Self { thread: Some(thread) })
    }

    /// Waits for the thread after its source has ended.
    pub fn join(mut self) -> Ended {
        match self.thread.take().map(thread::JoinHandle::join) {
            Some(Ok(ended)) => ended,
            _ => Ended::Unclean,
        }
    }
}

struct Turn<A> {
    applier: A,
    store: Arc<dyn Store>,
    options: Options,
    refusing: Option<Refusing>,
    poisoned: bool,
    housekept: Option<Instant>,
}

impl<A: Applier> Turn<A> {
    fn run(&mut self, source: &mut impl Source) -> Ended {
        while source.wait(limits::HOUSEKEEPING_INTERVAL) {
            self.turn();
            if self.housekept.is_none_or(|at| at.elapsed() >= limits::HOUSEKEEPING_INTERVAL) {
                self.housekeep();
                self.housekept = Some(Instant::now());
            }
        }
        self.end()
    }

    fn turn(&mut self) {
        let applied = self.applier.apply(now());
        if applied.batch.is_empty() {
            self.applier.written();
            self.applier.synced();
            return;
        }
        crate::failpoint!("journal::before_write");
        if let Err(error) = self.store.write(&applied.batch) {
            return self.fail(&error);
        }
        self.applier.written();
        self.options.stats.add_batch(&applied.batch);
        if applied.sync {
            let begun = Instant::now();
            if let Err(error) = self.store.sync() {
                return self.fail(&error);
            }
            self.options.stats.syncs.add(begun.elapsed());
        }
        crate::failpoint!("journal::before_ack");
        self.applier.synced();
    }

    /// A write or a sync failed. A full disk can be waited out; after anything else nothing may be promised again,
    /// because a failed sync may have dropped what later syncs report as safe.
    fn fail(&mut self, failure: &StoreError) {
        let refusing = match failure {
            StoreError::Full(_) => Refusing::DiskFull,
            _ => Refusing::Poisoned,
        };
        error!(%failure, "the log refuses publishes; reads go on{}", match refusing {
            Refusing::DiskFull => ", publishes are taken again when the disk has room",
            Refusing::Poisoned => ", restart the node once the disk is in order",
        });
        self.poisoned = true;
        self.options.stats.failures.fetch_add(1, Ordering::Relaxed);
        self.refuse(Some(refusing));
        self.applier.failed(refusing);
    }

    fn refuse(&mut self, refusing: Option<Refusing>) {
        self.refusing = refusing;
        self.options.stats.set_refusing(refusing);
    }

    fn housekeep(&mut self) {
        self.watch_disk();
        let batch = self.applier.housekeep(now(), self.refusing);
        if self.refusing == Some(Refusing::Poisoned) || self.poisoned {
            return;
        }
        let written = if batch.is_empty() { Ok(()) } else { self.store.write(&batch) };
        // The mark says what was synced, so a sync comes before it; it costs nothing where nothing was written.
        if let Err(error) = written.and_then(|()| self.store.sync()) {
            return self.fail(&error);
        }
        self.applier.housekept();
        let applied = self.applier.applied();
        if let Some(mark) = &mut self.options.mark
            && let Err(error) = mark.update(&applied)
        {
            warn!(%error, "cannot write the mark file; a loss of synced records would go unnoticed");
        }
    }

    fn watch_disk(&mut self) {
        let Some(directory) = &self.options.directory else { return };
        let free = match disk::free_bytes(directory) {
            Ok(free) => free,
            Err(error) => return warn!(%error, "cannot tell how much room the disk has"),
        };
        let minimum = match self.poisoned {
            true => self.options.disk_free_min.max(limits::DISK_REOPEN_MIN),
            false => self.options.disk_free_min,
        };
        let low = free < minimum;
        match self.refusing {
            None if low => {
                warn!(free, minimum, "the disk is nearly full: publishes are refused, reads go on");
                self.refuse(Some(Refusing::DiskFull));
            }
            Some(Refusing::DiskFull) if !low => self.take_again(),
            _ => {}
        }
    }

    /// There is room again. If a write has failed meanwhile, the store is opened anew, because it stays in a state in
    /// which it refuses writes.
    fn take_again(&mut self) {
        if self.poisoned {
            let recovered = self.store.reopen().and_then(|()| {
                let batch = self.applier.recover(now())?;
                self.store.write(&batch)?;
                self.store.sync()
            });
            if let Err(failure) = recovered {
                return warn!(%failure, "the disk has room again, but the store does not open; trying again");
            }
            self.poisoned = false;
        }
        info!("the disk has room again: publishes are taken");
        self.refuse(None);
    }

    fn end(&mut self) -> Ended {
        if self.poisoned {
            return Ended::Unclean;
        }
        let batch = self.applier.housekeep(now(), self.refusing);
        let flushed = self.store.write(&batch).and_then(|()| self.store.flush());
        let marked = self.options.mark.as_mut().map_or(Ok(()), |mark| mark.update(&self.applier.applied()));
        match (flushed, marked) {
            (Ok(()), Ok(())) => Ended::Clean,
            (flushed, marked) => {
                warn!(?flushed, ?marked, "the log was not closed in good order; the next start opens a new epoch");
                Ended::Unclean
            }
        }
    }
}

/// The local clock.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::saturating(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
