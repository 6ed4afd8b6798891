//! A store in memory, for tests: with faults that can be injected and with what a power loss would leave.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::Mutex;

use super::store::{Batch, Next, Space, Store, StoreError, Write};

type Spaces = BTreeMap<Space, BTreeMap<Vec<u8>, Bytes>>;

/// A store in memory.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    written: Spaces,
    synced: Spaces,
    fail_write: Option<StoreError>,
    fail_sync: Option<StoreError>,
}

impl Memory {
    /// The next write fails.
    pub fn fail_next_write(&self, error: StoreError) {
        self.state.lock().fail_write = Some(error);
    }

    /// The next sync fails.
    pub fn fail_next_sync(&self, error: StoreError) {
        self.state.lock().fail_sync = Some(error);
    }

    /// A store with only what was synced: what a power loss leaves at least.
    pub fn after_power_loss(&self) -> Self {
        let synced = self.state.lock().synced.clone();
        Self { state: Mutex::new(State { written: synced.clone(), synced, ..State::default() }) }
    }
}

impl State {
    fn range(&self, space: Space, from: &[u8], until: &[u8]) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &Bytes)> {
        let range = from.to_vec()..until.to_vec().max(from.to_vec());
        self.written.get(&space).into_iter().flat_map(move |keys| keys.range(range.clone()))
    }
}

impl Store for Memory {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state.lock().written.get(&space).and_then(|keys| keys.get(key)).cloned())
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        until: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> Result<(), StoreError> {
        let state = self.state.lock();
        let entries = state.range(space, from, until);
        for (key, value) in entries {
            if visit(key, value) == Next::Stop {
                break;
            }
        }
        Ok(())
    }

    fn scan_back(
        &self,
        space: Space,
        from: &[u8],
        until: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> Result<(), StoreError> {
        let state = self.state.lock();
        let entries = state.range(space, from, until);
        for (key, value) in entries.rev() {
            if visit(key, value) == Next::Stop {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if let Some(error) = state.fail_write.take() {
            return Err(error);
        }
        for write in batch.writes() {
            match write {
                Write::Put(space, key, value) => {
                    state.written.entry(*space).or_default().insert(key.clone(), value.clone());
                }
                Write::Delete(space, key) => {
                    state.written.entry(*space).or_default().remove(key);
                }
                Write::DeleteRange(space, from, until) => {
                    state.written.entry(*space).or_default().retain(|key, _| key < from || key >= until);
                }
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if let Some(error) = state.fail_sync.take() {
            return Err(error);
        }
        state.synced = state.written.clone();
        Ok(())
    }

    fn spaces(&self) -> Vec<Space> {
        self.state.lock().written.keys().copied().collect()
    }

    fn drop_space(&self, space: Space) -> Result<(), StoreError> {
        self.state.lock().written.remove(&space);
        Ok(())
    }

    fn reopen(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.sync()
    }
}
