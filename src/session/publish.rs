//! A publish stream: publishes up, answers down, both pipelined.

use bytes::Bytes;
use loquic_wire::{
    Code, Frame, Kind,
    frame::put_frame,
    publish::{Open, Opened, Publish},
};

use super::{
    auth::Action,
    context::Context,
    state::{Fault, unexpected},
    stats::Stats,
    stream::{Ending, FramesError, Stream, priority, write},
};
use crate::{
    room::{Answer, ProducerKey, Publisher},
    transport::{Link, SendStream as _},
};

/// Pieces of a stream taken at once, each of up to a packet: about 90 KB, so that one turn takes many small publishes.
const PIECES: usize = 64;

/// Serves a stream that began with `Open`, until it ends.
pub(super) async fn serve<L: Link>(context: &Context<L>, open: Open, stream: &mut Stream<L>) -> Ending {
    let result = match Box::pin(start(context, open, stream)).await {
        Ok(publisher) => run(context, publisher, stream).await,
        Err(ending) => Err(ending),
    };
    match result {
        Ok(()) => Ending::Finish,
        Err(ending) => ending,
    }
}

/// Opens the producer and says so.
async fn start<L: Link>(context: &Context<L>, open: Open, stream: &mut Stream<L>) -> Result<Publisher, Ending> {
    context.check(Action::Publish, &open.room)?;
    let rooms = &context.shared.rooms;
    let room = rooms.attach(&context.key(&open.room)).await?;
    let producer = ProducerKey { user: context.principal.user.clone(), producer: open.producer };
    let publisher = rooms.open_producer(&room, producer).await?;
    stream.send.set_priority(priority::PUBLISH);
    let opened = Opened { last_id: publisher.last_id(), in_flight_max: context.shared.config.in_flight_max };
    write(&mut stream.send, &opened).await?;
    Ok(publisher)
}

/// Takes publishes and answers them until the peer has ended its half and everything is answered.
async fn run<L: Link>(context: &Context<L>, mut publisher: Publisher, stream: &mut Stream<L>) -> Result<(), Ending> {
    let (stats, in_flight_max) = (context.shared.stats(), context.shared.config.in_flight_max);
    let Stream { send, frames } = stream;
    let mut pieces = vec![Bytes::new(); PIECES];
    let mut is_read = true;
    while is_read || publisher.in_flight() > 0 {
        let may_read = is_read && !publisher.is_paused() && publisher.in_flight() < in_flight_max;
        let mut batch = Batch::new(in_flight_max.saturating_sub(publisher.in_flight()));
        tokio::select! {
            // Answers first: a publisher waits for them, and they make room for what is read.
            biased;
            answers = publisher.next() => match answers {
                // While the write waits nothing is read: a peer that does not take its answers sends no more.
                Ok(answers) => context.write_all_ahead(send, &mut [encode(stats, &answers)]).await?,
                Err(code) => return Err(Ending::refuse(code, "the publisher is closed")),
            },
            read = frames.read(&mut pieces, |frame| batch.take(frame)), if may_read => {
                is_read = handle_read(read)?;
                let publishes = batch.finish()?;
                stats.note_publishes(publishes.len());
                if !publishes.is_empty() {
                    // Asked for each time: a new token may allow less than that with which the stream was opened.
                    context.check(Action::Publish, publisher.room())?;
                    if publishes.iter().any(|publish| publish.kind == Kind::DELETE) {
                        publisher.set_moderates(context.check(Action::Moderate, publisher.room()).is_ok());
                    }
                    publisher.offer(publishes);
                }
            }
        }
    }
    Ok(())
}

/// Whether the stream goes on. A peer that resets its half in place of ending it does not want answers.
fn handle_read(read: Result<bool, FramesError>) -> Result<bool, Ending> {
    read.map_err(Ending::from)
}

/// The publishes of one read.
struct Batch {
    publishes: Vec<Publish>,
    count_max: u32,
    error: Option<Ending>,
}

impl Batch {
    fn new(count_max: u32) -> Self {
        Self { publishes: Vec::new(), count_max, error: None }
    }

    fn take(&mut self, frame: Frame) {
        if self.error.is_some() {
            return;
        }
        match frame {
            Frame::Publish(_) if self.publishes.len() >= self.count_max as usize => {
                self.error = Some(Ending::refuse(Code::FLOW_CONTROL, "more publishes in flight than allowed"));
            }
            Frame::Publish(publish) => self.publishes.push(publish),
            frame => self.error = Some(Fault::into(unexpected(&frame, "on a publish stream"))),
        }
    }

    fn finish(self) -> Result<Vec<Publish>, Ending> {
        self.error.map_or(Ok(self.publishes), Err)
    }
}

fn encode(stats: &Stats, answers: &[Answer]) -> Bytes {
    let mut out = Vec::with_capacity(32 * answers.len());
    for answer in answers {
        stats.note_answer(answer);
        match answer {
            Answer::Ack(ack) => put_frame(&mut out, ack),
            Answer::AckRun(run) => put_frame(&mut out, run),
            Answer::Nack(nack) => put_frame(&mut out, nack),
        }
    }
    out.into()
}
