//! A UDP and TCP proxy that is as bad as a network can be: seeded, and says what it did.
//!
//! ```no_run
//! use loquic_impair::{Cut, Profile, Proxy, Rebinding};
//!
//! # async fn run(server: std::net::SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
//! let proxy = Proxy::udp(server, "loss-2,delay=15ms".parse()?, 42).await?;
//! println!("clients connect to {}", proxy.address());
//! proxy.rebind(Rebinding::Port); // the server sees every client at a new port
//! proxy.cut(Cut::Both); // nothing passes
//! proxy.cut(Cut::Neither);
//! proxy.set_profile(Profile::CLEAN);
//! println!("{}", proxy.shutdown().await);
//! # Ok(())
//! # }
//! ```
//!
//! By hand: `loquic-impair udp --to 127.0.0.1:4433 --profile rebind-5s`; `loquic-impair profiles` lists the names.
//!
//! # Profiles
//!
//! A [`Profile`] is a name, or keys and values, or a name and what differs from it: `interop-clean,loss=5%`. A key
//! holds for both directions, with `up.` (to the server) or `down.` for one. Written and read the same way in TOML
//! and JSON.
//!
//! | Key | Example | Meaning |
//! |---|---|---|
//! | `delay` | `15ms` | one way |
//! | `jitter` | `20ms` | up to so much more, evenly spread; keeps the order |
//! | `loss` | `2%` | of the packets, each by itself |
//! | `burst` | `1%/30%/100%` | Gilbert–Elliott: chance to enter the bad state, to leave it, and of loss in it |
//! | `run` | `3` | at most so many packets in a row are lost (and, separately, corrupted) |
//! | `corrupt` | `2%` | one bit flipped |
//! | `duplicate` | `5%` | sent twice, the copy up to `jitter` later |
//! | `reorder` | `20%/30ms` | held back up to so long, so that later ones overtake |
//! | `rate` | `10Mbit` | of payload, headers not counted; also `kbit`, `Gbit`, `bit` |
//! | `queue` | `25` | packets that may wait for the rate; what comes then is dropped |
//! | `blackout` | `5s/2s` | passes for the first time, then drops for the second, and again |
//! | `drop` | `2-7` | the 2nd to 7th packet of each client |
//! | `rebind` | `port/1s/5s` | `port` or `address`: a client is moved 1 s after its first packet, then every 5 s |
//!
//! # What is decided, and what is the same again
//!
//! [`Lane`] decides, without I/O: one for each client and direction. What chance decides about the n-th packet of the
//! m-th client is a function of seed, m, n, direction and profile: not of time, nor of other clients. Blackouts and
//! full queues depend on when packets come, which on real sockets is never twice the same.
//!
//! Every client has a link of its own: `rate` and `queue` are not shared. A client is a source address; one that was
//! silent for [`limits::CLIENT_IDLE_MAX`] is forgotten and gets a new number. A profile set later starts its
//! blackouts and rebindings anew; dice and packet numbers go on. Packets that are on their way when a blackout begins
//! still arrive.
//!
//! # UDP
//!
//! Rebinding replaces the client's socket towards the server: a new port, or a new port at another 127.0.0.x (IPv4 on
//! loopback; elsewhere it is the port alone). What was on its way to the old one is lost, as behind a NAT that
//! forgot. Not passed on: ECN marks, which many networks bleach too. Timers have a resolution of 1 ms, so that a
//! paced link sends in small groups. What the kernel drops in front of a socket that is not read in time is not seen,
//! and not counted.
//!
//! # TCP
//!
//! Loss is not possible in a stream that both kernels repair: no byte is lost, changed, repeated or out of order
//! here. `loss`, `burst` and `corrupt` delay a segment (1,448 bytes) and all behind it by [`limits::STALL_MIN`] plus
//! a round trip, about what TCP's retransmission timer would; that is harder than a fast retransmission. `duplicate`,
//! `reorder` and `drop` do nothing. A full `queue` stops reading, so that the sender feels it. In a blackout nothing
//! moves, afterwards all comes. A rebinding resets the connection (RST both ways), which is what a NAT that forgot
//! does to TCP; a profile's resets each one when it is as old as the interval.
//!
//! # Counters
//!
//! [`Stats`] has for each direction what was received, delivered, dropped for which reason, duplicated, reordered,
//! delayed and so on. `received + duplicated = delivered + dropped + waiting`, always.

#![forbid(unsafe_code)]

mod conditions;
mod lane;
mod leg;
pub mod limits;
mod named;
mod profile;
mod proxy;
mod schedule;
mod shared;
mod stats;
mod tcp;
mod udp;
mod units;

pub use conditions::{Blackout, Burst, Conditions, Reorder};
pub use lane::{Delivery, Direction, Fate, Lane, Reason, Segment};
pub use named::{NAMED, Named};
pub use profile::{ParseError, Profile, Rebind, Rebinding};
pub use proxy::{Cut, Proxy};
pub use schedule::{Due, Schedule};
pub use stats::{Counters, Dropped, Stats};
pub use units::{Chance, Rate};
