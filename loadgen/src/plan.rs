//! A run as it will be done: everything decided and checked.

use std::time::Duration;

use clap::ValueEnum;
use loquic_impair::Profile;
use serde::{Serialize, Serializer};

use crate::{
    limits::{MEMBERS_MAX, PUBLISHES_MAX, SEQUENCES_MAX, SESSIONS_MAX, SIZE_MAX},
    payload::STAMP_BYTES,
    scrape::Source,
    slo::Slo,
};

/// What the report calls `config`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Plan {
    pub(crate) scenario: Option<String>,
    pub(crate) url: String,
    pub(crate) transport: Transport,
    pub(crate) insecure: bool,
    pub(crate) rooms: u32,
    /// Per room.
    pub(crate) subscribers: u32,
    /// Per room.
    pub(crate) publishers: u32,
    pub(crate) sessions: u32,
    /// Publishes per second in total.
    pub(crate) rate: f64,
    /// Bytes of a payload.
    pub(crate) size: usize,
    #[serde(rename = "duration_s", serialize_with = "seconds")]
    pub(crate) duration: Duration,
    #[serde(rename = "warmup_s", serialize_with = "seconds")]
    pub(crate) warmup: Duration,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    pub(crate) server_pid: Option<u32>,
    pub(crate) metrics_url: Option<Source>,
    /// The network between the generator and the server.
    pub(crate) impair: Option<Profile>,
    #[serde(rename = "lag_max_s", serialize_with = "seconds")]
    pub(crate) lag_max: Duration,
    #[serde(rename = "connect_timeout_s", serialize_with = "seconds")]
    pub(crate) connect_timeout: Duration,
    /// Beside those that every run has.
    #[serde(serialize_with = "texts")]
    pub(crate) slo: Vec<Slo>,
}

/// How the server is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::enum_variant_names, reason = "WebTransport is a name")]
pub(crate) enum Transport {
    /// `loquic-1` straight over QUIC
    #[default]
    Quic,
    /// as browsers do
    #[value(name = "webtransport")]
    WebTransport,
    /// over TCP
    #[value(name = "websocket")]
    WebSocket,
}

fn seconds<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(duration.as_secs_f64())
}

fn texts<S: Serializer>(slo: &[Slo], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(slo.iter().map(ToString::to_string))
}

impl Plan {
    /// Everybody who is in one room: the first of them subscribe, the first of them publish.
    pub(crate) fn members(&self) -> u32 {
        self.subscribers.max(self.publishers)
    }

    /// Which session a member of a room uses. Members of one room have different ones.
    pub(crate) fn session_of(&self, room: u32, member: u32) -> usize {
        let number = u64::from(room) * u64::from(self.members()) + u64::from(member);
        (number % u64::from(self.sessions)) as usize
    }

    pub(crate) fn publishers_total(&self) -> u32 {
        self.rooms * self.publishers
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { rooms, subscribers, publishers, sessions, rate, size, .. } = *self;
        for (name, number) in [("rooms", rooms), ("subscribers", subscribers), ("publishers", publishers)] {
            if number == 0 {
                return Err(format!("--{name} must be at least 1"));
            }
        }
        if !rate.is_finite() || rate <= 0.0 {
            return Err("--rate must be above 0".into());
        }
        if !(STAMP_BYTES..=SIZE_MAX).contains(&size) {
            return Err(format!(
                "--size must be from {STAMP_BYTES} (what a payload must carry to be judged) to {SIZE_MAX} bytes"
            ));
        }
        let members = u64::from(rooms) * u64::from(self.members());
        if members > MEMBERS_MAX {
            return Err(format!("{members} members in all rooms together are too many; at most {MEMBERS_MAX}"));
        }
        let pairs = u64::from(subscribers) * u64::from(publishers);
        if pairs.saturating_mul(u64::from(rooms)) > SEQUENCES_MAX {
            return Err(format!(
                "--subscribers times --publishers in all rooms is too much to follow; at most {SEQUENCES_MAX}"
            ));
        }
        if sessions < self.members() {
            return Err(format!(
                "--sessions must be at least {}: members of a room have different ones",
                self.members()
            ));
        }
        if u64::from(sessions) > members.min(SESSIONS_MAX) {
            return Err(format!(
                "--sessions must be at most {}: one for each member of a room",
                members.min(SESSIONS_MAX)
            ));
        }
        if self.impair.is_some() && self.transport == Transport::WebSocket {
            return Err("--impair is for packets of UDP; --transport websocket goes over TCP".into());
        }
        let clients_max = loquic_impair::limits::CLIENTS_MAX;
        if self.impair.is_some() && sessions as usize > clients_max {
            return Err(format!("at most {clients_max} sessions with --impair: each has a link of its own"));
        }
        if self.duration.is_zero() {
            return Err("--duration must be above 0".into());
        }
        let publishes = rate * (self.duration + self.warmup).as_secs_f64();
        if !(1.0..=PUBLISHES_MAX).contains(&publishes) {
            return Err(format!("--rate and --duration together are {publishes} publishes; at least 1, at most 1e11"));
        }
        let is_blind = self.server_pid.is_none() && self.metrics_url.is_none();
        match self.slo.iter().find(|slo| slo.needs_server() && is_blind) {
            Some(slo) => Err(format!("--slo {slo} needs --server-pid or --metrics-url")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn plan() -> Plan {
        Plan {
            rooms: 10,
            subscribers: 5,
            publishers: 2,
            sessions: 50,
            rate: 10.0,
            size: 128,
            duration: Duration::from_secs(1),
            ..Plan::default()
        }
    }

    #[test]
    fn members_of_a_room_have_different_sessions_and_all_sessions_are_used() {
        for sessions in [5, 7, 49, 50] {
            let plan = Plan { sessions, ..plan() };
            plan.check().unwrap();
            let mut all = HashSet::new();
            for room in 0..10 {
                let of_room: HashSet<_> = (0..5).map(|member| plan.session_of(room, member)).collect();
                assert_eq!(of_room.len(), 5);
                all.extend(of_room);
            }
            assert_eq!(all.len(), sessions as usize);
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let second = Duration::from_secs(1);
        for (plan, said) in [
            (Plan { rooms: 0, ..plan() }, "--rooms"),
            (Plan { subscribers: 0, ..plan() }, "--subscribers"),
            (Plan { rate: f64::NAN, ..plan() }, "--rate"),
            (Plan { size: STAMP_BYTES - 1, ..plan() }, "--size must be from 28"),
            (Plan { sessions: 4, ..plan() }, "at least 5"),
            (Plan { sessions: 51, ..plan() }, "at most 50"),
            (Plan { rooms: 1_000_000, ..plan() }, "too many"),
            (Plan { rooms: 1, subscribers: 5000, publishers: 5000, ..plan() }, "too much to follow"),
            (Plan { duration: Duration::ZERO, ..plan() }, "--duration"),
            (Plan { rate: 0.1, duration: second, ..plan() }, "publishes"),
            (Plan { slo: vec!["server_rss<1GB".parse().unwrap()], ..plan() }, "needs --server-pid"),
        ] {
            let error = plan.check().unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
