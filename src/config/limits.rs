//! Every bound of a node, in one place. Each says what happens when it is reached and what it costs. What an operator
//! would want to change is a configuration key with the same name, and the constant is its default; the bounds of the
//! protocol itself are in `loquic_wire::limits`.

use std::time::Duration;

use loquic_wire::limits as wire;

// Connections and sessions ------------------------------------------------------------------------------------------

/// Sessions a node holds; the next one is refused with `too_many_sessions`. About 50 KB each when idle.
pub const SESSIONS_MAX: usize = 20_000;

/// Connections whose handshake is not finished; from half of it on, addresses are validated first (Retry), and past
/// it new ones are dropped. About 4 KiB each.
pub const HANDSHAKES_MAX: usize = 4_096;

/// A QUIC handshake that takes longer is dropped.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// WebTransport connections on which no session was asked for yet; past it they are closed. As large as an idle session
/// each, and there at most `HELLO_TIMEOUT`: Firefox opens a second connection for each session and never uses it, so
/// this lets 1,600 of them come each second after a restart.
pub const CONNECTS_MAX: usize = 8_192;

/// Bytes of a connection's first packets that are kept until its handshake is begun; more are dropped and sent again.
pub const INCOMING_BYTES_MAX: u64 = 64 * 1024;

/// The same for all connections together.
pub const INCOMING_BYTES_TOTAL_MAX: u64 = 16 * 1024 * 1024;

/// What is asked for as the buffers of the UDP socket, in each direction. The default of Linux (208 KiB) loses packets
/// in every burst; the kernel may give less (`net.core.rmem_max`, `wmem_max`), and the node says what it got.
pub const SOCKET_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of datagrams that wait to be sent, or to be read; the oldest are dropped.
pub const DATAGRAM_BUFFER_BYTES: usize = 64 * 1024;

/// Sessions that are being refused at once, each until its `Hello` is answered; past it connections are closed without
/// an answer. About 50 KB each.
pub const REFUSALS_MAX: usize = 1_024;

/// A WebTransport connection on which no session is asked for by then is closed; a session whose `Hello` does not come
/// by then is closed with `unauthenticated`.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// A token's secret is at least this long: as many bits as HMAC-SHA-256 has (RFC 7518 section 3.2).
pub const TOKEN_SECRET_BYTES_MIN: usize = 32;

/// How far the clocks of whoever signs tokens and of the server may be apart. A session ends this long after its token.
pub const TOKEN_LEEWAY: Duration = Duration::from_secs(10);

/// How long before its token expires a client hears of it; half of the time that is left, if that is less.
pub const TOKEN_EXPIRING: Duration = Duration::from_secs(60);

/// A stream whose first frame does not come by then is refused with `stream_timeout`.
pub const FIRST_FRAME_TIMEOUT: Duration = Duration::from_secs(10);

/// How often clients are told to send `Ping`.
pub const PING_INTERVAL: Duration = Duration::from_secs(5);

/// A connection on which nothing arrives for this long is dropped: several pings.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a peer may leave a `Closing` unanswered before the connection is closed by force.
pub const CLOSING_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a peer may go on with a stream that has ended here, after which it is stopped. What comes is dropped.
pub const STREAM_DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How many bytes it may go on for: what a page has in its outboxes fits.
pub const STREAM_DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// How long a frame on the control stream may wait for the peer's flow control; then the connection is closed by force.
pub const CONTROL_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// `Peek` and `Refresh` of one session that wait for their answer; the control stream is not read past it.
pub const REQUESTS_MAX: usize = 4;

/// How long a drain waits for sessions to leave after `Goaway`; then they are closed with `draining`.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long clients are told to wait before they come back to a node that restarts.
pub const RESTART_DELAY: Duration = Duration::from_millis(500);

// HTTP --------------------------------------------------------------------------------------------------------------

/// Connections to one HTTP address. One more waits in the kernel's backlog; those who say nothing make room within
/// `HTTP_TIMEOUT`. At most `HTTP_HEAD_BYTES_MAX` and an answer each.
pub const HTTP_CONNECTIONS_MAX: usize = 256;

