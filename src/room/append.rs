//! Publishing a few records at once for somebody who does not stay: open the producer, offer, wait, close.

use loquic_wire::{
    Code, Position,
    publish::{Ack, AckRun, Duplicate, Nack, Publish},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Answer, ProducerKey, Refusal, RoomKey, Rooms};
use crate::config::limits;

/// Who appends.
#[derive(Debug, Clone)]
pub struct Author {
    /// Under which numbers.
    pub producer: ProducerKey,
    /// Whether it may delete records of others.
    pub moderates: bool,
}

impl Rooms {
    /// Appends `publishes` in order and returns an answer for each. The caller sees to it that they fit the room's
    /// inbox.
    ///
    /// Whoever asks the same at the same time fences this one, and the other way round. Those who were fenced try again
    /// one after the other, and then find what is in the log, because an id is appended once at most.
    ///
    /// A `Nack` whose code is not one of a refused publish (`fenced`, `not_yet_applied`, `draining`, a 5xxx) does not
    /// say whether it is in the log.
    ///
    /// Not cancel-safe: what was offered may be appended.
    pub async fn append(
        &self,
        room: &RoomKey,
        author: &Author,
        publishes: &[Publish],
    ) -> Result<Vec<Result<Ack, Nack>>, Refusal> {
        let mut answers = Vec::with_capacity(publishes.len());
        let mut turn = None;
        for attempt in 1.. {
            let left = &publishes[answers.len()..];
            let Err(refusal) = self.try_append(room, author, left, &mut answers).await else { break };
            let passes = matches!(refusal.code, Code::FENCED | Code::NOT_YET_APPLIED);
            if passes && attempt < limits::APPEND_ATTEMPTS_MAX {
                if turn.is_none() {
                    turn = self.context.append_turns.take(&author.producer).await;
                }
                continue;
            }
            if answers.is_empty() {
                return Err(refusal);
            }
            answers.extend(publishes[answers.len()..].iter().map(|publish| Err(unanswered(publish, refusal.code))));
            break;
        }
        Ok(answers)
    }

    async fn try_append(
        &self,
        room: &RoomKey,
        author: &Author,
        publishes: &[Publish],
        answers: &mut Vec<Result<Ack, Nack>>,
    ) -> Result<(), Refusal> {
        let room = self.attach(room).await?;
        let mut publisher = self.open_producer(&room, author.producer.clone()).await?;
        publisher.set_moderates(author.moderates);
        publisher.offer(publishes.to_vec());
        while publisher.in_flight() > 0 {
            let next = publisher.next().await;
            let next = next.map_err(|code| Refusal { code, message: "the answer is not known; ask again".into() })?;
            next.into_iter().for_each(|answer| take(answer, answers));
        }
        Ok(())
    }
}

/// Appends of one producer that got in each other's way go on one at a time. Only those wait here, not everybody: a
/// turn lasts as long as a sync.
pub(super) struct Turns([Semaphore; 64]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Semaphore::new(1)))
    }
}

impl Turns {
    /// The turn of this producer, and of others that share its number.
    async fn take(&self, producer: &ProducerKey) -> Option<SemaphorePermit<'_>> {
        let number = usize::from(producer.producer.0[0]) % self.0.len();
        self.0[number].acquire().await.ok()
    }
}

fn take(answer: Answer, answers: &mut Vec<Result<Ack, Nack>>) {
    match answer {
        Answer::Ack(ack) => answers.push(Ok(ack)),
        Answer::AckRun(run) => answers.extend((0..u64::from(run.count)).map(|index| Ok(ack_of(&run, index)))),
        // Behind one that failed here the ids stand apart, and to try this one again alone would not help.
        Answer::Nack(nack) if nack.code == Code::ID_GAP && answers.iter().any(Result::is_err) => {
            answers.push(Err(Nack { code: Code::SKIPPED, ..nack }));
        }
        Answer::Nack(nack) => answers.push(Err(nack)),
    }
}

fn ack_of(run: &AckRun, index: u64) -> Ack {
    let position = Position { epoch: run.epoch, offset: run.first_offset.plus(index) };
    Ack { id: run.first_id.saturating_add(index), position, time: run.time, duplicate: Duplicate::No }
}

fn unanswered(publish: &Publish, code: Code) -> Nack {
    Nack { id: publish.id, code, expected: publish.id, retry_after: code.default_delay().into() }
}
