//! One client connection, over any transport: its greeting, its streams, its end.
//!
//! [`run`] is the session's own task. It accepts streams, reads their first frames, gives each a task of its own, and
//! owns all of them; the control stream it serves itself. What may happen when is decided in `state`, without I/O.
//! Sessions know rooms and the [`Link`]; they know neither the log nor which transport carries them.

pub mod auth;
mod context;
mod control;
mod expiry;
mod greeting;
mod join;
mod publish;
mod rate;
mod read;
mod shared;
mod state;
mod stats;
mod stream;
#[cfg(test)]
mod tests;
mod watch;
mod watched;
mod who;
mod window;

use std::{collections::BTreeMap, future::pending, pin::Pin, sync::Arc};

use bytes::Bytes;
use loquic_wire::{Code, Frame, Offset, RoomName};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Sleep, sleep_until, timeout},
};
use tracing::{debug, error};

use self::{
    context::Context,
    control::{Answer, Control, Told, Unwritable},
    expiry::{Due, Expiry},
    shared::Place,
    state::{Fault, First, Purpose, Sort, State},
    stream::{Ending, Stream, conclude, refused, write},
};
pub use self::{
    shared::{Config, Drain, Shared, now},
    stats::{ByTransport, Counter, Stats, Tally},
};
use crate::{
    config::limits,
    transport::{Link, LinkError, SendStream},
};

/// Serves a link until it is closed. The caller owns the task; dropping it ends the session without a word.
pub async fn run<L: Link>(link: L, shared: Arc<Shared>) {
    let Some(place) = shared.admit() else {
        shared.stats().sessions_dropped.increment();
        link.close(Code::TOO_MANY_SESSIONS, "the node is full");
        return;
    };
    let transport = link.transport();
    shared.stats().sessions_opened.increment();
    shared.stats().sessions_by_transport.opened(transport);
    let state = State::new(&shared.config.session);
    let session = Session {
        link,
        shared: shared.clone(),
        place,
        state,
        tasks: JoinSet::new(),
        parked: Vec::new(),
        context: None,
        expiry: Expiry::never(),
    };
    session.run().await;
    shared.stats().sessions_closed.increment();
    shared.stats().sessions_by_transport.closed(transport);
}

struct Session<L: Link> {
    link: L,
    shared: Arc<Shared>,
    place: Place,
    state: State,
    /// One for each stream but the control stream, and one for a request that is being answered.
    tasks: JoinSet<Outcome<L>>,
    /// Wait for the welcome; at most `limits::STREAMS_PARKED_MAX`.
    parked: Vec<(Purpose, Stream<L>)>,
    /// There from the welcome on.
    context: Option<Arc<Context<L>>>,
    /// Of the token.
    expiry: Expiry,
}

/// What a task of the session comes to.
enum Outcome<L: Link> {
    /// A stream's first frame is there.
    First(Box<Frame>, Stream<L>),
    /// A stream is done with; its last words are written.
    Ended(Option<Sort>, Ending, Stream<L>),
    /// A request on the control stream is answered.
    Answered(Answer),
    /// Nothing comes any more on a stream that was done with before.
    Drained,
}

/// Why a session ends.
enum End<L: Link> {
    /// The peer has closed the link, or said that it will, or does not listen: nothing is left to say.
    Gone,
    /// The peer is told on the control stream.
    Close(Fault, Box<Control<L>>),
    /// The peer is told on the control stream, as the answer to its `Hello`.
    Refuse(Box<loquic_wire::control::Refused>, Box<Control<L>>),
    /// There is no control stream: the peer is told on the stream that is at fault, if there is one.
    Unheard(Fault, Option<Box<Stream<L>>>),
}