/// Bytes of a request's first line and headers; more are answered with 431.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers of a request; more are answered with 431.
pub const HTTP_HEADERS_MAX: usize = 64;

/// How long the head of a request may take, and how long a client may take nothing of an answer; then the connection
/// is closed. A connection on which no request follows is closed after it as well.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests that are being answered may take when the node stops.
pub const HTTP_CLOSING_TIMEOUT: Duration = Duration::from_secs(2);

/// How long no connection is accepted after one could not be, because the process has no file descriptors left.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of a file of the demo page's directory; a longer one is not served.
pub const PAGE_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Entries of the demo page's directory that are looked through for a request; a file past them is not served.
pub const PAGE_FILES_MAX: usize = 1_024;

/// Records in one batch of the HTTP API; more are answered with 413.
pub const HTTP_BATCH_RECORDS_MAX: usize = 1_000;

/// Bytes of one batch of the HTTP API; more are answered with 413. Held until it is answered, so this much for each
/// connection at worst.
pub const HTTP_BATCH_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(HTTP_BATCH_BYTES_MAX < INBOX_BYTES_MAX && HTTP_BATCH_RECORDS_MAX <= IN_FLIGHT_MAX as usize);

/// Records of one history answer unless its request says otherwise.
pub const HTTP_RECORDS_DEFAULT: u32 = 100;

/// Rooms of one list; a higher limit is cut to it and `more` says so.
pub const LIST_ROOMS_MAX: usize = 1_000;

/// Rooms of one list unless its request says otherwise.
pub const HTTP_ROOMS_DEFAULT: u32 = 100;

/// Members of a room in one answer unless its request says otherwise.
pub const HTTP_MEMBERS_DEFAULT: u32 = 100;

/// Bytes of an `Idempotency-Key`.
pub const HTTP_IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// How often an append by HTTP is begun again when somebody else with the same producer got in between.
pub const APPEND_ATTEMPTS_MAX: u32 = 32;

/// Event streams (SSE) of a node at once; one more is answered with 503. A page each, and a connection, of which
/// `HTTP_CONNECTIONS_MAX` leaves some for other requests.
pub const EVENT_STREAMS_MAX: usize = 192;

const _: () = assert!(EVENT_STREAMS_MAX < HTTP_CONNECTIONS_MAX);

/// How often an event stream on which nothing happens says that it is alive: shorter than proxies wait for bytes.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How long a client of an event stream is told to wait before it comes back after the stream has ended.
pub const EVENT_STREAM_RETRY: Duration = Duration::from_secs(1);

// Certificates ------------------------------------------------------------------------------------------------------

/// How often the node looks whether its development certificate has to be followed by the next one. Short beside the
/// days for which both are good.
pub const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(60 * 60);

// Streams -----------------------------------------------------------------------------------------------------------

/// Streams a client may have open at first. quinn allocates for each allowed stream (2 KiB or so), therefore the limit
/// starts here and follows what is in use.
pub const STREAMS_START: u32 = 16;

/// Unidirectional streams a client may ever have open: what HTTP/3 is entitled to (RFC 9114 section 6.2). Announced
/// before it is known whether the connection is one of HTTP/3; what comes on them on others is not read.
pub const STREAMS_UNI: u32 = 3;

/// Streams that are allowed beyond those in use, and a quarter of those.
pub const STREAMS_AHEAD: u32 = 16;

/// Streams a client may ever have open; the client queues what is past it.
pub const STREAMS_MAX: u32 = 256;

/// Streams that may wait for `Welcome`; one more ends the session with `too_many_streams`.
pub const STREAMS_PARKED_MAX: usize = 16;

/// Joins and watches of a session; one more is refused with `too_many_streams`.
pub const ROOMS_MAX: u32 = 128;

/// Reads of a session at once; one more is refused with `too_many_streams`.
pub const READS_MAX: u32 = 16;

