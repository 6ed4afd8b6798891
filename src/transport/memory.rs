//! A link inside the process, for tests: bounded buffers, and a tester's hand on it. It can be cut, and each
//! direction can be stalled. Unlike others it is not closed by being dropped.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use loquic_wire::{Code, limits::DATAGRAM_BYTES_MAX};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{DatagramError, LinkError, StreamError};

/// Bytes that one direction of a stream holds when nobody reads; a write past it waits.
pub const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// Datagrams held when nobody reads; the oldest is dropped.
const DATAGRAMS_MAX: usize = 64;

/// Two ends of a link. The first may open `streams_max` streams at once until the second says otherwise, and the
/// other way round.
pub fn pair(streams_max: u32) -> (Link, Link) {
    let shared = Arc::new(Shared { state: Mutex::new(State::new(streams_max)), changed: Notify::new() });
    (Link { shared: shared.clone(), side: 0 }, Link { shared, side: 1 })
}

/// One end of a link.
#[derive(Debug, Clone)]
pub struct Link {
    shared: Arc<Shared>,
    side: usize,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes everybody at every change: simple, and only tests pay for it.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Who closed it and what they said.
    closed: Option<(Option<usize>, Code, String)>,
    sides: [Side; 2],
    /// Both directions of all streams ever opened; `pipes[2 * stream + side]` is written by `side`.
    pipes: Vec<Pipe>,
}

/// What belongs to one end.
#[derive(Debug, Default)]
struct Side {
    /// Streams that this end opened and the other has not accepted.
    opened: VecDeque<usize>,
    /// Streams that this end may have open.
    streams_max: u32,
    /// Streams that this end opened and that are not ended in both directions.
    streams_open: u32,
    /// What this end writes does not arrive.
    is_stalled: bool,
    /// Sent to this end.
    datagrams: VecDeque<Bytes>,
    send_window: Option<u64>,
}

#[derive(Debug, Default)]
struct Pipe {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// The writer's last word: `Ok` is the end in good order.
    end: Option<Result<(), Code>>,
    stopped: Option<Code>,
    /// The reader has seen the end, or wants no more.
    is_done: bool,
    priority: i32,
}

impl State {
    fn new(streams_max: u32) -> Self {
        let side = || Side { streams_max, ..Side::default() };
        Self { closed: None, sides: [side(), side()], pipes: Vec::new() }
    }

    fn check(&self, side: usize) -> Result<(), LinkError> {
        match &self.closed {
            None => Ok(()),
            Some((None, ..)) => Err(LinkError::TimedOut),
            Some((Some(by), ..)) if *by == side => Err(LinkError::ClosedHere),
            Some((_, code, reason)) => Err(LinkError::ClosedByPeer { code: *code, reason: reason.clone() }),
        }
    }

    /// Marks a direction as done and, when both are, gives the opener its stream back.
    fn done(&mut self, pipe: usize, opener: usize) {
        if std::mem::replace(&mut self.pipes[pipe].is_done, true) {
            return;
        }
        if self.pipes[pipe ^ 1].is_done {
            self.sides[opener].streams_open -= 1;
        }
    }
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.notify_waiters();
        result
    }

    /// Tries until `step` says something.
    async fn wait<T>(&self, mut step: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(result) = step(&mut self.state.lock()) {
                self.changed.notify_waiters();
                return result;
            }
            changed.await;
        }
    }
}

/// The tester's hand.
impl Link {
    /// Breaks the link without a word: both ends find the other silent.
    pub fn cut(&self) {
        self.shared.change(|state| {
            state.closed.get_or_insert((None, Code::TIMED_OUT, String::new()));
        });
    }

    /// Whether what this end writes arrives. While it does not, buffers fill and writes wait.
    pub fn stall(&self, is_stalled: bool) {
        self.shared.change(|state| state.sides[self.side].is_stalled = is_stalled);
    }

