//! A subscription: a position that walks the log. It reads the tail, or the store when it has fallen behind the tail,
//! and holds at most one page of records.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use loquic_wire::{
    Code, Offset, Record, Time,
    coding::{self, Decode},
    frame,
    join::{CaughtUp, From, Gap, GapReason, Mode, Reset},
};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::error;

use super::{
    Refusal, Status,
    ephemerals::Said,
    live::{Room, View},
    start::{Start, resolve},
    tail::Read,
};
use crate::{
    config::limits,
    log::{
        Space,
        reading::{self, Page, Part, ReadError},
    },
};

/// One thing that a subscription sends.
#[derive(Debug)]
pub enum Event {
    /// Encoded `Record` frames, to be written in order.
    Records {
        /// The frames; an entry holds one or more whole ones.
        frames: Vec<Bytes>,
        /// Their length together; at most the credit that was given.
        bytes: u64,
        /// How many records they are.
        count: u64,
    },
    /// Offsets that will not come.
    Gap(Gap),
    /// The position does not hold.
    Reset(Reset),
    /// The seam between what was there and what is live.
    CaughtUp(CaughtUp),
    /// What is true for a moment. Comes only while there are no records to send.
    Ephemerals(Vec<Arc<Said>>),
    /// What the reader was told to look out for has changed.
    Interrupted,
    /// The log cannot be read here any more; the subscription is over.
    Failed(Code),
}

/// Makes readers return [`Event::Interrupted`] once, soon: with their next event at the latest.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicU64>);

impl Interrupt {
    /// Interrupts every reader that looks out for it, at once if it is in one of these rooms.
    pub fn interrupt(&self, rooms: &[Arc<Room>]) {
        self.0.fetch_add(1, Ordering::Release);
        for room in rooms {
            room.changed.notify_waiters();
            room.retiring.notify_waiters();
        }
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The records in the frames of [`Event::Records`]. An error is a fault of the store or of ours: they were encoded
/// here.
pub fn records(frames: &[Bytes]) -> Result<Vec<Record>, Code> {
    let mut records = Vec::new();
    for frames in frames {
        let mut rest = frames.clone();
        while !rest.is_empty() {
            let sizes = frame::header(&rest).ok().flatten();
            let Some((header, body)) = sizes.filter(|(header, body)| header + body <= rest.len()) else {
                return Err(Code::LOG_CORRUPT);
            };
            let mut frame = rest.split_to(header + body);
            let body = &mut coding::Reader::new(frame.split_off(header));
            records.push(Record::decode(body).map_err(|_| Code::LOG_CORRUPT)?);
        }
    }
    Ok(records)
}

/// A subscription.
pub struct Reader {
    room: Arc<Room>,
    /// The next offset.
    next: Offset,
    /// Nothing behind this one is wanted.
    until: Offset,
    mode: Mode,
    /// Bytes of records that are read from the store at once.
    page_bytes: usize,
    reset: Option<Reset>,
    seek: Option<Time>,
    caught_up: bool,
    /// How many ephemerals of the room are behind it.
    heard: u64,
    /// What it looks out for, and how often that has come before.
    interrupt: Option<(Interrupt, u64)>,
    work: Work,
}

/// What a reader that is behind the tail has under way. Kept in the reader, so that dropping the future of `next`
/// loses nothing.
enum Work {
    Idle,
    Seeking(JoinHandle<Result<Offset, ReadError>>),
    Loading(JoinHandle<Result<Page, ReadError>>),
    /// Records from the store that come next; the first entry begins with `next`.
    Page(VecDeque<Part>),
}

/// What is to be done next.
enum Look {
    Event(Event),
    /// Wait until the room changes.
    Wait,
    /// Wait until there is credit.
    Starved,
    /// Read the store.
    Load(Space),
}

impl Reader {
    pub(super) fn new(room: Arc<Room>, from: From, mode: Mode) -> Result<(Self, Status), Refusal> {
        let (start, status, heard) = {
            let view = room.view.lock();
            view.check()?;
            (resolve(from, &view.row, &view.epochs)?, view.status(), view.ephemerals.said())
        };
        let mut reader = Self {
            room,
            next: Offset::FIRST,
            until: Offset::MAX,
            mode,
            page_bytes: limits::PAGE_BYTES_MAX,
            reset: None,
            seek: None,
            caught_up: false,
            heard,
            interrupt: None,
            work: Work::Idle,
        };
        match start {
            Start::At(offset) => reader.next = offset,
            Start::AtTime(time) => reader.seek = Some(time),
            Start::Reset(reset) => {
                reader.next = reset.valid_to.next();
                reader.reset = Some(reset);
            }
        }
        Ok((reader, status))
    }

    /// Only the records from `from` to `until`, without a seam.
    pub(super) fn between(room: Arc<Room>, from: Offset, until: Offset) -> Self {
        let (mode, caught_up, work) = (Mode::All, true, Work::Idle);
        let page_bytes = limits::PAGE_BYTES_MAX;
        let (reset, seek, heard, interrupt) = (None, None, 0, None);
        Self { room, next: from, until, mode, page_bytes, reset, seek, caught_up, heard, interrupt, work }
    }

    /// From now on looks out for this.
    pub fn set_interrupt(&mut self, interrupt: &Interrupt) {
        self.interrupt = Some((interrupt.clone(), interrupt.count()));
    }

    /// From now on about so many bytes of records are read from the store at once, one record at least.
    pub fn set_page_bytes(&mut self, bytes: usize) {
        self.page_bytes = bytes;
    }

    /// Waits for the next event: records of at most `credit` bytes and about a page. Pending for ever while only
    /// records are there that do not fit the credit.
    ///
    /// Cancel-safe: what is under way is kept in the reader.
    pub async fn next(&mut self, credit: u64) -> Event {
        loop {
            let room = self.room.clone();
            // Made before looking: from then on no change is missed.
            let changed = room.changed.notified();
            if self.seek.is_some() || matches!(self.work, Work::Seeking(_)) {
                if let Some(failed) = self.find().await {
                    return failed;
                }
                continue;
            }
            if matches!(self.work, Work::Loading(_)) {
                if let Some(event) = self.load().await {
                    return event;
                }
                continue;
            }
            match self.look(credit) {
                Look::Event(event) => return event,
                Look::Wait => changed.await,
                Look::Starved => self.starve().await,
                Look::Load(space) => self.begin(space),
            }
        }
    }

    /// Whether everything that was wanted has been taken.
    pub(super) fn is_done(&self) -> bool {
        self.next > self.until
    }

    /// The next offset.
    pub(super) fn position(&self) -> Offset {
        self.next
    }

    /// Whether the store is being read.
    #[cfg(test)]
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.work, Work::Seeking(_) | Work::Loading(_))
    }

