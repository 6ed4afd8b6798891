//! Where a reader is in a room: the position to resume from, what is a duplicate, and how much more the server may
//! send. Pure: frames go in, events come out.

use loquic_wire::{
    Epoch, Offset, Position, Record, RoomName,
    control::Refused,
    frame::Body,
    join::{self, CaughtUp, From, Gap, GapReason, Join, Joined, Left, Mode, PresenceLevel, Reset},
    limits,
};

use crate::{
    error::Error,
    event::Event,
    frames::{Frames, Header, Senders},
    presence::{Presence, Roll},
};

/// One subscription over all the streams that carry it, one after the other.
///
/// Invariant: everything up to `position` has been handed out or reported missing, and nothing behind it.
#[derive(Debug)]
pub(crate) struct Subscription {
    room: RoomName,
    start: From,
    mode: Mode,
    position: Option<Position>,
    /// What `Joined` said on this stream; `None` before. The epoch moves with a `Reset`.
    joined: Option<Joined>,
    /// Nothing has come behind a `Reset`: what is not held any more need not be announced there.
    is_reset: bool,
    senders: Senders,
    level: PresenceLevel,
    roll: Roll,
}

/// Events for the application, and what the frames they came in cost of the credit.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The epoch that the records belong to, up to a `Reset` among the events.
    pub(crate) epoch: Epoch,
    pub(crate) events: Vec<Event>,
    pub(crate) bytes: u64,
    /// Who is there, if that has changed. Not an event yet: only the newest becomes one.
    pub(crate) presence: Option<Presence>,
}

/// The server ended the stream and said why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Refused(Refused),
    Left(Left),
}

impl Subscription {
    pub(crate) fn new(room: RoomName, start: From, mode: Mode) -> Self {
        let position = if let From::After(position) = start { Some(position) } else { None };
        let (senders, level, roll) = (Senders::default(), PresenceLevel::None, Roll::default());
        Self { room, start, mode, position, joined: None, is_reset: false, senders, level, roll }
    }

    /// Asks for who is there, too.
    pub(crate) fn presence(self, level: PresenceLevel) -> Self {
        Self { level, ..self }
    }

    pub(crate) fn room(&self) -> &RoomName {
        &self.room
    }

    /// The first frame of the next stream.
    pub(crate) fn join(&mut self, credit: u64) -> Join {
        self.joined = None;
        self.is_reset = false;
        self.roll.begin();
        let from = self.position.map_or(self.start, From::After);
        Join { room: self.room.clone(), from, mode: self.mode, credit, presence: self.level }
    }

    /// What the server said when it let us in; `None` if it has not done so on this stream.
    pub(crate) fn joined(&self) -> Option<&Joined> {
        self.joined.as_ref()
    }

    /// Takes what came on the stream.
    pub(crate) fn handle(&mut self, frames: &mut Frames) -> Result<(Batch, Option<Ending>), Error> {
        let mut batch = Batch { epoch: self.epoch().unwrap_or_default(), ..Batch::default() };
        while let Some(Header { kind, size }) = frames.next()? {
            if kind == Record::KIND {
                if batch.events.capacity() == 0 {
                    batch.events.reserve_exact(1 + frames.remaining() / size);
                }
                let record = frames.record(&mut self.senders)?;
                batch.bytes += size as u64;
                if let Some(gap) = self.gap_behind_reset(record.offset) {
                    batch.events.push(Event::Gap(gap));
                }
                if self.advance(record.offset, record.offset)? {
                    batch.events.push(Event::Record(record));
                }
            } else if let Some(ending) = self.handle_other(kind, frames, &mut batch)? {
                return Ok((batch, Some(ending)));
            }
        }
        Ok((batch, None))
    }

    fn handle_other(&mut self, kind: u16, frames: &mut Frames, batch: &mut Batch) -> Result<Option<Ending>, Error> {
        match kind {
            Joined::KIND => {
                self.handle_joined(frames.body()?)?;
                batch.epoch = self.epoch()?;
            }
            Gap::KIND => {
                let gap: Gap = frames.body()?;
                let from = self.next_offset().map_or(gap.from, |next| next.max(gap.from));
                if self.advance(gap.from, gap.to)? {
                    batch.events.push(Event::Gap(Gap { from, ..gap }));
                }
            }
            Reset::KIND => {
                let reset: Reset = frames.body()?;
                let joined = self.joined.as_mut().ok_or_else(before_joined)?;
                joined.epoch = reset.epoch;
                self.position = Some(Position { epoch: reset.epoch, offset: reset.valid_to });
                self.is_reset = true;
                batch.events.push(Event::Reset(reset));
            }
            CaughtUp::KIND => {
                let caught_up: CaughtUp = frames.body()?;
                self.handle_caught_up(caught_up.head)?;
                batch.events.push(Event::CaughtUp(caught_up));
            }
            join::Presence::KIND => {
                if let Some(presence) = self.roll.handle(frames.body()?)? {
                    batch.presence = Some(presence);
                }
            }
            Left::KIND => return Ok(Some(Ending::Left(frames.body()?))),
            Refused::KIND => return Ok(Some(Ending::Refused(frames.body()?))),
            _ => {}
        }
        Ok(None)
    }