    /// How many streams this end may have open, as the other end last said.
    pub fn streams_max(&self) -> u32 {
        self.shared.state.lock().sides[self.side].streams_max
    }

    fn halves(&self, stream: usize, opener: usize) -> (SendStream, RecvStream) {
        let half = |writer| Half { shared: self.shared.clone(), pipe: 2 * stream + writer, side: self.side, opener };
        (SendStream { half: half(self.side), is_ended: false }, RecvStream { half: half(1 - self.side) })
    }
}

impl super::Link for Link {
    type Send = SendStream;
    type Recv = RecvStream;

    async fn accept(&self) -> Result<(SendStream, RecvStream), LinkError> {
        let peer = 1 - self.side;
        let stream = self.shared.wait(|state| {
            if let Err(error) = state.check(self.side) {
                return Some(Err(error));
            }
            let is_there = |stream: &usize| {
                let pipe = &state.pipes[2 * stream + peer];
                !state.sides[peer].is_stalled && (!pipe.chunks.is_empty() || pipe.end.is_some())
            };
            let at = state.sides[peer].opened.iter().position(is_there)?;
            state.sides[peer].opened.remove(at).map(Ok)
        });
        Ok(self.halves(stream.await?, peer))
    }

    async fn open(&self) -> Result<(SendStream, RecvStream), LinkError> {
        let stream = self.shared.wait(|state| {
            if let Err(error) = state.check(self.side) {
                return Some(Err(error));
            }
            let side = &mut state.sides[self.side];
            if side.streams_open >= side.streams_max {
                return None;
            }
            let stream = state.pipes.len() / 2;
            side.streams_open += 1;
            side.opened.push_back(stream);
            state.pipes.extend([Pipe::default(), Pipe::default()]);
            Some(Ok(stream))
        });
        Ok(self.halves(stream.await?, self.side))
    }

    fn send_datagram(&self, datagram: Bytes) -> Result<(), DatagramError> {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            return Err(DatagramError::TooLarge);
        }
        self.shared.change(|state| {
            state.check(self.side)?;
            if !state.sides[self.side].is_stalled {
                let queue = &mut state.sides[1 - self.side].datagrams;
                queue.push_back(datagram);
                queue.drain(..queue.len().saturating_sub(DATAGRAMS_MAX));
            }
            Ok(())
        })
    }

    async fn receive_datagram(&self) -> Result<Bytes, LinkError> {
        let next = |state: &mut State| match state.sides[self.side].datagrams.pop_front() {
            Some(datagram) => Some(Ok(datagram)),
            None => state.check(self.side).err().map(Err),
        };
        self.shared.wait(next).await
    }

    fn datagram_bytes_max(&self) -> Option<usize> {
        Some(DATAGRAM_BYTES_MAX)
    }

    fn close(&self, code: Code, reason: &str) {
        self.shared.change(|state| {
            state.closed.get_or_insert_with(|| (Some(self.side), code, reason.to_owned()));
        });
    }

    async fn closed(&self) -> LinkError {
        self.shared.wait(|state| state.check(self.side).err()).await
    }

    fn peer(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
    }

    fn transport(&self) -> &'static str {
        "memory"
    }

    fn congestion_window(&self) -> u64 {
        BUFFER_BYTES_MAX as u64
    }

    fn set_send_window(&self, bytes: u64) {
        // Wakes nobody: it is noted, and holds nothing back.
        self.shared.state.lock().sides[self.side].send_window = Some(bytes);
    }

    fn set_streams_max(&self, count: u32) {
        self.shared.change(|state| state.sides[1 - self.side].streams_max = count);
    }
}

/// One direction of a stream as one end sees it.
#[derive(Debug)]
struct Half {
    shared: Arc<Shared>,
    pipe: usize,
    side: usize,
    opener: usize,
}

/// The half that is written.
#[derive(Debug)]
pub struct SendStream {
    half: Half,
    is_ended: bool,
}

