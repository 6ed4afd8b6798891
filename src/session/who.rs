//! A who stream: one page of who is in a room.

use loquic_wire::{Code, who::Who};

use super::{
    auth::Action,
    context::Context,
    stream::{Ending, Stream, write},
};
use crate::transport::Link;

/// Serves a stream that began with `Who`. The room need not be joined, nor be in memory.
pub(super) async fn serve<L: Link>(context: &Context<L>, who: Who, stream: &mut Stream<L>) -> Ending {
    if who.limit == 0 {
        return Ending::refuse(Code::BAD_FRAME, "a page of nobody");
    }
    if let Err(ending) = context.check(Action::Presence, &who.room) {
        return ending;
    }
    let members = context.shared.presence().members(&context.key(&who.room), who.after.as_ref(), who.limit);
    match write(&mut stream.send, &members).await {
        Ok(()) => Ending::Finish,
        Err(error) => error.into(),
    }
}
