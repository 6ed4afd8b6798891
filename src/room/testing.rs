//! Rooms over a store in memory, for tests.

use std::sync::Arc;

use super::{Journal, Options, Place, Rooms};
use crate::log::{Memory, Store};

/// Rooms over a store in memory. The journal's thread lives until the process ends.
pub fn rooms() -> Rooms {
    let (rooms, _journal) = rooms_over(Arc::new(Memory::default()), Options::default());
    rooms
}

/// Rooms over this store.
pub fn rooms_over(store: Arc<dyn Store>, options: Options) -> (Rooms, Journal) {
    let place = Place { directory: None, clean: false, mark: None };
    match Rooms::open(store, place, options) {
        Ok(open) => open,
        Err(error) => panic!("a store in memory does not open: {error}"),
    }
}