/// Publish streams of a session; one more is refused with `too_many_streams`.
pub const PUBLISH_MAX: u32 = 64;

const _: () = assert!(ROOMS_MAX + READS_MAX + PUBLISH_MAX < STREAMS_MAX);

/// Publishes of one stream that may wait for an answer; more end the stream with `flow_control`.
pub const IN_FLIGHT_MAX: u32 = 8_192;

/// Bytes a client may send on one stream before the server has read them: one full `Publish` and some.
pub const STREAM_RECEIVE_WINDOW: u32 = 256 * 1024;

/// Bytes a client may send on all its streams before the server has read them. Costs this much at worst for a client
/// that fills every window. An unread stream never blocks `Ping`: stream windows that are in use add up to less,
/// because a server task reads every stream, and a paused publish stream holds one window.
pub const RECEIVE_WINDOW: u32 = 4 * 1024 * 1024;

const _: () = assert!(STREAM_RECEIVE_WINDOW as usize > wire::PAYLOAD_FRAME_BODY_MAX);
const _: () = assert!(RECEIVE_WINDOW >= 16 * STREAM_RECEIVE_WINDOW);

/// Unacknowledged bytes kept for a connection at first and at least: what a path takes at once at first (RFC 9002
/// section 7.2: ten packets) and a little more. What a stopped client costs.
pub const SEND_WINDOW_MIN: u64 = 16 * 1024;

/// Unacknowledged bytes kept for a connection at most; the window follows twice the congestion window in between.
pub const SEND_WINDOW_MAX: u64 = 1024 * 1024;

/// Unacknowledged bytes kept for all connections together, beyond `SEND_WINDOW_MIN` of each.
pub const SEND_WINDOWS_MAX: u64 = 16 * 1024 * 1024;

/// A stream that goes before catch-up finds a full send window wider by this part. A quarter: the records, answers and
/// pongs of a round trip, beside a catch-up that keeps the window full. Costs as much again of what windows cost.
pub const SEND_WINDOW_AHEAD: u64 = 4;

/// One connection gets at most this part of what the others leave of it, so one alone can have the largest window there
/// is, a hundred 140 KiB each, and a thousand 16 KiB, beyond the minimum.
pub const SEND_WINDOW_SHARE: u64 = 16;

// WebSocket ---------------------------------------------------------------------------------------------------------

/// Upgrades to a WebSocket whose QMux session has not begun; one more is answered with 503. About 50 KB each, and there
/// at most `HELLO_TIMEOUT`.
pub const WEBSOCKET_UPGRADES_MAX: usize = 1_024;

/// Bytes of a QMux record, which is one message: what QMux has at least and by default. A longer one ends the session.
pub const WEBSOCKET_RECORD_BYTES_MAX: usize = 16_382;

/// Bytes a client may send on one stream over a WebSocket before the server has read them. Smaller than over QUIC,
/// because there is no loss to wait for, and what is in small pieces costs several times as much.
pub const WEBSOCKET_STREAM_WINDOW: u64 = 64 * 1024;

/// The same for all its streams.
pub const WEBSOCKET_RECEIVE_WINDOW: u64 = 1024 * 1024;

// An unread stream never blocks `Ping`, for the same reason as over QUIC.
const _: () = assert!(WEBSOCKET_RECEIVE_WINDOW >= 16 * WEBSOCKET_STREAM_WINDOW);
const _: () = assert!(WEBSOCKET_RECEIVE_WINDOW >= STREAMS_PARKED_MAX as u64 * WEBSOCKET_STREAM_WINDOW);

/// Bytes of records of which a part is unread. Flow control counts payload only, and a byte of it may come in a record
/// of its own; past it the session ends. Nobody who fills records gets here.
pub const WEBSOCKET_HELD_BYTES_MAX: usize = 2 * WEBSOCKET_RECEIVE_WINDOW as usize;

