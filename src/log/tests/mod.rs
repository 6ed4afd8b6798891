//! The log's bytes and stores, by property: see each file.

mod bytes;
mod files;
mod stores;
