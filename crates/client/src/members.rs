//! Asking who is in a room, a page at a time.

use loquic_wire::{
    RoomName, UserName,
    control::Refused,
    frame::Body,
    limits,
    who::{Members, Who},
};

use crate::{
    ask::{Question, ask},
    core::Core,
    error::Error,
    link::Priority,
    session::Session,
    stream,
};

/// Asks for at most `limit` users behind `after`.
pub(crate) async fn members(
    core: &Core,
    room: RoomName,
    after: Option<&UserName>,
    limit: u32,
) -> Result<Members, Error> {
    ask(core, &Who { room, after: after.cloned(), limit: limit.clamp(1, limits::WHO_MEMBERS_MAX) }).await
}

impl Question for Who {
    type Answer = Members;

    async fn ask(&self, session: &Session) -> Result<Members, Error> {
        let _permit = session.reads.acquire().await.map_err(|_| Error::Closed)?;
        let (mut sender, mut receiver) = stream::open(&*session.link, Priority::Bulk, self).await?;
        sender.finish();
        while let Some(mut frames) = receiver.read().await? {
            while let Some(header) = frames.next()? {
                match header.kind {
                    Members::KIND => return frames.body(),
                    Refused::KIND => return Err(frames.body::<Refused>()?.into()),
                    _ => {}
                }
            }
        }
        Err(Error::disconnected("the answer to a question ended early"))
    }
}