    /// The room.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// How far the reader is behind the head.
    pub fn lag(&self) -> u64 {
        self.room.view.lock().row.head.next().since(self.next)
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.as_ref().is_some_and(|(interrupt, seen)| interrupt.count() != *seen)
    }

    fn look(&mut self, credit: u64) -> Look {
        if self.is_interrupted() {
            if let Some((interrupt, seen)) = &mut self.interrupt {
                *seen = interrupt.count();
            }
            return Look::Event(Event::Interrupted);
        }
        if let Some(reset) = self.reset.take() {
            self.caught_up = false;
            return Look::Event(Event::Reset(reset));
        }
        if matches!(self.work, Work::Page(_)) {
            return self.take_page(credit);
        }
        let room = self.room.clone();
        let view = room.view.lock();
        if let Some(code) = view.retired {
            return Look::Event(Event::Failed(code));
        }
        if self.next < view.row.floor {
            return self.gap(view.row.floor.previous(), GapReason::Retention);
        }
        if self.next > view.row.head {
            if self.caught_up {
                return self.listen(&view);
            }
            self.caught_up = true;
            return Look::Event(Event::CaughtUp(CaughtUp { head: view.row.head }));
        }
        self.take_tail(&view, credit)
    }

    fn take_tail(&mut self, view: &View, credit: u64) -> Look {
        match view.tail.read(self.next, self.until, credit, limits::PAGE_BYTES_MAX as u64) {
            Read::Frames { frames, bytes, next } => {
                let count = next.since(self.next);
                self.next = next;
                Look::Event(Event::Records { frames, bytes, count })
            }
            Read::AtEnd => self.listen(view),
            Read::TooLong => Look::Starved,
            Read::Evicted if self.mode == Mode::Latest => {
                self.gap(view.tail.start().previous().min(view.row.head), GapReason::Skipped)
            }
            Read::Evicted if credit == 0 => Look::Starved,
            Read::Evicted => match view.row.space_of(self.next) {
                Some(space) => Look::Load(space),
                None => self.gap(view.row.head, GapReason::Lost),
            },
        }
    }

    fn listen(&mut self, view: &View) -> Look {
        let news = view.ephemerals.since(self.heard);
        self.heard = view.ephemerals.said();
        if news.is_empty() { Look::Wait } else { Look::Event(Event::Ephemerals(news)) }
    }

