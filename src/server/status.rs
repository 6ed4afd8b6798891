//! The node as its operators see it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    api::ops,
    journal::Refusing,
    metrics::{CONTENT_TYPE, Metrics},
    room::Rooms,
};

/// What the ops listener is told.
pub(super) struct Status {
    metrics: Metrics,
    rooms: Rooms,
    draining: AtomicBool,
}

impl Status {
    pub(super) fn new(metrics: Metrics, rooms: Rooms) -> Self {
        Self { metrics, rooms, draining: AtomicBool::new(false) }
    }

    /// From now on nobody should be sent here.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

impl ops::Node for Status {
    fn metrics(&self) -> (String, &'static str) {
        (self.metrics.text(), CONTENT_TYPE)
    }

    /// A disk that is nearly full is no reason: it refuses publishes for a while, and another node's may be as full.
    fn readiness(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining");
        }
        match self.rooms.stats().journal.refusing() {
            Some(Refusing::Poisoned) => Err("the log is poisoned: a write or sync has failed; restart the node"),
            Some(Refusing::DiskFull) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use bytes::Bytes;
    use loquic_wire::{
        Code, ProducerId,
        publish::Publish,
        record::{Flags, Format, Kind},
    };

    use super::*;
    use crate::{
        api::{Addresses, Api, ApiOptions, Info, ops::Node},
        config::Advertise,
        log::{Memory, StoreError},
        metrics::Ports,
        room::{Options, ProducerKey, RoomKey, testing},
        server::Sessions,
        session::{self, auth::DANGER_ADMIT_EVERYBODY},
        transport::websocket,
    };

    #[tokio::test]
    async fn it_is_ready_until_its_log_is_poisoned_or_it_drains() {
        let store = Arc::new(Memory::default());
        let (rooms, journal) = testing::rooms_over(store.clone(), Options::default());
        let sessions = session::Shared::new(rooms.clone(), DANGER_ADMIT_EVERYBODY, session::Config::default());
        let options =
            websocket::Options { connect_timeout: Duration::ZERO, idle_timeout: Duration::ZERO, origins: Vec::new() };
        let websockets = websocket::Acceptor::new(options, Sessions(sessions.clone()));
        let ports = Ports { endpoints: Vec::new(), listeners: Vec::new(), websockets };
        let info = Arc::new(Info::new("n1".into(), &Addresses::default(), &Advertise::default()));
        let options = ApiOptions {
            origins: Vec::new(),
            payload_bytes_max: 1,
            body_timeout: Duration::ZERO,
            event_streams_max: 0,
            keep_alive: Duration::from_secs(1),
        };
        let api = Api::new(sessions.clone(), info, options);
        let metrics = Metrics::new(std::time::SystemTime::now(), sessions, rooms.clone(), ports, api);
        let status = Status::new(metrics, rooms.clone());
        let key = RoomKey { tenant: "main".parse().unwrap(), room: "room".parse().unwrap() };
        let room = rooms.attach(&key).await.unwrap();
        let producer = ProducerKey { user: "ann".parse().unwrap(), producer: ProducerId([1; 16]) };
        let mut publisher = rooms.open_producer(&room, producer).await.unwrap();
        assert_eq!(status.readiness(), Ok(()));
        assert!(status.metrics().0.contains("\nloquic_journal_refusing{reason=\"poisoned\"} 0\n"));

        store.fail_next_sync(StoreError::Failed("the disk is broken".into()));
        publisher.offer(vec![Publish {
            id: 1,
            kind: Kind::MESSAGE,
            format: Format::Text,
            flags: Flags::NONE,
            refers: None,
            payload: Bytes::from_static(b"lost"),
        }]);
        assert_eq!(publisher.next().await.unwrap_err(), Code::LOG_POISONED);
        assert!(status.readiness().unwrap_err().contains("poisoned"));
        let metrics = status.metrics().0;
        assert!(metrics.contains("\nloquic_journal_refusing{reason=\"poisoned\"} 1\n"), "{metrics}");
        assert!(metrics.contains("\nloquic_journal_failures_total 1\n"), "{metrics}");
        status.drain();
        assert_eq!(status.readiness(), Err("draining"));
        drop((publisher, room));
        journal.end();
    }
}