impl SendStream {
    /// The priority that was set last.
    pub fn priority(&self) -> i32 {
        self.half.shared.state.lock().pipes[self.half.pipe].priority
    }
}

impl super::SendStream for SendStream {
    async fn write_chunks(&mut self, chunks: &mut [Bytes]) -> Result<usize, StreamError> {
        let Half { shared, pipe, side, .. } = &self.half;
        let step = |state: &mut State| {
            if let Err(error) = state.check(*side) {
                return Some(Err(error.into()));
            }
            let pipe = &mut state.pipes[*pipe];
            match (pipe.stopped, pipe.end) {
                (Some(code), _) => return Some(Err(StreamError::Stopped(code))),
                (_, Some(_)) => return Some(Err(StreamError::Ended)),
                _ => {}
            }
            let (mut whole, before) = (0, pipe.bytes);
            for chunk in chunks.iter_mut() {
                let taken = chunk.split_to(chunk.len().min(BUFFER_BYTES_MAX - pipe.bytes));
                pipe.bytes += taken.len();
                if !taken.is_empty() {
                    pipe.chunks.push_back(taken);
                }
                if !chunk.is_empty() {
                    break;
                }
                whole += 1;
            }
            (whole > 0 || pipe.bytes > before || chunks.is_empty()).then_some(Ok(whole))
        };
        shared.wait(step).await
    }

    fn finish(&mut self) {
        self.end(Ok(()));
    }

    fn reset(&mut self, code: Code) {
        self.end(Err(code));
    }

    fn set_priority(&self, priority: i32) {
        self.half.shared.change(|state| state.pipes[self.half.pipe].priority = priority);
    }
}

impl SendStream {
    fn end(&mut self, end: Result<(), Code>) {
        if std::mem::replace(&mut self.is_ended, true) {
            return;
        }
        self.half.shared.change(|state| {
            let pipe = &mut state.pipes[self.half.pipe];
            pipe.end.get_or_insert(end);
            if end.is_err() {
                pipe.chunks.clear();
            }
        });
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        self.end(Err(Code::DONE));
    }
}

/// The half that is read.
#[derive(Debug)]
pub struct RecvStream {
    half: Half,
}

impl super::RecvStream for RecvStream {
    async fn read_chunks(&mut self, chunks: &mut [Bytes]) -> Result<Option<usize>, StreamError> {
        let Half { shared, pipe, side, opener } = &self.half;
        let step = |state: &mut State| {
            let is_stalled = state.sides[1 - *side].is_stalled;
            let direction = &mut state.pipes[*pipe];
            if !direction.chunks.is_empty() && !is_stalled {
                let count = chunks.len().min(direction.chunks.len());
                for (slot, chunk) in chunks.iter_mut().zip(direction.chunks.drain(..count)) {
                    direction.bytes -= chunk.len();
                    *slot = chunk;
                }
                return Some(Ok(Some(count)));
            }
            if let Err(error) = state.check(*side) {
                return Some(Err(error.into()));
            }
            let end = state.pipes[*pipe].end.filter(|_| !is_stalled)?;
            state.done(*pipe, *opener);
            Some(end.map(|()| None).map_err(StreamError::Reset))
        };
        shared.wait(step).await
    }