/// What the session's task waits for.
enum Step<L: Link> {
    Task(Result<Outcome<L>, JoinError>),
    Control(Result<Option<Frame>, stream::FramesError>),
    Accepted(Result<(L::Send, L::Recv), LinkError>),
    Datagram(Result<Bytes, LinkError>),
    /// Read marks of the user have moved.
    Marked(BTreeMap<RoomName, Offset>),
    Drain,
    Deadline,
    Expiry(Due),
}

/// What ends the session when a step is done.
enum Stop {
    Gone,
    Fault(Fault),
}

impl From<Unwritable> for Stop {
    fn from(_: Unwritable) -> Self {
        Self::Gone
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Told> for Result<(), Stop> {
    fn from(told: Told) -> Self {
        match told {
            Told::Done => Ok(()),
            Told::Bye => Err(Stop::Gone),
            Told::Fault(fault) => Err(Stop::Fault(fault)),
        }
    }
}

impl<L: Link> Session<L> {
    async fn run(mut self) {
        let end = match Box::pin(self.greet()).await {
            Ok(mut control) => match self.serve(&mut control).await {
                Stop::Gone => End::Gone,
                Stop::Fault(fault) => End::Close(fault, control),
            },
            Err(end) => end,
        };
        Box::pin(self.close(end)).await;
    }

    /// From the welcome to the end.
    async fn serve(&mut self, control: &mut Control<L>) -> Stop {
        let mut drain = self.shared.drain_watch();
        // A drain that began before this watch did is news as well.
        drain.mark_changed();
        let mut deadline: Option<Pin<Box<Sleep>>> = None;
        let context = self.context.clone();
        loop {
            let step = tokio::select! {
                // What has ended makes room for what comes; the control stream goes before new streams.
                biased;
                Some(result) = self.tasks.join_next(), if !self.tasks.is_empty() => Step::Task(result),
                frame = control.next() => Step::Control(frame),
                accepted = self.link.accept() => Step::Accepted(accepted),
                datagram = self.link.receive_datagram() => Step::Datagram(datagram),
                Ok(()) = drain.changed() => Step::Drain,
                marks = marked(context.as_deref()) => Step::Marked(marks),
                () = reached(&mut deadline) => Step::Deadline,
                due = self.expiry.next() => Step::Expiry(due),
            };
            let result = match step {
                Step::Drain => {
                    let news = drain.borrow_and_update().clone();
                    match news {
                        Some(drain) => {
                            deadline = Some(Box::pin(sleep_until(drain.deadline)));
                            control.goaway(&drain).await.map_err(Stop::from)
                        }
                        None => Ok(()),
                    }
                }
                step => self.handle(step, control).await,
            };
            if let Err(stop) = result {
                return stop;
            }
        }
    }

    async fn handle(&mut self, step: Step<L>, control: &mut Control<L>) -> Result<(), Stop> {
        match step {
            Step::Task(result) => match self.outcome(result)? {
                Outcome::First(frame, stream) => self.handle_first_frame(*frame, stream)?,
                Outcome::Ended(sort, ending, stream) => self.handle_ended(sort, ending, stream)?,
                Outcome::Drained => {}
                Outcome::Answered(answer) => {
                    if let Answer::Refreshed(Ok(refreshed)) = &answer {
                        self.expiry = Expiry::new(refreshed.expires_at, now());
                    }
                    Result::from(control.handle_answer(answer).await?)?;
                }
            },
            Step::Control(frame) => {
                if let (Ok(Some(Frame::Ping(_))), Some(context)) = (&frame, &self.context) {
                    context.rest();
                }
                Result::from(control.handle_frame(frame).await?)?;
            }
            Step::Marked(marks) => {
                for (room, offset) in marks {
                    if self.context.as_ref().is_some_and(|context| context.follows(&room)) {
                        control.marked(room, offset).await?;
                    }
                }
            }
            Step::Accepted(Ok(halves)) => self.handle_accepted(Stream::new(halves))?,
            Step::Datagram(Ok(datagram)) => {
                if let Some(context) = &self.context {
                    context.handle_datagram(datagram);
                }
            }
            Step::Accepted(Err(error)) | Step::Datagram(Err(error)) => {
                debug!(%error, "the link is gone");
                return Err(Stop::Gone);
            }
            Step::Deadline => return Err(Fault::new(Code::DRAINING, "the node stops").into()),
            Step::Expiry(Due::Soon(at)) => control.expiring(at).await?,
            Step::Expiry(Due::Over) => return Err(Fault::new(Code::TOKEN_EXPIRED, "the token has expired").into()),
            Step::Drain => {}
        }
        if let Some(streams_max) = self.state.poll_streams_max() {
            self.link.set_streams_max(streams_max);
        }
        if let (Some(context), Some(request)) = (&self.context, control.poll_request()) {
            let answer = control::answer(context.clone(), self.link.clone(), request);
            self.tasks.spawn(async move { Outcome::Answered(answer.await) });
        }
        Ok(())
    }

    fn outcome(&self, result: Result<Outcome<L>, JoinError>) -> Result<Outcome<L>, Fault> {
        result.map_err(|panic| {
            error!(%panic, "a stream's task panicked");
            Fault::new(Code::INTERNAL, "the server failed")
        })
    }

    fn handle_accepted(&mut self, stream: Stream<L>) -> Result<(), Fault> {
        self.state.handle_accepted()?;
        self.tasks.spawn(first_frame(stream));
        Ok(())
    }

    /// After the welcome; before, see `greeting`.
    fn handle_first_frame(&mut self, frame: Frame, stream: Stream<L>) -> Result<(), Fault> {
        let first = self.state.handle_first_frame(frame)?;
        self.handle_admitted(first, stream);
        Ok(())
    }

    fn handle_admitted(&mut self, first: First, mut stream: Stream<L>) {
        match (first, &self.context) {
            (First::Serve(purpose), Some(context)) => {
                self.shared.stats().streams_opened.increment();
                spawn(&mut self.tasks, context.clone(), purpose, stream);
            }
            // The other cases do not come after the welcome; they are refused rather than trusted.
            _ => {
                let refusal = Ending::refuse(Code::TOO_MANY_STREAMS, "too many streams of this sort");
                self.tasks.spawn(async move {
                    let ending = conclude(&mut stream.send, refusal).await;
                    Outcome::Ended(None, ending, stream)
                });
            }
        }
    }

    /// Counts first and ends the stream then: a peer that sees the end may open the next one.
    fn handle_ended(&mut self, sort: Option<Sort>, ending: Ending, mut stream: Stream<L>) -> Result<(), Fault> {
        self.state.handle_ended(sort);
        if sort.is_some() {
            self.shared.stats().streams_closed.increment();
        }
        match ending {
            Ending::Refuse(_) => {
                self.shared.stats().streams_refused.increment();
                self.end_first(stream);
            }
            Ending::Leave(_) => self.end_first(stream),
            Ending::Finish => stream.send.finish(),
            Ending::Abandon => stream.send.reset(Code::DONE),
            Ending::Fault(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Ends a stream that the peer may not have ended. What the peer still sends is dropped, rather than stopped at
    /// once: Firefox throws away what it has not read yet of a stream that is stopped, the reason for its end too.
    fn end_first(&mut self, Stream { mut send, mut frames }: Stream<L>) {
        send.finish();
        self.tasks.spawn(async move {
            let discard = frames.discard(limits::STREAM_DRAIN_BYTES_MAX);
            let _ = timeout(limits::STREAM_DRAIN_TIMEOUT, discard).await;
            Outcome::Drained
        });
    }

    /// Tells the peer, and gives it time to take that in: closing at once would throw away what is on its way.
    async fn close(mut self, end: End<L>) {
        let stats = self.shared.stats();
        let (code, heard, _keep) = match end {
            End::Gone => (Code::DONE, false, None),
            End::Close(fault, mut control) => {
                debug!(code = %fault.code, reason = %fault.reason, "the session is closed");
                if fault.code != Code::DRAINING {
                    stats.faults.increment();
                }
                (fault.code, control.close(&fault).await.is_ok(), Some(control))
            }
            End::Refuse(refused, mut control) => {
                debug!(code = %refused.code, reason = %refused.message, "the session is refused");
                (refused.code, control.refuse(&*refused).await.is_ok(), Some(control))
            }
            End::Unheard(fault, stream) => {
                debug!(code = %fault.code, reason = %fault.reason, "the session did not begin");
                stats.faults.increment();
                (fault.code, say(stream, &fault).await, None)
            }
        };
        self.parked.clear();
        if let Some(context) = &self.context {
            context.note_end();
        }
        self.tasks.shutdown().await;
        if heard && timeout(limits::CLOSING_TIMEOUT, self.link.closed()).await.is_err() {
            debug!("the peer did not close");
        }
        self.link.close(code, "");
    }
}

/// Tells a peer that has no control stream.
async fn say<L: Link>(stream: Option<Box<Stream<L>>>, fault: &Fault) -> bool {
    let Some(mut stream) = stream else { return false };
    let refused = refused(fault.code, fault.reason.as_ref(), fault.code.default_delay());
    let written = timeout(limits::CLOSING_TIMEOUT, write(&mut stream.send, &refused)).await;
    stream.send.finish();
    matches!(written, Ok(Ok(())))
}

/// Waits for a stream's first frame.
async fn first_frame<L: Link>(mut stream: Stream<L>) -> Outcome<L> {
    let ending = match timeout(limits::FIRST_FRAME_TIMEOUT, stream.frames.next()).await {
        Ok(Ok(Some(frame))) => return Outcome::First(Box::new(frame), stream),
        Ok(Ok(None)) => Ending::Finish,
        Ok(Err(error)) => error.into(),
        Err(_) => Ending::refuse(Code::STREAM_TIMEOUT, "the first frame did not come in time"),
    };
    let ending = conclude(&mut stream.send, ending).await;
    Outcome::Ended(None, ending, stream)
}

/// Serves a stream in a task of its own. Each purpose is a future of its own size, so that a join, of which there are
/// many, does not take the room of the largest.
fn spawn<L: Link>(tasks: &mut JoinSet<Outcome<L>>, context: Arc<Context<L>>, purpose: Purpose, mut stream: Stream<L>) {
    let sort = purpose.sort();
    macro_rules! serve {
        ($module:ident, $frame:ident) => {
            tasks.spawn(async move {
                let ending = $module::serve(&context, $frame, &mut stream).await;
                // The room is let go of before the peer hears of it.
                drop(context);
                let ending = conclude(&mut stream.send, ending).await;
                Outcome::Ended(Some(sort), ending, stream)
            })
        };
    }
    match purpose {
        Purpose::Join(join) => serve!(join, join),
        Purpose::Open(open) => serve!(publish, open),
        Purpose::Read(read) => serve!(read, read),
        Purpose::Watch(watch) => serve!(watch, watch),
        Purpose::Who(who) => serve!(who, who),
    };
}

/// The size of the task that serves a join over the link in memory.
#[cfg(test)]
fn join_task_bytes() -> usize {
    fn size<A, F: Future>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }
    type Memory = crate::transport::memory::Link;
    size(|(context, join, mut stream): (Arc<Context<Memory>>, loquic_wire::join::Join, Stream<Memory>)| async move {
        join::serve(&context, join, &mut stream).await
    })
}

async fn marked<L: Link>(context: Option<&Context<L>>) -> BTreeMap<RoomName, Offset> {
    match context {
        Some(context) => context.marked.next().await,
        None => pending().await,
    }
}

async fn reached(deadline: &mut Option<Pin<Box<Sleep>>>) {
    match deadline {
        Some(deadline) => deadline.as_mut().await,
        None => pending().await,
    }
}
