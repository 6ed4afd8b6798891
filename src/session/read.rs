//! A read stream: one bounded look into a room's log.

use bytes::Bytes;
use loquic_wire::{Code, frame::to_bytes, read::Read};

use super::{
    auth::Action,
    context::Context,
    stream::{Ending, Stream, write},
};
use crate::{
    config::limits,
    room::Event,
    transport::{Link, SendStream},
};

/// Serves a stream that began with `Read`. The peer's half is not looked at: a peer that wants no more stops the
/// stream, and that fails the next write.
pub(super) async fn serve<L: Link>(context: &Context<L>, read: Read, stream: &mut Stream<L>) -> Ending {
    match run(context, read, &mut stream.send).await {
        Ok(()) => Ending::Finish,
        Err(ending) => ending,
    }
}

async fn run<L: Link>(context: &Context<L>, read: Read, send: &mut L::Send) -> Result<(), Ending> {
    if read.limit == 0 {
        return Err(Ending::refuse(Code::BAD_FRAME, "a read of no records"));
    }
    context.check(Action::Read, &read.room)?;
    let room = context.shared.rooms.attach(&context.key(&read.room)).await?;
    let mut scan = room.scan(read.range, read.limit.min(limits::READ_RECORDS_MAX));
    write(send, &scan.head()).await?;
    while let Some(event) = scan.next(context.page_bytes()).await {
        match event {
            Event::Records { mut frames, bytes, .. } => {
                if !write_page(context, send, &mut frames).await? {
                    context.speed_up(bytes);
                }
            }
            Event::Gap(gap) => write(send, &gap).await?,
            Event::Failed(code) => return Err(Ending::refuse(code, "the log cannot be read")),
            // A scan does not follow the room.
            Event::Reset(_) | Event::CaughtUp(_) | Event::Ephemerals(_) | Event::Interrupted => {}
        }
    }
    send.write_all_chunks(&mut [to_bytes(&scan.end())]).await?;
    Ok(())
}

/// Returns whether it had to wait.
async fn write_page<L: Link>(
    context: &Context<L>,
    send: &mut L::Send,
    mut frames: &mut [Bytes],
) -> Result<bool, Ending> {
    let mut has_waited = false;
    while !frames.is_empty() {
        let written = send.write_chunks(frames).await?;
        frames = &mut frames[written..];
        if !frames.is_empty() {
            has_waited = true;
            context.follow_path();
        }
    }
    Ok(has_waited)
}
