//! Every bound of the load generator, and what happens when it is reached.

use std::time::Duration;

/// How late publishes may leave, and how long arrivals may wait for a thread, at the 99th percentile, before a run is
/// invalid; `--lag-max` says otherwise. Ten milliseconds are what a scheduler takes on a busy machine; past it the
/// figures tell about the generator.
pub(crate) const LAG_MAX_DEFAULT: Duration = Duration::from_millis(10);

/// And the part of the latency that such a lag must make up before it matters.
pub(crate) const LAG_SHARE_MAX: f64 = 0.1;

/// The part of its threads' time that the generator may be busy. Past it deliveries wait for the generator to read
/// them.
pub(crate) const BUSY_MAX: f64 = 0.9;

/// How long a run must be for that to be known: the kernel counts processor time in steps of 10 ms.
pub(crate) const BUSY_TIME_MIN: Duration = Duration::from_millis(500);

/// The part of the schedule that must have been sent; less is a generator that could not keep up.
pub(crate) const SENT_MIN: f64 = 0.99;

/// Publishes without an answer that one publisher keeps; one more is counted as refused. The server lets 8,192 be in
/// flight on a stream, so this is reached only when it falls behind by that much again.
pub(crate) const OUTBOX_COUNT_MAX: usize = 16 * 1024;

/// And their bytes.
pub(crate) const OUTBOX_BYTES_MAX: usize = 64 << 20;

/// Sessions that are being opened at the same time: enough to be fast, and no storm. A storm is a scenario of its own.
pub(crate) const CONNECTING_MAX: usize = 64;

/// After the last publish: how long nothing at all may arrive before the rest is given up as lost or unknown.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// After the last publish: how long what is late may trickle in. A minute behind is not a server that keeps up.
pub(crate) const SETTLE_MAX: Duration = Duration::from_secs(60);

/// Runs of missing numbers that are remembered for one sequence. What comes late behind a forgotten one is taken for a
/// duplicate: with so many holes the verdict is clear in any case.
pub(crate) const HOLES_MAX: usize = 1024;

/// Different errors that are kept for the report; more are only counted.
pub(crate) const ERRORS_MAX: usize = 16;

/// Latencies past it are recorded as this.
pub(crate) const LATENCY_MAX: Duration = Duration::from_secs(3600);

/// How long the server may take to tell its metrics; then the run fails if it has not begun, and else does without
/// them.
pub(crate) const METRICS_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a page of metrics; more is not read. A node has about 10 kB, whatever its load.
pub(crate) const METRICS_BYTES_MAX: usize = 1 << 20;

/// The largest payload the protocol has.
pub(crate) const SIZE_MAX: usize = 128 * 1024;

/// Sessions of one run.
pub(crate) const SESSIONS_MAX: u64 = 100_000;

/// Members of all rooms of one run.
pub(crate) const MEMBERS_MAX: u64 = 1_000_000;

/// Pairs of a subscription and a publisher whose sequence it follows, at 40 bytes each: 800 MB.
pub(crate) const SEQUENCES_MAX: u64 = 20_000_000;

/// Publishes of one run. Their times are computed, not kept, so this only guards against a slip of the finger.
pub(crate) const PUBLISHES_MAX: f64 = 1e11;
