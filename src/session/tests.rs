//! Sessions over the link in memory, as conversations of frames. Where no room is touched time is paused, so that
//! a wait for nothing takes no time.

mod ephemerals;
mod greeting;
mod peer;
mod presence;
mod publishing;
mod subscribing;
mod tokens;
