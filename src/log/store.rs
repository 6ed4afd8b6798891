//! What the log needs of a store: ordered keys in spaces, atomic batches, and a sync of its own.

use std::fmt;

use bytes::Bytes;

use super::rows::Class;

/// A part of the store with its own files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// Rooms, producers, partitions.
    Meta,
    /// Records that are kept until a limit says otherwise.
    Keep,
    /// Records of one window of time of a retention class; dropped whole.
    Window(Class, u64),
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("meta"),
            Self::Keep => f.write_str("keep"),
            Self::Window(class, window) => write!(f, "{class}.{window}"),
        }
    }
}

impl Space {
    /// Reads what [`fmt::Display`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "meta" => Some(Self::Meta),
            "keep" => Some(Self::Keep),
            _ => {
                let (class, window) = text.split_once('.')?;
                let class = Class::parse(class).filter(|class| class.window().is_some())?;
                let space = Self::Window(class, window.parse().ok()?);
                // A space has one name: no sign, no leading zeros.
                (space.to_string() == text).then_some(space)
            }
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Sets a key.
    Put(Space, Vec<u8>, Bytes),
    /// Removes a key.
    Delete(Space, Vec<u8>),
    /// Removes the keys from the first up to but not including the second.
    DeleteRange(Space, Vec<u8>, Vec<u8>),
}

/// Changes that happen together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    writes: Vec<Write>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, space: Space, key: Vec<u8>, value: impl Into<Bytes>) {
        self.writes.push(Write::Put(space, key, value.into()));
    }

    /// Removes a key.
    pub fn delete(&mut self, space: Space, key: Vec<u8>) {
        self.writes.push(Write::Delete(space, key));
    }

    /// Removes a range of keys, the end not included.
    pub fn delete_range(&mut self, space: Space, from: Vec<u8>, until: Vec<u8>) {
        self.writes.push(Write::DeleteRange(space, from, until));
    }

    /// The changes in order.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// Why the store did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No space left on the device.
    #[error("the disk is full: {0}")]
    Full(String),
    /// Stored bytes are damaged.
    #[error("stored bytes are damaged: {0}")]
    Corrupt(String),
    /// Any other failure of the file system or the store.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// What a scan is told after each entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Show the next one.
    Continue,
    /// That is enough.
    Stop,
}

/// An ordered key-value store with spaces. Calls block; never make them on a runtime's worker.
pub trait Store: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Shows the entries with `from <= key < until` in ascending order. A space that does not exist is empty.
    fn scan(
        &self,
        space: Space,
        from: &[u8],
        until: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> Result<(), StoreError>;

    /// Shows the entries with `from <= key < until` in descending order.
    fn scan_back(
        &self,
        space: Space,
        from: &[u8],
        until: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> Result<(), StoreError>;

    /// Writes a batch so that it survives the end of the process. Creates spaces as needed.
    fn write(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Makes everything that was written survive a power loss.
    fn sync(&self) -> Result<(), StoreError>;

    /// The spaces that exist.
    fn spaces(&self) -> Vec<Space>;

    /// Drops a space with all that is in it.
    fn drop_space(&self, space: Space) -> Result<(), StoreError>;

    /// Closes and opens again, to leave a state in which the store refuses writes.
    fn reopen(&self) -> Result<(), StoreError>;

    /// Writes what is held in memory to files, for a clean end.
    fn flush(&self) -> Result<(), StoreError>;
}