    fn stop(&mut self, code: Code) {
        let Half { shared, pipe, opener, .. } = &self.half;
        shared.change(|state| {
            let direction = &mut state.pipes[*pipe];
            if !direction.is_done {
                direction.stopped.get_or_insert(code);
                state.done(*pipe, *opener);
            }
        });
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        super::RecvStream::stop(self, Code::DONE);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::transport::{Link as _, RecvStream as _, SendStream as _};

    async fn read(recv: &mut RecvStream) -> Result<Option<Vec<u8>>, StreamError> {
        let mut chunks = [const { Bytes::new() }; 4];
        let count = recv.read_chunks(&mut chunks).await?;
        Ok(count.map(|count| chunks[..count].concat()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_carries_bytes_and_its_end() {
        let (ours, theirs) = pair(1);
        let (mut send, _recv) = ours.open().await.unwrap();
        send.write_all_chunks(&mut ["ab".into(), "c".into()]).await.unwrap();
        let (_send, mut recv) = theirs.accept().await.unwrap();
        assert_eq!(read(&mut recv).await, Ok(Some(b"abc".to_vec())));
        send.finish();
        assert_eq!(read(&mut recv).await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_stream_is_reset_and_stopped() {
        let (ours, theirs) = pair(1);
        let (mut send, recv) = ours.open().await.unwrap();
        send.write_all_chunks(&mut ["a".into()]).await.unwrap();
        let (mut their_send, mut their_recv) = theirs.accept().await.unwrap();
        drop((send, recv));
        assert_eq!(read(&mut their_recv).await, Err(StreamError::Reset(Code::DONE)));
        let written = their_send.write_chunks(&mut ["b".into()]).await;
        assert_eq!(written, Err(StreamError::Stopped(Code::DONE)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_buffer_makes_the_writer_wait() {
        let (ours, theirs) = pair(1);
        let (mut send, _recv) = ours.open().await.unwrap();
        let mut chunks = [vec![7; BUFFER_BYTES_MAX + 1].into()];
        assert_eq!(send.write_chunks(&mut chunks).await, Ok(0));
        assert_eq!(chunks[0].len(), 1);
        assert!(timeout(Duration::from_secs(1), send.write_chunks(&mut chunks)).await.is_err());
        let (_send, mut recv) = theirs.accept().await.unwrap();
        assert_eq!(read(&mut recv).await.unwrap().unwrap().len(), BUFFER_BYTES_MAX);
        assert_eq!(send.write_chunks(&mut chunks).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn streams_past_the_limit_wait_for_one_to_end() {
        let (ours, theirs) = pair(1);
        let (mut send, recv) = ours.open().await.unwrap();
        assert!(timeout(Duration::from_secs(1), ours.open()).await.is_err());
        send.finish();
        let theirs_halves = theirs.accept().await.unwrap();
        drop((recv, theirs_halves));
        ours.open().await.unwrap();
        assert!(timeout(Duration::from_secs(1), ours.open()).await.is_err());
        theirs.set_streams_max(2);
        ours.open().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_direction_goes_on_later() {
        let (ours, theirs) = pair(1);
        ours.stall(true);
        let (mut send, _recv) = ours.open().await.unwrap();
        send.write_all_chunks(&mut ["a".into()]).await.unwrap();
        assert!(timeout(Duration::from_secs(1), theirs.accept()).await.is_err());
        ours.stall(false);
        let (_send, mut recv) = theirs.accept().await.unwrap();
        assert_eq!(read(&mut recv).await, Ok(Some(b"a".to_vec())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_is_told_and_a_cut_is_not() {
        let (ours, theirs) = pair(1);
        ours.close(Code::DRAINING, "bye");
        let told = LinkError::ClosedByPeer { code: Code::DRAINING, reason: "bye".into() };
        assert_eq!((ours.closed().await, theirs.closed().await), (LinkError::ClosedHere, told));
        let (ours, theirs) = pair(1);
        ours.cut();
        assert_eq!(theirs.accept().await.unwrap_err(), LinkError::TimedOut);
        assert_eq!(ours.open().await.unwrap_err(), LinkError::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn datagrams_arrive_and_the_oldest_are_dropped() {
        let (ours, theirs) = pair(1);
        for number in 0..=DATAGRAMS_MAX {
            ours.send_datagram(vec![number as u8].into()).unwrap();
        }
        assert_eq!(theirs.receive_datagram().await.unwrap()[0], 1);
        assert_eq!(ours.send_datagram(vec![0; 2_000].into()), Err(DatagramError::TooLarge));
    }
}
