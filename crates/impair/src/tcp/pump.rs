//! One direction of a connection: reads, waits as its lane says, and writes.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::{ReadHalf, WriteHalf},
    sync::watch,
};

use crate::{
    lane::Direction,
    leg::Leg,
    limits,
    shared::{Setting, Shared},
};

pub(super) struct Pump {
    leg: Leg,
    direction: Direction,
    /// When the end of the stream arrives, once it was read.
    end_at: Option<Duration>,
    setting: watch::Receiver<Setting>,
    shared: Arc<Shared>,
}

impl Pump {
    pub(super) fn new(
        shared: Arc<Shared>,
        number: u64,
        direction: Direction,
        asked: &Setting,
        mut setting: watch::Receiver<Setting>,
    ) -> Self {
        let mut leg = Leg::new(shared.clone(), number, direction, asked);
        leg.adopt(&setting.borrow_and_update());
        Self { leg, direction, end_at: None, setting, shared }
    }

    /// Until the stream has ended on the other side as well, or one of them fails.
    pub(super) async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let mut buffer = vec![0; limits::READ_BYTES_MAX];
        loop {
            let now = self.shared.now();
            self.hand_on(now, &mut to).await?;
            let is_dark = self.leg.lane.is_dark(now);
            if !is_dark && self.leg.is_empty() && self.end_at.is_some_and(|at| at <= now) {
                return to.shutdown().await;
            }
            let room_at = self.leg.lane.room_at(now);
            let has_room = self.leg.bytes() < limits::STREAM_BYTES_MAX;
            let due_at = if is_dark { self.leg.lane.light_at(now) } else { self.leg.next_at().or(self.end_at) };
            let wake_at = due_at.into_iter().chain(room_at.filter(|_| self.end_at.is_none() && has_room)).min();
            // One at a time when there is a rate, so that no more than its queue is taken from the sender.
            let bytes_max = if self.leg.lane.is_paced() { limits::SEGMENT_BYTES } else { buffer.len() };
            tokio::select! {
                biased;
                changed = self.setting.changed() => {
                    changed.map_err(|_| io::ErrorKind::ConnectionAborted)?;
                    self.leg.adopt(&self.setting.borrow_and_update());
                }
                () = self.shared.wait_until(wake_at) => {}
                bytes = from.read(&mut buffer[..bytes_max]),
                    if self.end_at.is_none() && has_room && room_at.is_none() => self.handle_read(&buffer[..bytes?]),
            }
        }
    }

    fn handle_read(&mut self, bytes: &[u8]) {
        let now = self.shared.now();
        if bytes.is_empty() {
            self.end_at = Some(self.leg.lane.handle_segment(now, 0).at);
        }
        for segment in bytes.chunks(limits::SEGMENT_BYTES) {
            let packet = self.shared.hold(self.direction, segment);
            self.leg.handle_segment(now, packet);
        }
    }

    /// Not cancel-safe: what was taken out may have been written in part. It is cancelled only with its connection.
    async fn hand_on(&mut self, now: Duration, to: &mut WriteHalf<'_>) -> io::Result<()> {
        while !self.leg.lane.is_dark(now)
            && let Some(packet) = self.leg.pop(now)
        {
            let written = to.write_all(&packet.bytes).await;
            self.leg.count_handed_on(packet.bytes.len(), written.is_ok());
            written?;
        }
        Ok(())
    }
}
