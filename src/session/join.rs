//! A join stream: one subscription, from a position in the log to the live end. The hot path of fan-out.
//!
//! One task per stream, woken by the room itself. It holds at most one page, so a slow reader costs no more than that,
//! and each write hands the room's own bytes to the transport.

use std::{
    future::{Future, pending, poll_fn},
    pin::pin,
    task::Poll,
};

use bytes::Bytes;
use futures::StreamExt;
use loquic_wire::{
    Code, Frame,
    frame::{Body, to_bytes},
    join::{From, Join, Joined, PresenceLevel},
    limits::NUMBER_MAX,
};
use tokio::task::yield_now;

use super::{
    auth::Action,
    context::Context,
    state::unexpected,
    stream::{Ending, FramesError, Stream, priority, write},
    watched::Watched,
};
use crate::{
    config::limits,
    presence::Follower,
    room::{Event, Reader},
    transport::{Link, SendStream, StreamError},
};

/// Serves a stream that began with `Join`, until it ends.
pub(super) async fn serve<L: Link>(context: &Context<L>, join: Join, stream: &mut Stream<L>) -> Ending {
    let (credit, presence, is_live) = (join.credit, join.presence, join.from == From::Live);
    // Boxed: attaching needs a large future for a moment, the subscription a small one for hours.
    let reader = match Box::pin(start(context, join, stream)).await {
        Ok(reader) => reader,
        Err(ending) => return ending,
    };
    let Stream { send, frames } = stream;
    let frames = pin!(frames.stream());
    let frames = Watched::new(frames);
    let room = reader.room().clone();
    let seat = context.sit_down(&room);
    let presence = seat.follow(presence).map(Box::new);
    let mut subscription =
        Subscription { context, send, frames, reader, presence, credit, is_live, end: None, unlooked_bytes: 0 };
    context.enter(&room);
    // It ends with the stream; a session that is over takes its context along.
    let ending = subscription.run().await;
    context.leave(&room);
    context.note_end();
    ending
}

/// Attaches and says so.
async fn start<L: Link>(context: &Context<L>, join: Join, stream: &mut Stream<L>) -> Result<Reader, Ending> {
    context.check(Action::Join, &join.room)?;
    if join.presence != PresenceLevel::None {
        context.check(Action::Presence, &join.room)?;
    }
    let room = context.shared.rooms.attach(&context.key(&join.room)).await?;
    let is_live = join.from == From::Live;
    let (mut reader, status) = room.reader(join.from, join.mode)?;
    reader.set_interrupt(context.interrupt());
    if is_live {
        stream.send.set_priority(priority::LIVE);
    }
    let joined = Joined { handle: room.handle(), epoch: status.epoch, head: status.head, floor: status.floor };
    write(&mut stream.send, &joined).await?;
    Ok(reader)
}

struct Subscription<'a, L: Link, F> {
    context: &'a Context<L>,
    send: &'a mut L::Send,
    /// What the peer sends. Most wake-ups are for records, and do not look here.
    frames: F,
    reader: Reader,
    /// Boxed, because few want it.
    presence: Option<Box<Follower>>,
    /// Bytes of records that may still be sent.
    credit: u64,
    /// Whether it goes before streams in catch-up.
    is_live: bool,
    /// Set when the peer's frames say that the stream has to end; what is being written is written first.
    end: Option<Code>,
    /// Bytes sent since the peer's frames were looked at.
    unlooked_bytes: u64,
}

