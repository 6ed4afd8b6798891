//! The greeting: from the first stream to `Welcome`, or to the end of a session that never began.

use loquic_wire::{Code, control::Hello};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::{
    End, Outcome, Session, Stream,
    context::Context,
    control::{Control, admit},
    expiry::Expiry,
    shared::now,
    state::{Fault, First},
    stream::{Ending, refused},
};
use crate::{room::Refusal, transport::Link};

impl<L: Link> Session<L> {
    /// Waits for `Hello`, answers it, and serves what was parked meanwhile.
    pub(super) async fn greet(&mut self) -> Result<Box<Control<L>>, End<L>> {
        let deadline = Instant::now() + self.shared.config.hello_timeout;
        let (hello, stream) = match timeout_at(deadline, self.hello()).await {
            Ok(result) => result?,
            Err(_) => return Err(self.nobody_spoke()),
        };
        let mut control = Box::new(Control::new(stream));
        if let Some(refused) = self.unavailable() {
            return Err(End::Refuse(Box::new(refused), control));
        }
        let admission = match admit(&self.shared, &self.link, &hello).await {
            Ok(admission) => admission,
            Err(Refusal { code, message }) => {
                self.shared.stats().sessions_refused_hello.increment();
                return Err(End::Refuse(Box::new(refused(code, message, code.default_delay())), control));
            }
        };
        let id = match control.welcome(&self.shared, &admission).await {
            Ok(Ok(id)) => id,
            Ok(Err(fault)) => return Err(End::Close(fault, control)),
            Err(_) => return Err(End::Gone),
        };
        debug!(principal = ?admission.principal, client = %hello.client, transport = self.link.transport(), "welcome");
        self.shared.stats().sessions_welcomed.increment();
        self.expiry = Expiry::new(admission.expires_at, now());
        let context = Context::new(self.shared.clone(), self.link.clone(), id, hello.previous, admission);
        control.enter(context.clone());
        self.context = Some(context);
        self.state.welcome();
        for (purpose, stream) in std::mem::take(&mut self.parked) {
            let first = self.state.unpark(purpose);
            self.handle_admitted(first, stream);
        }
        Ok(control)
    }

    /// Accepts streams until one of them says `Hello`.
    async fn hello(&mut self) -> Result<(Hello, Stream<L>), End<L>> {
        loop {
            tokio::select! {
                // First frames before further streams, which a flood of them must not hold up.
                biased;
                Some(result) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    match self.outcome(result).map_err(|fault| End::Unheard(fault, None))? {
                        Outcome::First(frame, stream) => match self.state.handle_first_frame(*frame) {
                            Ok(First::Greet(hello)) => return Ok((hello, stream)),
                            Ok(First::Park(purpose)) => self.parked.push((purpose, stream)),
                            Ok(first) => self.handle_admitted(first, stream),
                            Err(fault) => return Err(End::Unheard(fault, Some(Box::new(stream)))),
                        },
                        Outcome::Ended(sort, ending, stream) => self.handle_unheard(sort, ending, stream)?,
                        Outcome::Answered(_) | Outcome::Drained => {}
                    }
                }
                accepted = self.link.accept() => {
                    let stream = Stream::new(accepted.map_err(|_| End::Gone)?);
                    self.handle_accepted(stream).map_err(|fault| self.unheard(fault))?;
                }
            }
            if let Some(streams_max) = self.state.poll_streams_max() {
                self.link.set_streams_max(streams_max);
            }
        }
    }

    /// A stream ended before the welcome. What broke the protocol on it is said on it; a `Hello` with a bad name was
    /// answered with `Refused`, and the client sends another one on another stream or goes.
    fn handle_unheard(&mut self, sort: Option<super::Sort>, ending: Ending, stream: Stream<L>) -> Result<(), End<L>> {
        match ending {
            Ending::Fault(fault) => Err(End::Unheard(fault, Some(Box::new(stream)))),
            ending => self.handle_ended(sort, ending, stream).map_err(|fault| End::Unheard(fault, None)),
        }
    }

    /// What a session is refused with that no client could change.
    fn unavailable(&self) -> Option<loquic_wire::control::Refused> {
        let stats = self.shared.stats();
        if let Some(drain) = &*self.shared.drain_watch().borrow() {
            stats.sessions_refused_draining.increment();
            return Some(refused(Code::DRAINING, "the node stops", drain.delay));
        }
        let code = self.place.refused?;
        stats.sessions_refused_full.increment();
        Some(refused(code, "the node is full", code.default_delay()))
    }

    fn nobody_spoke(&mut self) -> End<L> {
        self.shared.stats().hello_timeouts.increment();
        self.unheard(Fault::new(Code::UNAUTHENTICATED, "no Hello in time"))
    }

    /// Says it on any stream that waits, if one does.
    fn unheard(&mut self, fault: Fault) -> End<L> {
        End::Unheard(fault, self.parked.pop().map(|(_, stream)| Box::new(stream)))
    }
}
