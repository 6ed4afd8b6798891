//! What hostile, broken and confused peers are told. Each test runs beside two honest sessions, which must not notice.

mod frames;
mod greeting;
mod limits;
mod names;
mod network;
mod positions;
mod publishing;
mod websocket;
mod webtransport;
mod windows;