/// Bytes that are read of a client while it takes nothing of what is written; then it has to. QMux queues answers that
/// no flow control is for, ten times as much memory as was read at worst.
pub const WEBSOCKET_UNANSWERED_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the buffers between records and the socket, in each direction. What is written at once by QMux is 64 KiB.
pub const WEBSOCKET_BUFFER_BYTES: usize = 16 * 1024;

/// Bytes that may wait in the buffer to the socket: one record and its header beyond what is written at once.
pub const WEBSOCKET_WRITE_BUFFER_BYTES_MAX: usize = 4 * WEBSOCKET_BUFFER_BYTES;

/// Bytes of a datagram's frame that are taken: what the shortest path of QUIC carries.
pub const WEBSOCKET_DATAGRAM_BYTES_MAX: u64 = 1_200;

/// Bytes of stream data that QMux holds for the socket: eight records.
pub const WEBSOCKET_SEND_BYTES: u64 = 8 * WEBSOCKET_RECORD_BYTES_MAX as u64;

/// Asked for as the buffer of a TCP connection to send from. The kernel would let it grow to megabytes for a client
/// that has stopped, and what is in it goes before a `Pong`.
pub const TCP_SEND_BUFFER_BYTES: usize = 256 * 1024;

// Rooms and cursors -------------------------------------------------------------------------------------------------

/// Bytes of recent records that a room holds in memory. About two seconds of a busy room (500 records/s × 512 B), so a
/// subscriber that misses one scheduling round or a retransmission never touches the disk.
pub const TAIL_BYTES_MAX: usize = 512 * 1024;

/// Bytes of records that a reader takes at once: its turn, then others have theirs.
pub const PAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of records that a reader reads from the log at once: two chunks, because most are just short of a page. No
/// more than a quarter of its connection's send window, though, because it shares them with nobody.
pub const LOAD_BYTES_MAX: usize = 2 * PAGE_BYTES_MAX;

const _: () = assert!(TAIL_BYTES_MAX >= 2 * PAGE_BYTES_MAX);

/// Bytes that the tails of all rooms hold together; past it each keeps one page, and readers that are behind read the
/// log.
pub const TAILS_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How long the tail of a room in which nothing happens stays in memory while somebody is subscribed.
pub const TAIL_IDLE_MAX: Duration = Duration::from_secs(10);

/// How long a room that nobody uses stays in memory.
pub const ROOM_IDLE_MAX: Duration = Duration::from_secs(30);

/// Threads that read the log for readers that are behind; more readers wait for their turn, a page each.
pub const READ_THREADS_MAX: usize = 16;

/// Records a `Read` returns at most; a higher limit is cut to it and `more` says so.
pub const READ_RECORDS_MAX: u32 = 1_000;

/// Rooms a watch by prefix reports at most; more are refused with `flow_control` on that stream.
pub const WATCH_ROOMS_MAX: usize = 10_000;

/// Ephemeral values of one room that are held for readers that have not seen them yet; the oldest goes.
pub const EPHEMERALS_MAX: usize = 64;

/// How long they are held.
pub const EPHEMERAL_KEPT: Duration = Duration::from_secs(10);

/// Ephemerals of one session per second, and at once; more are dropped and counted. A hand that moves sends 30.
pub const EPHEMERAL_RATE_MAX: u32 = 50;

/// Users of a room up to which its list is pushed to who wants it; in a larger one they get counts, and ask for pages.
/// A list is about 10 KB then, and 68 KB with the longest names.
pub const PRESENCE_LIST_MAX: usize = 500;

/// How long a session that vanished stays present, beyond the time it takes to notice: long enough to connect again.
pub const PRESENCE_GRACE: Duration = Duration::from_secs(10);

/// A room tells its followers who came and went at most this often.
pub const PRESENCE_INTERVAL: Duration = Duration::from_millis(250);

/// Frames of presence that one room sends in a second to all its followers together: 500 are told every 250 ms,
/// 10,000 every 5 s. About 1 % of a processor for each room that is never quiet.
pub const PRESENCE_RATE_MAX: u32 = 2_000;

