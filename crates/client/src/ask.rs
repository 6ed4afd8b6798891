//! Questions with a stream of their own, which change nothing: they are asked again when the connection ends under
//! them.

use std::{future::Future, sync::Arc};

use loquic_wire::code::Action;
use tokio::time::sleep;

use crate::{backoff::Jitter, core::Core, error::Error, session::Session};

/// The first frame of such a stream.
pub(crate) trait Question: Sync {
    type Answer: Send;

    /// Asks once, in one session.
    fn ask(&self, session: &Session) -> impl Future<Output = Result<Self::Answer, Error>> + Send;
}

/// Attempts before a refusal that may pass is handed to the caller.
const ATTEMPTS_MAX: u32 = 5;

/// Asks until there is an answer, or a refusal that does not pass.
pub(crate) async fn ask<Q: Question>(core: &Core, question: &Q) -> Result<Q::Answer, Error> {
    let mut last: Option<Arc<Session>> = None;
    let mut jitter = Jitter::new();
    let mut attempt = 0;
    loop {
        let session = core.session(last.as_deref()).await?;
        let error = match question.ask(&session).await {
            Ok(answer) => return Ok(answer),
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