    fn take_page(&mut self, credit: u64) -> Look {
        let Work::Page(page) = &mut self.work else { return Look::Wait };
        let (mut frames, mut bytes, start) = (Vec::new(), 0, self.next);
        while let Some(part) = page.front_mut() {
            let fits = (part.frames.len() as u64) <= credit - bytes && part.last <= self.until;
            if fits {
                bytes += part.frames.len() as u64;
                self.next = part.last.next();
                frames.extend(page.pop_front().map(|part| part.frames));
                continue;
            }
            let (piece, count) = reading::cut(&part.frames, credit - bytes, self.until.next().since(self.next));
            if count > 0 {
                bytes += piece.len() as u64;
                self.next = self.next.plus(count);
                part.frames = part.frames.slice(piece.len()..);
                frames.push(piece);
            }
            break;
        }
        if page.is_empty() || frames.is_empty() {
            // A reader without credit holds no records.
            self.work = Work::Idle;
        }
        if frames.is_empty() {
            return if self.is_done() { Look::Wait } else { Look::Starved };
        }
        Look::Event(Event::Records { frames, bytes, count: self.next.since(start) })
    }

    fn gap(&mut self, to: Offset, reason: GapReason) -> Look {
        let gap = Gap { from: self.next, to: to.min(self.until), reason };
        self.next = to.next();
        Look::Event(Event::Gap(gap))
    }

    /// Waits until the room is retired; what is held by then is given up.
    async fn starve(&self) {
        let retiring = self.room.retiring.notified();
        if self.room.view.lock().retired.is_none() && !self.is_interrupted() {
            retiring.await;
        }
    }

    fn begin(&mut self, space: Space) {
        let (room, next, bytes) = (self.room.clone(), self.next, self.page_bytes);
        self.work = Work::Loading(spawn_blocking(move || {
            let id = room.view.lock().row.id(room.slot);
            reading::page(&*room.context.store, id, space, next, bytes)
        }));
    }

    async fn load(&mut self) -> Option<Event> {
        let Work::Loading(task) = &mut self.work else { return None };
        let loaded = task.await;
        self.work = Work::Idle;
        match loaded {
            Ok(Ok(page)) if page.parts.is_empty() => self.hole(page.found),
            Ok(Ok(page)) => {
                self.work = Work::Page(page.parts);
                None
            }
            Ok(Err(error @ (ReadError::Chunk { last, .. } | ReadError::Unreadable { last, .. }))) => {
                error!(room = %self.room.key.room, %error, "a part of the log is damaged; its records are reported as lost");
                let held = self.room.view.lock().tail.start().previous();
                self.event(last.min(held).max(self.next), GapReason::Lost)
            }
            Ok(Err(error)) => {
                error!(room = %self.room.key.room, %error, "the log cannot be read");
                Some(Event::Failed(Code::INTERNAL))
            }
            Err(error) => {
                error!(room = %self.room.key.room, %error, "reading the log was cut short");
                Some(Event::Failed(Code::INTERNAL))
            }
        }
    }

    /// The store holds nothing at `next`. Either it was removed meanwhile, or it is lost.
    fn hole(&mut self, found: Option<Offset>) -> Option<Event> {
        let held = {
            let view = self.room.view.lock();
            if view.row.floor > self.next || view.tail.start() <= self.next {
                return None;
            }
            let later = view.row.segments.iter().map(|segment| segment.first).find(|first| *first > self.next);
            let tail = view.tail.start();
            [found, later, Some(tail)].into_iter().flatten().min().unwrap_or(tail)
        };
        error!(room = %self.room.key.room, from = %self.next, to = %held.previous(), "records are missing from the log");
        self.event(held.previous(), GapReason::Lost)
    }

    fn event(&mut self, to: Offset, reason: GapReason) -> Option<Event> {
        match self.gap(to, reason) {
            Look::Event(event) => Some(event),
            _ => None,
        }
    }

    async fn find(&mut self) -> Option<Event> {
        if let Some(time) = self.seek.take() {
            let room = self.room.clone();
            self.work = Work::Seeking(spawn_blocking(move || {
                let row = room.view.lock().row.clone();
                reading::offset_at_time(&*room.context.store, row.id(room.slot), &row, time)
            }));
        }
        let Work::Seeking(task) = &mut self.work else { return None };
        let found = task.await;
        self.work = Work::Idle;
        match found {
            Ok(Ok(offset)) => {
                self.next = offset;
                None
            }
            found => {
                error!(room = %self.room.key.room, ?found, "the log cannot be searched by time");
                Some(Event::Failed(Code::INTERNAL))
            }
        }
    }
}