/// Changes that count as a frame more: 500 users of whom all come and go hear of it every 4 s.
pub const PRESENCE_MEMBERS_PER_FRAME: usize = 32;

/// Rounds of changes that are kept for followers that are slow; who is further behind gets a new list.
pub const PRESENCE_ROUNDS_MAX: usize = 8;

/// Bytes of members in a frame of presence. No more, because a record that comes waits for it.
pub const PRESENCE_PAGE_BYTES_MAX: usize = 8 * 1024;

const _: () = assert!(PRESENCE_PAGE_BYTES_MAX + 32 <= wire::LIST_FRAME_BODY_MAX);

/// Vanished sessions that one room holds; one more leaves at once. About 200 bytes each.
pub const PRESENCE_VANISHED_MAX: usize = 10_000;

/// Members in the answer to a `Who`; a higher limit is cut to it and `more` says so.
pub const WHO_MEMBERS_MAX: u32 = wire::WHO_MEMBERS_MAX;

/// Read marks that wait to be written, one for each (room, user); one more ends its join stream with `overloaded`. A
/// second's worth, because they are written once a second; about 20 MB.
pub const MARKS_WAITING_MAX: usize = 65_536;

/// Read marks that wait to be told to one session; further rooms are left out until it takes them.
pub const MARKS_TOLD_MAX: usize = 1_024;

/// A watched room's head is sent at most this often.
pub const WATCH_INTERVAL: Duration = Duration::from_millis(250);

// Publishing --------------------------------------------------------------------------------------------------------

/// Bytes of publishes that wait for one room; a full inbox pauses the reading of its publish streams.
pub const INBOX_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a full inbox pauses a publish stream before its next publish is refused with `overloaded`.
pub const INBOX_WAIT_MAX: Duration = Duration::from_secs(1);

/// What a publisher is told to wait when it is refused with `overloaded`.
pub const OVERLOAD_RETRY_AFTER: Duration = Duration::from_millis(500);

/// Bytes one room puts into a batch per round, so that no room keeps others waiting (deficit round-robin).
pub const ROUND_BYTES: usize = 64 * 1024;

/// Bytes of one partition in one batch.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(ROUND_BYTES <= BATCH_BYTES_MAX);

/// Bytes of records in one chunk of the log; a single larger record has a chunk of its own.
pub const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Records of one chunk at most, so that the lists of its producers and of their ids can be read again.
pub const CHUNK_RECORDS_MAX: u32 = 1_024;

const _: () = assert!(CHUNK_RECORDS_MAX as usize <= wire::LIST_LENGTH_MAX);

/// A producer is forgotten once its last record is trimmed and this long has passed since it.
pub const PRODUCER_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

// Disk --------------------------------------------------------------------------------------------------------------

/// Free bytes below which publishes are refused with `disk_full`; RocksDB needs room to flush and to compact.
pub const DISK_FREE_MIN: u64 = 256 * 1024 * 1024;

/// Free bytes from which on a store that has run out of space is opened again, whatever the configured minimum says:
/// opening writes what is in the write-ahead log to files. With less, it would open and fail once a second, each time
/// in a new epoch, and nobody could read meanwhile.
pub const DISK_REOPEN_MIN: u64 = 16 * 1024 * 1024;

/// How often the free space and the mark file are looked after.
pub const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);

/// How often the floors of rooms in memory are moved by time alone, and windows of time are dropped.
pub const TICK_INTERVAL: Duration = Duration::from_secs(10);

/// Unclean starts that a partition and each of its rooms remember; positions from before are answered with `Reset`.
pub const EPOCHS_MAX: usize = 1_024;

const _: () = assert!(EPOCHS_MAX <= wire::LIST_LENGTH_MAX);

/// Memory for blocks read from the log, shared by all spaces. Catch-up of many readers from the same stretch reads the
/// disk once as long as it fits.
pub const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Memory for records that are written but not yet in a table file, all spaces together.
pub const WRITE_BUFFER_BYTES: usize = 256 * 1024 * 1024;
