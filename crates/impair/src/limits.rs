//! Every bound of the proxy, and what happens there.

use std::time::Duration;

/// UDP clients tracked at a time; each has a socket and a task. Packets of further ones are dropped as `bound`. The
/// process's limit of open files may be lower: that counts as a socket error, and drops as well.
pub const CLIENTS_MAX: usize = 16_384;

/// TCP connections at a time; further ones are reset.
pub const CONNECTIONS_MAX: usize = 1_024;

/// Bytes of all packets inside a UDP proxy; what comes then is dropped as `bound`. Holds 750 ms of 100,000 packets/s
/// of 1,200 bytes twice.
pub const WAITING_BYTES_MAX: usize = 256 << 20;

/// Bytes inside a TCP proxy for one direction of a connection; then it is no longer read from. At 375 ms one way that
/// is 1.4 MB/s. All connections at this bound: 1 GiB.
pub const STREAM_BYTES_MAX: usize = 512 << 10;

/// Packets that wait for a client's task; what comes then is dropped as `bound`. 80 ms of 100,000 packets/s: a busy
/// machine may let the task wait for that long. Memory is taken as they come, and bounded by [`WAITING_BYTES_MAX`].
pub const INBOX_PACKETS_MAX: usize = 8_192;

/// A UDP client that neither sent nor got anything for so long is forgotten, twice the usual idle timeout of QUIC.
pub const CLIENT_IDLE_MAX: Duration = Duration::from_secs(60);

/// Packets handled before other work has its turn.
pub const BATCH_PACKETS_MAX: usize = 64;

/// The kernel's buffers, as far as it allows: a burst must not be lost before it is seen.
pub const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// The largest UDP datagram.
pub const DATAGRAM_BYTES_MAX: usize = 65_535;

/// The unit of loss and rate in a stream: what TCP sends at a time over Ethernet.
pub const SEGMENT_BYTES: usize = 1_448;

/// What is read from a stream at a time when no rate is set.
pub const READ_BYTES_MAX: usize = 16 << 10;

/// What a lost segment costs a stream, beside a round trip: the least retransmission timeout of Linux.
pub const STALL_MIN: Duration = Duration::from_millis(200);

/// Below it a single packet would take minutes.
pub const RATE_BITS_PER_SECOND_MIN: u64 = 1_000;

/// Delays, periods and intervals beyond are mistakes.
pub const DURATION_MAX: Duration = Duration::from_secs(3_600);

/// Rebinding and blackout periods below this would be all that the proxy does.
pub const PERIOD_MIN: Duration = Duration::from_millis(10);

/// Packets that may wait for a rate when `queue` is not set, as in the QUIC interop runner.
pub const QUEUE_PACKETS_DEFAULT: u32 = 25;

/// Remembered departures of a paced lane, 16 bytes each.
pub const QUEUE_PACKETS_MAX: u32 = 65_536;
