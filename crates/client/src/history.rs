//! Reading a part of a room's log once.

use loquic_wire::{
    Epoch, Offset, Record, RoomName,
    control::Refused,
    frame::Body,
    join::Gap,
    limits,
    read::{Range, Read, ReadEnd, ReadHead},
};

use crate::{
    ask::{Question, ask},
    core::Core,
    error::Error,
    frames::{Frames, Header, Senders},
    link::Priority,
    session::Session,
    stream,
};

/// A part of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct History {
    /// The epoch that is being written.
    pub epoch: Epoch,
    /// The oldest offset held; head + 1 if none is.
    pub floor: Offset,
    /// The last offset, 0 if there is no record.
    pub head: Offset,
    /// The records, in ascending order.
    pub records: Vec<Record>,
    /// What of the range is not held any more.
    pub gaps: Vec<Gap>,
    /// Whether the range holds more than the limit let through.
    pub more: bool,
}

/// Reads, and tries again when the connection ends under it.
pub(crate) async fn read(core: &Core, room: RoomName, range: Range, limit: u32) -> Result<History, Error> {
    ask(core, &Read { room, range, limit: limit.clamp(1, limits::READ_RECORDS_MAX) }).await
}

impl Question for Read {
    type Answer = History;

    async fn ask(&self, session: &Session) -> Result<History, Error> {
        let _permit = session.reads.acquire().await.map_err(|_| Error::Closed)?;
        let (mut sender, mut receiver) = stream::open(&*session.link, Priority::Bulk, self).await?;
        sender.finish();
        let mut answer = Answer::default();
        while let Some(mut frames) = receiver.read().await? {
            answer.handle(&mut frames)?;
            if answer.end.is_some() {
                break;
            }
        }
        answer.finish()
    }
}

/// What has come of an answer.
#[derive(Default)]
struct Answer {
    head: Option<ReadHead>,
    records: Vec<Record>,
    gaps: Vec<Gap>,
    end: Option<ReadEnd>,
    senders: Senders,
}

impl Answer {
    fn handle(&mut self, frames: &mut Frames) -> Result<(), Error> {
        while let Some(Header { kind, .. }) = frames.next()? {
            match kind {
                Record::KIND => self.records.push(frames.record(&mut self.senders)?),
                Gap::KIND => self.gaps.push(frames.body()?),
                ReadHead::KIND => self.head = Some(frames.body()?),
                ReadEnd::KIND => self.end = Some(frames.body()?),
                Refused::KIND => return Err(frames.body::<Refused>()?.into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<History, Error> {
        let (Some(ReadHead { epoch, floor, head }), Some(end)) = (self.head, self.end) else {
            return Err(Error::disconnected("the answer to a read ended early"));
        };
        Ok(History { epoch, floor, head, records: self.records, gaps: self.gaps, more: end.more })
    }
}
