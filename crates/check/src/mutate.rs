//! Who checks the checker: random valid histories, and every way we know of breaking one.
//!
//! [`generate`] plays a small model of Loquic from a seed and records it. A [`Mutation`] breaks the result in one way
//! and names an invariant that must then be among those flagged. `cargo test` holds the checker to all of them.

mod breakage;
mod delivery;
mod log;
mod publish;
mod random;
#[cfg(test)]
mod tests;
mod world;
mod writer;

pub use breakage::{Mutation, mutations};
pub use random::Random;
pub use world::{Shape, generate};
