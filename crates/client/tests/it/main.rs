//! The client against a scripted server on loopback. Each test is a conversation of frames.

mod connecting;
mod fake;
mod publishing;
mod subscribing;