    /// A position is kept in the epoch it was seen in until the first frame in the new one: a `Reset` may still be on
    /// its way, and the old offset in the new epoch would name records that were never seen.
    fn handle_joined(&mut self, joined: Joined) -> Result<(), Error> {
        if self.position.is_none() && self.start == From::Live {
            self.position = Some(Position { epoch: joined.epoch, offset: joined.head });
        }
        if self.joined.replace(joined).is_some() {
            return Err(Error::protocol("a second Joined"));
        }
        Ok(())
    }

    /// Nothing was held up to `head` that has not come, so a later resume starts there, also where no record came.
    fn handle_caught_up(&mut self, head: Offset) -> Result<(), Error> {
        let epoch = self.epoch()?;
        let offset = self.position.map_or(head, |position| position.offset.max(head));
        self.position = Some(Position { epoch, offset });
        Ok(())
    }

    /// Behind a `Reset` the server may go on at the floor without a word. The application gets one.
    fn gap_behind_reset(&mut self, offset: Offset) -> Option<Gap> {
        if !std::mem::take(&mut self.is_reset) {
            return None;
        }
        let position = self.position.as_mut().filter(|position| offset > position.offset.next())?;
        let gap = Gap { from: position.offset.next(), to: offset.previous(), reason: GapReason::Retention };
        position.offset = gap.to;
        Some(gap)
    }

    /// Moves over `from..=to`; `false` if all of that was known before.
    fn advance(&mut self, from: Offset, to: Offset) -> Result<bool, Error> {
        let epoch = self.epoch()?;
        if let Some(position) = self.position {
            if to <= position.offset {
                return Ok(false);
            }
            if from > position.offset.next() {
                return Err(Error::protocol(format_args!("offset {from} came after {}", position.offset)));
            }
        }
        self.position = Some(Position { epoch, offset: to });
        self.is_reset = false;
        Ok(true)
    }

    fn next_offset(&self) -> Option<Offset> {
        self.position.map(|position| position.offset.next())
    }

    fn epoch(&self) -> Result<Epoch, Error> {
        self.joined.as_ref().map(|joined| joined.epoch).ok_or_else(before_joined)
    }
}

fn before_joined() -> Error {
    Error::protocol("a frame before Joined")
}

/// The bytes of records that may be on their way to the application.
///
/// Invariant: what the server may still send, `queued` and `taken` make up `window` together.
#[derive(Debug)]
pub(crate) struct Credit {
    window: u64,
    /// Come, but not taken by the application.
    queued: u64,
    /// Taken, but not yet granted again.
    taken: u64,
}

impl Credit {
    pub(crate) fn new(window: u64) -> Self {
        Self { window: window.max(WINDOW_MIN), queued: 0, taken: 0 }
    }

    /// What the next stream is opened with; `None` while the application has too much that it has not taken.
    pub(crate) fn join(&mut self) -> Option<u64> {
        let free = self.window - self.queued.min(self.window);
        if free < limits::CREDIT_BYTES_MIN {
            return None;
        }
        self.taken = 0;
        Some(free)
    }

    pub(crate) fn queue(&mut self, bytes: u64) {
        self.queued += bytes;
    }

    /// The application has taken this; says whether a grant is due.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        self.queued = self.queued.saturating_sub(bytes);
        self.taken += bytes;
        self.taken >= self.window / 2
    }

    /// What to grant now: one frame for half a window and not one for each record.
    pub(crate) fn grant(&mut self) -> Option<u64> {
        (self.taken >= self.window / 2).then(|| std::mem::take(&mut self.taken))
    }
}

/// While less than half is granted again, the other half must hold the largest record, or both sides wait for ever.
pub(crate) const WINDOW_MIN: u64 = 2 * limits::CREDIT_BYTES_MIN;
const _: () = assert!(WINDOW_MIN / 2 > limits::PAYLOAD_FRAME_BODY_MAX as u64 + 6);

#[cfg(test)]
#[path = "subscription_tests.rs"]
mod tests;
