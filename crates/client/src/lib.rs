//! Native client for Loquic: rooms that are ordered, durable logs, over raw QUIC, WebTransport or a WebSocket.
//!
//! ```no_run
//! use loquic_client::{Client, Event, From};
//!
//! # async fn run() -> Result<(), loquic_client::Error> {
//! let client = Client::builder("https://127.0.0.1:4433").name("ada").connect().await?;
//! let mut room = client.room("acme:general").from(From::Oldest).open().await?;
//! let ack = room.publish("hello").await?;
//! println!("appended at {}", ack.position);
//! while let Some(event) = room.next().await {
//!     match event? {
//!         Event::Record(record) => println!("{} {}: {:?}", record.offset, record.sender, record.payload),
//!         Event::Gap(gap) => println!("{} to {} will not come: {:?}", gap.from, gap.to, gap.reason),
//!         Event::CaughtUp(_) => println!("what follows is live"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A client stays connected by itself. Rooms resume behind the last record, publishes that have no answer are sent
//! again under the same numbers: each record is delivered once, each publish is in the log once. What cannot be kept is
//! said aloud, as a [`Gap`] or a [`Reset`].
//!
//! Payloads share the buffer they came in, about 45 KiB at a time. Whoever keeps a few of many for long copies them.

#![forbid(unsafe_code)]

mod address;
mod ask;
mod backoff;
mod builder;
mod client;
mod completion;
mod core;
mod endpoint;
mod error;
mod event;
mod frames;
mod history;
mod link;
mod liveness;
mod members;
mod message;
mod outbox;
mod presence;
mod publish_stream;
mod publisher;
mod publishing;
mod queue;
mod quic;
mod room;
mod session;
mod status;
mod stream;
mod subscriber;
mod subscription;
mod supervisor;
mod sync;
mod tls;
mod token;
mod transport;
mod watch;
mod websocket;
mod webtransport;

pub use crate::{
    backoff::Backoff,
    builder::Builder,
    client::Client,
    completion::{Ack, Pending, PendingBatch},
    core::OutboxBounds,
    endpoint::Endpoint,
    error::Error,
    event::Event,
    history::History,
    message::Message,
    presence::Presence,
    publisher::Publisher,
    room::{Room, RoomBuilder},
    status::Status,
    token::{TokenError, TokenProvider, TokenReason},
    transport::Transport,
    watch::{Watch, Watched},
};
pub use loquic_wire::{
    Code, Epoch, Flags, Format, Kind, Offset, Position, Principal, ProducerId, ProducerTag, Record, RoomName,
    SessionId, Time, UserName,
    code::Action,
    control::RoomStatus,
    join::{CaughtUp, From, Gap, GapReason, Member, Mode, PresenceLevel, Reset},
    publish::Duplicate,
    read::Range,
    watch::Head,
    who::Members,
};

/// What the README shows compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
