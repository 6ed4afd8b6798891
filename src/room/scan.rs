//! One bounded look into a room's log, records ascending.

use std::sync::Arc;

use loquic_wire::{
    Offset,
    join::GapReason,
    read::{Range, ReadEnd, ReadHead},
};
use tokio::task::spawn_blocking;
use tracing::error;

use super::{
    live::Room,
    reader::{Event, Reader},
};
use crate::{config::limits, log::reading};

/// One bounded look into a room's log.
pub struct Scan {
    room: Arc<Room>,
    head: ReadHead,
    range: Range,
    limit: u32,
    reader: Option<Reader>,
    sent: (Offset, Offset),
    more: bool,
}

impl Scan {
    pub(super) fn new(room: Arc<Room>, range: Range, limit: u32) -> Self {
        let status = room.status();
        let head = ReadHead { epoch: status.epoch, floor: status.floor, head: status.head };
        let limit = limit.clamp(1, limits::READ_RECORDS_MAX);
        Self { room, head, range, limit, reader: None, sent: (Offset::ZERO, Offset::ZERO), more: false }
    }

    /// Where the room was when the look began.
    pub fn head(&self) -> ReadHead {
        self.head
    }

    /// The next records, of which at most `page_bytes` are read from the log at once, or gap; `None` at the end. Not
    /// cancel-safe.
    pub async fn next(&mut self, page_bytes: usize) -> Option<Event> {
        if self.reader.is_none() {
            self.begin().await;
        }
        let reader = self.reader.as_mut()?;
        if reader.is_done() {
            return None;
        }
        reader.set_page_bytes(page_bytes);
        let before = reader.position();
        let event = reader.next(u64::MAX).await;
        if let Event::Records { .. } = event {
            if self.sent.0 == Offset::ZERO {
                self.sent.0 = before;
            }
            self.sent.1 = reader.position().previous();
        }
        if let Event::Gap(gap) = event
            && gap.reason == GapReason::Retention
            && self.sent.0 == Offset::ZERO
        {
            // The limit counts records, and those are not.
            self.reader = None;
            self.range = restart(self.range, gap.to);
        }
        Some(event)
    }

    /// What was sent; to be asked after `next` has returned `None`.
    pub fn end(&self) -> ReadEnd {
        ReadEnd { first: self.sent.0, last: self.sent.1, more: self.more }
    }

    async fn begin(&mut self) {
        let (floor, head) = (self.head.floor, self.head.head);
        let limit = u64::from(self.limit);
        let forward = |from: Offset, end: Offset| {
            let until = from.max(floor).plus(limit - 1).min(end);
            (from, until, until < end)
        };
        let backward = |end: Offset| {
            let from = Offset::saturating(end.get().saturating_sub(limit)).next().max(floor);
            (from, end, from > floor && end >= floor)
        };
        let (from, until, more) = match self.range {
            Range::After(after) => forward(after.next(), head),
            Range::Between { after, before } => forward(after.next(), head.min(before.previous())),
            Range::Before(before) => backward(head.min(before.previous())),
            Range::Newest => backward(head),
            Range::Since(time) => {
                let room = self.room.clone();
                let found = spawn_blocking(move || {
                    let row = room.view.lock().row.clone();
                    reading::offset_at_time(&*room.context.store, row.id(room.slot), &row, time)
                });
                match found.await {
                    Ok(Ok(from)) => forward(from, head),
                    found => {
                        error!(room = %self.room.key().room, ?found, "the log cannot be searched by time");
                        (head.next(), head, false)
                    }
                }
            }
        };
        self.more = more;
        self.reader = Some(Reader::between(self.room.clone(), from, until));
    }
}

fn restart(range: Range, gone: Offset) -> Range {
    match range {
        Range::After(after) => Range::After(after.max(gone)),
        Range::Between { after, before } => Range::Between { after: after.max(gone), before },
        other => other,
    }
}
