//! Every bound of the protocol. A peer that goes past one gets the code named here; nothing is truncated.

/// Largest payload of one record that any server may allow, in bytes; the default a server allows is half of it.
/// A batch of records must fit one JetStream message of 1 MiB beside its envelope.
pub const PAYLOAD_BYTES_MAX_HARD: usize = 128 * 1024;

/// What a server allows unless its configuration says otherwise. Past it: `Nack{payload_too_large}`.
pub const PAYLOAD_BYTES_MAX_DEFAULT: usize = 64 * 1024;

/// Largest body of a frame that carries a payload: the payload and at most 512 bytes of fields around it.
pub const PAYLOAD_FRAME_BODY_MAX: usize = PAYLOAD_BYTES_MAX_HARD + 512;

/// Largest body of a frame that carries no payload and no list of rooms.
pub const SMALL_FRAME_BODY_MAX: usize = 2 * 1024;

/// Most records that one `Read` brings; a larger limit is cut to it.
pub const READ_RECORDS_MAX: u32 = 1000;

/// Most members that one `Who` brings; a larger limit is cut to it. What the frame holds may be less.
pub const WHO_MEMBERS_MAX: u32 = 1000;

/// Streams that may be opened before `Welcome`, beside the control stream; they wait for it. One more ends the session.
pub const PARKED_STREAMS_MAX: usize = 16;

/// Credit that a client grants at first, at least: below the largest `Record` frame a room may wait for ever.
pub const CREDIT_BYTES_MIN: u64 = 192 * 1024;

/// Largest body of a frame that carries a token or a list of rooms: 100 rooms of 200 bytes and their lengths.
pub const LIST_FRAME_BODY_MAX: usize = 32 * 1024;

/// Largest body of a frame whose kind is unknown; it is skipped. Past it the session ends, because skipping without
/// a bound would let a peer send for ever into nothing.
pub const UNKNOWN_FRAME_BODY_MAX: usize = PAYLOAD_FRAME_BODY_MAX;

/// Longest room name in bytes.
pub const ROOM_BYTES_MAX: usize = 200;

/// Most segments of a room name.
pub const ROOM_SEGMENTS_MAX: usize = 8;

/// Longest segment of a room name in bytes.
pub const SEGMENT_BYTES_MAX: usize = 64;

/// Longest user name in bytes; it is the `sender` of a record.
pub const USER_BYTES_MAX: usize = 128;

/// Longest tenant name in bytes.
pub const TENANT_BYTES_MAX: usize = 64;

/// Longest free text (a message for people, an address, a client's description) in bytes.
pub const TEXT_BYTES_MAX: usize = 1024;

/// Longest bearer token in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Most entries of a list in any frame; the frame's own maximum may be reached before.
pub const LIST_LENGTH_MAX: usize = 1024;

/// Most rooms in one `Peek`.
pub const PEEK_ROOMS_MAX: usize = 100;

/// Largest datagram, in bytes: fits the smallest path QUIC allows (1,200) with every header, on both transports.
pub const DATAGRAM_BYTES_MAX: usize = 1100;

/// Numbers stay below 2^53 so that JSON and TypeScript hold them exactly. Past it a frame is malformed.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

const _: () = assert!(PAYLOAD_BYTES_MAX_DEFAULT <= PAYLOAD_BYTES_MAX_HARD);
const _: () = assert!(PEEK_ROOMS_MAX * (ROOM_BYTES_MAX + 3) <= LIST_FRAME_BODY_MAX);
const _: () = assert!(TOKEN_BYTES_MAX + 4 * TEXT_BYTES_MAX <= LIST_FRAME_BODY_MAX);
const _: () = assert!(CREDIT_BYTES_MIN as usize > PAYLOAD_FRAME_BODY_MAX + 6);
const _: () = assert!(WHO_MEMBERS_MAX as usize <= LIST_LENGTH_MAX);
const _: () = assert!(TEXT_BYTES_MAX + 64 <= SMALL_FRAME_BODY_MAX);
