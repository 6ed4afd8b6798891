//! How records, acks, events, places and times are written outside the protocol. It is part of the outside contract
//! (DESIGN section 6), and the same in the command line and in the HTTP API.

pub mod json;
pub mod start;
pub mod time;
