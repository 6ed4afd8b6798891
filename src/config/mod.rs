//! Configuration.
pub mod limits;
