//! The log: what is kept on disk, and in which bytes.
//!
//! [`Store`] is a small ordered key-value store with spaces; [`Rocks`] keeps it on disk and [`Memory`] in memory for
//! tests. [`keys`], [`rows`] and [`chunk`] fix the bytes, [`Directory`] guards the data directory. Nothing here knows
//! what a session is, and nothing here decides an offset.

pub mod chunk;
mod directory;
pub mod disk;
pub mod inspect;
pub mod keys;
mod mark;
mod memory;
pub mod reading;
mod rocks;
pub mod rows;
mod store;
#[cfg(test)]
mod tests;
pub(crate) mod verify;

pub use chunk::Chunk;
pub use directory::{Directory, DirectoryError};
pub use mark::MarkFile;
pub use memory::Memory;
pub use rocks::{Rocks, RocksOptions};
pub use store::{Batch, Next, Space, Store, StoreError, Write};
