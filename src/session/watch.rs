//! A watch stream: the heads of rooms that are not joined, coalesced.

use std::{convert::Infallible, future::Future};

use bytes::Bytes;
use loquic_wire::{
    frame::put_frame,
    watch::{Head, Watch},
};
use tokio::time::sleep;

use super::{
    auth::Action,
    context::{Context, forbidden},
    state::unexpected,
    stream::{Ending, Frames, Stream},
};
use crate::{
    config::limits,
    room::Watcher,
    transport::{Link, RecvStream, SendStream},
};

/// Serves a stream that began with `Watch`, until it ends.
pub(super) async fn serve<L: Link>(context: &Context<L>, watch: Watch, stream: &mut Stream<L>) -> Ending {
    let watcher = match Box::pin(start(context, &watch)).await {
        Ok(watcher) => watcher,
        Err(ending) => return ending,
    };
    context.begin_watch(&watch);
    let ended = run(context, &watch, watcher, stream).await;
    context.end_watch(&watch);
    match ended {
        Ok(never) => match never {},
        Err(ending) => ending,
    }
}

async fn start<L: Link>(context: &Context<L>, watch: &Watch) -> Result<Watcher, Ending> {
    check(context, watch)?;
    Ok(context.shared.rooms.watch(&context.principal.tenant, watch).await?)
}

fn check<L: Link>(context: &Context<L>, watch: &Watch) -> Result<(), Ending> {
    match watch {
        Watch::Rooms(rooms) => rooms.iter().try_for_each(|room| context.check(Action::Watch, room)),
        Watch::Prefix(prefix) if context.permissions().may_watch_prefix(prefix) => Ok(()),
        Watch::Prefix(prefix) => Err(forbidden(prefix)),
    }
}

/// Says what moved, then rests, so that a busy room costs a frame per interval.
async fn run<L: Link>(
    context: &Context<L>,
    what: &Watch,
    mut watcher: Watcher,
    stream: &mut Stream<L>,
) -> Result<Infallible, Ending> {
    let Stream { send, frames } = stream;
    loop {
        let heads = unless_ended(frames, watcher.next()).await?;
        let heads = heads.map_err(|code| Ending::refuse(code, "the watch is over"))?;
        // A new token may allow less.
        check(context, what)?;
        let written = unless_ended(frames, send.write_all_chunks(&mut [encode(&heads)])).await;
        // Ending here could end the stream inside a frame.
        written.map_err(|ending| if ending == Ending::Finish { Ending::Abandon } else { ending })??;
        unless_ended(frames, sleep(limits::WATCH_INTERVAL)).await?;
    }
}

/// What `future` comes to, unless the peer ends the stream first; it has nothing else to say here.
async fn unless_ended<R: RecvStream, F: Future>(frames: &mut Frames<R>, future: F) -> Result<F::Output, Ending> {
    tokio::select! {
        // The end first, so that a stream that is done writes no more.
        biased;
        frame = frames.next() => Err(match frame? {
            None => Ending::Finish,
            Some(frame) => unexpected(&frame, "on a watch stream").into(),
        }),
        output = future => Ok(output),
    }
}

fn encode(heads: &[Head]) -> Bytes {
    let mut out = Vec::with_capacity(64 * heads.len());
    heads.iter().for_each(|head| put_frame(&mut out, head));
    out.into()
}
