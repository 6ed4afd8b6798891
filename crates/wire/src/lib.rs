//! The `loquic-1` protocol as types. Pure: no tokio, no socket, no clock. `docs/PROTOCOL.md` is the normative text, and
//! `vectors/*.json` pins the bytes.

#![forbid(unsafe_code)]

pub mod code;
pub mod coding;
pub mod control;
pub mod ephemeral;
pub mod frame;
pub mod id;
pub mod join;
pub mod limits;
pub mod name;
pub mod position;
pub mod publish;
pub mod read;
pub mod record;
pub mod slot;
pub mod watch;
pub mod who;

pub use code::{Action, Code};
pub use frame::{Decoder, Frame, FrameError};
pub use id::{Principal, ProducerId, ProducerTag, SessionId};
pub use name::{RoomName, RoomPattern, TenantName, UserName};
pub use position::{Epoch, Millis, Offset, Position, Time};
pub use record::{Flags, Format, Kind, Record};
pub use slot::{Partition, Slot};

/// The ALPN protocol, the WebTransport subprotocol and, behind `qmux-02.`, the WebSocket subprotocol.
pub const ALPN: &str = "loquic-1";

/// The version that `Hello` and `Welcome` name.
pub const VERSION: u16 = 1;
