//! Reading a part of a room's log once.

use loquic_wire::{
    Epoch, Offset, Record, RoomName,
    code::Action,
    control::Refused,
    frame::Body,
    join::Gap,
    limits,
    read::{Range, Read, ReadEnd, ReadHead},
};
use tokio::time::sleep;

use crate::{
    backoff::Jitter,
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

/// Attempts before a refusal that may pass is handed to the caller.
const ATTEMPTS_MAX: u32 = 5;

/// Reads, and tries again when the connection ends under it: reading changes nothing.
pub(crate) async fn read(core: &Core, room: RoomName, range: Range, limit: u32) -> Result<History, Error> {
    let read = Read { room, range, limit: limit.clamp(1, limits::READ_RECORDS_MAX) };
    let mut last: Option<std::sync::Arc<Session>> = None;
    let mut jitter = Jitter::new();
    let mut attempt = 0;
    loop {
        let session = core.session(last.as_deref()).await?;
        let error = match read_once(&session, &read).await {
            Ok(history) => return Ok(history),
            Err(error) => error,
        };
        session.close_if_broken(&error);
        if !session.link.is_closed() {
            attempt += 1;
            let passes =
                error.code().is_none_or(|code| !matches!(code.action(), Action::FixRequest | Action::Reauthenticate));
            if attempt == ATTEMPTS_MAX || !passes {
                return Err(error);
            }
            sleep(core.config.backoff.delay(attempt, error.retry_after().unwrap_or_default(), jitter.next())).await;
        }
        last = Some(session);
    }
}

async fn read_once(session: &Session, read: &Read) -> Result<History, Error> {
    let _permit = session.reads.acquire().await.map_err(|_| Error::Closed)?;
    let (mut sender, mut receiver) = stream::open(&*session.link, Priority::Bulk, read).await?;
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
