//! The journal: what gives a partition its total order and makes it durable.
//!
//! On one node [`local`] is the journal: one thread takes what has arrived, has it applied, writes it as one batch and
//! syncs once. In a cluster JetStream will order the same [`Op`]s and every holder will apply them. What an operation
//! does is not decided here but by the [`Applier`], the same code in both.

pub mod local;
mod op;
mod stats;

use loquic_wire::Time;

pub use op::{Batch, Item, Op, RoomKey};
pub use stats::{Stats, Times};

use crate::log::{self, StoreError};

/// What the journal drives: it turns what has arrived into changes of the store, and lets out what has become safe.
///
/// The order of calls is: `apply`, then `written`, then `synced` if `apply` asked for it. After `failed` nothing that
/// was applied and not yet let out may ever be let out.
pub trait Applier: Send + 'static {
    /// Applies what has arrived, at most one batch of each partition, and lets out what is safe at level `memory`.
    fn apply(&mut self, now: Time) -> Applied;

    /// The changes are written: lets out what is safe at level `process`.
    fn written(&mut self);

    /// The changes are synced: lets out what is safe at level `disk`.
    fn synced(&mut self);

    /// The changes are not written, or it is not known whether they are: forgets them, and refuses publishes with this
    /// reason from now on.
    fn failed(&mut self, reason: Refusing);

    /// Takes publishes again, from what the store holds now, in a new epoch.
    fn recover(&mut self, now: Time) -> Result<log::Batch, StoreError>;

    /// Looks after floors, windows and idle rooms; called about once a second.
    fn housekeep(&mut self, now: Time, refusing: Option<Refusing>) -> log::Batch;

    /// What `housekeep` changed is written and synced.
    fn housekept(&mut self);

    /// How many batches of each partition have been applied.
    fn applied(&self) -> Vec<u64>;
}

/// What [`Applier::apply`] did.
#[derive(Debug, Default)]
pub struct Applied {
    /// What has to be written.
    pub batch: log::Batch,
    /// Whether it has to be synced.
    pub sync: bool,
}

/// Why publishes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusing {
    /// The disk is nearly full, or was found full; they are taken again when there is room.
    DiskFull = 1,
    /// A write or a sync failed; they are taken again after a restart.
    Poisoned,
}