impl<L: Link, F> Subscription<'_, L, F>
where
    F: futures::Stream<Item = Result<Frame, FramesError>> + Unpin,
{
    async fn run(&mut self) -> Ending {
        loop {
            match self.turn().await {
                Ok(()) => {}
                Err(ending) => return ending,
            }
        }
    }

    async fn turn(&mut self) -> Result<(), Ending> {
        self.reader.set_page_bytes(self.context.page_bytes());
        tokio::select! {
            // Records first: who has some to send does not wait. Frames are not starved: see `look`.
            biased;
            event = self.reader.next(self.credit) => self.handle_event(event).await,
            frame = self.frames.next() => {
                let frame = frame.ok_or(Ending::Leave(Code::DONE))??;
                self.handle_frame(frame)
            }
            page = news(&mut self.presence) => self.write_presence(page).await,
        }?;
        match self.end {
            Some(code) => Err(Ending::Leave(code)),
            None => Ok(()),
        }
    }

    async fn handle_event(&mut self, event: Event) -> Result<(), Ending> {
        match event {
            Event::Records { mut frames, bytes, count } => {
                debug_assert!(bytes <= self.credit);
                self.credit = self.credit.saturating_sub(bytes);
                let stats = self.context.shared.stats();
                stats.records_delivered.add(count);
                stats.bytes_delivered.add(bytes);
                if !self.write(&mut frames).await? {
                    self.context.speed_up(bytes);
                }
                self.look(bytes).await
            }
            Event::Gap(gap) => self.write_frame(&gap).await,
            Event::Reset(reset) => {
                self.set_live(false);
                self.write_frame(&reset).await
            }
            Event::CaughtUp(caught_up) => {
                self.set_live(true);
                self.write_frame(&caught_up).await
            }
            Event::Ephemerals(values) => {
                for said in self.context.send_datagrams(values) {
                    self.write_frame(&said.ephemeral).await?;
                }
                Ok(())
            }
            Event::Interrupted => {
                let is_allowed = self.context.check(Action::Join, &self.reader.room().key().room).is_ok();
                if is_allowed { Ok(()) } else { Err(Ending::Leave(Code::FORBIDDEN)) }
            }
            Event::Failed(code) => Err(Ending::Leave(code)),
        }
    }

    async fn write_presence(&mut self, page: Bytes) -> Result<(), Ending> {
        self.context.shared.stats().presence_delivered.increment();
        self.write(&mut [page]).await.map(drop)
    }

    fn set_live(&mut self, is_live: bool) {
        self.is_live = is_live;
        self.send.set_priority(if is_live { priority::LIVE } else { priority::CATCH_UP });
    }

    async fn write_frame<B: Body>(&mut self, body: &B) -> Result<(), Ending> {
        self.write(&mut [to_bytes(body)]).await.map(drop)
    }

    /// Writes everything and returns whether it had to wait. While it waits for the transport it goes on reading: a
    /// peer that leaves must not have to take the rest first, and credit must not fill the other direction's window.
    async fn write(&mut self, mut chunks: &mut [Bytes]) -> Result<bool, Ending> {
        let mut has_waited = false;
        loop {
            tokio::select! {
                // Nearly always there is room, and then nothing else is looked at.
                biased;
                written = write_some(self.context, self.send, chunks, self.is_live) => {
                    let (written, was_full) = written?;
                    chunks = &mut chunks[written..];
                    has_waited |= was_full;
                    if chunks.is_empty() {
                        return Ok(has_waited);
                    }
                    has_waited = true;
                    self.context.follow_path();
                }
                frame = self.frames.next(), if self.end.is_none() => {
                    // A peer that leaves in the middle of a page does not want the rest.
                    let frame = frame.ok_or(Ending::Abandon)??;
                    self.handle_frame(frame)?;
                }
            }
        }
    }

    /// Once per page: looks for frames although records are there, and lets other tasks have their turn.
    async fn look(&mut self, bytes: u64) -> Result<(), Ending> {
        // A small delivery counts as a packet, about what it costs.
        self.unlooked_bytes += bytes.max(1_200);
        if self.unlooked_bytes < limits::PAGE_BYTES_MAX as u64 {
            return Ok(());
        }
        self.unlooked_bytes = 0;
        while self.end.is_none() {
            let Some(frame) = if_ready(self.frames.next()).await else { break };
            let frame = frame.ok_or(Ending::Leave(Code::DONE))??;
            self.handle_frame(frame)?;
        }
        // A page for a page: who catches up for long hears of the others all the same.
        if let Some(page) = if_ready(news(&mut self.presence)).await {
            self.write_presence(page).await?;
        }
        yield_now().await;
        Ok(())
    }

    fn handle_frame(&mut self, frame: Frame) -> Result<(), Ending> {
        match frame {
            Frame::Credit(credit) => match self.credit.checked_add(credit.bytes) {
                Some(sum) if sum <= NUMBER_MAX => self.credit = sum,
                _ => self.end = Some(Code::FLOW_CONTROL),
            },
            Frame::Ephemeral(ephemeral) => self.context.say(self.reader.room(), ephemeral),
            Frame::Mark(mark) => {
                if !self.reader.room().mark(&self.context.principal.user, mark.offset) {
                    self.end = Some(Code::OVERLOADED);
                }
            }
            frame => return Err(unexpected(&frame, "on a join stream").into()),
        }
        Ok(())
    }
}

/// What is new of who is in the room, if that is wanted. Cancel-safe.
async fn news(presence: &mut Option<Box<Follower>>) -> Bytes {
    match presence {
        Some(follower) => follower.next().await,
        None => pending().await,
    }
}

/// Writes what fits. A live stream may go beyond a full send window, and then the second value is true.
async fn write_some<L: Link>(
    context: &Context<L>,
    send: &mut L::Send,
    chunks: &mut [Bytes],
    is_live: bool,
) -> Result<(usize, bool), StreamError> {
    if is_live {
        context.write_ahead(send, chunks).await
    } else {
        send.write_chunks(chunks).await.map(|written| (written, false))
    }
}

/// What a future has to say without waiting; the future must be cancel-safe.
async fn if_ready<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}
