// Every bound of the protocol, as in `crates/wire/src/limits.rs`; the vectors hold both to the same numbers.

export const PAYLOAD_BYTES_MAX_HARD = 128 * 1024
export const PAYLOAD_FRAME_BODY_MAX = PAYLOAD_BYTES_MAX_HARD + 512
export const SMALL_FRAME_BODY_MAX = 2 * 1024
export const LIST_FRAME_BODY_MAX = 32 * 1024
export const UNKNOWN_FRAME_BODY_MAX = PAYLOAD_FRAME_BODY_MAX
export const CREDIT_BYTES_MIN = 192 * 1024
export const DATAGRAM_BYTES_MAX = 1100
export const LIST_LENGTH_MAX = 1024
export const PEEK_ROOMS_MAX = 100
export const ROOM_BYTES_MAX = 200
export const ROOM_SEGMENTS_MAX = 8
export const SEGMENT_BYTES_MAX = 64
export const TENANT_BYTES_MAX = 64
export const TEXT_BYTES_MAX = 1024
export const TOKEN_BYTES_MAX = 8 * 1024
export const USER_BYTES_MAX = 128
