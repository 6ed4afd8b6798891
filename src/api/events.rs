//! `GET /v1/rooms/{room}/events`: a room as server-sent events, for `curl` and for browsers' `EventSource`.
//!
//! A reader whose next event is only looked for when the socket takes more: nothing queues for who is slow. Each event
//! carries the position behind it as its id, so that whoever comes back with `Last-Event-ID` misses nothing.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use aws_lc_rs::rand;
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use loquic_wire::{
    Code, Epoch, Offset, Position, RoomName,
    join::{From, Mode},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Api,
    caller::Caller,
    history::put,
    problem::Problem,
    request::{Named, Parameters, header_text},
};
use crate::{
    config::limits,
    notation::{json, start},
    room::{Event, Reader, records},
    session::{Drain, auth::Action},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    from: Option<String>,
    last_event_id: Option<String>,
    until: Option<Until>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Until {
    CaughtUp,
}

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Named(name): Named,
    Parameters(which): Parameters<Which>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let from = from(&headers, &which)?;
    let key = caller.key(Action::Join, name.clone())?;
    let Ok(place) = api.streams.clone().try_acquire_owned() else {
        return Err(Problem::of(Code::TOO_MANY_SESSIONS, "the node has as many event streams as it may"));
    };
    // Whoever finds the node going away is told when to come back, and not refused: EventSource gives up when it is.
    let draining = api.sessions.drain_watch().borrow().is_some();
    if draining {
        return Ok(answer(Body::from(goodbye(limits::RESTART_DELAY))));
    }
    let room = api.sessions.rooms().attach(&key).await?;
    let (reader, status) = room.reader(from, Mode::All)?;
    let expires = caller.expires_at().and_then(|at| {
        // It was taken within the leeway, and ends with it: like a session, however late it has begun.
        let until = Duration::from_millis(at.get()) + limits::TOKEN_LEEWAY;
        let left = until.saturating_sub(Duration::from_millis(crate::session::now().get()));
        Instant::now().checked_add(left)
    });
    let stream = Stream {
        room: name,
        epoch: status.epoch,
        reader,
        until: which.until,
        drain: api.sessions.drain_watch(),
        expires,
        is_begun: false,
        _open: Open::new(&api, place),
        api,
    };
    // Boxed once for hours: the future of `next` is as large as reading the log needs.
    let chunks = stream::unfold(Some(Box::new(stream)), |stream| async {
        let mut stream = stream?;
        let (chunk, goes_on) = stream.next().await;
        Some((Ok::<_, std::convert::Infallible>(chunk), goes_on.then_some(stream)))
    });
    Ok(answer(Body::from_stream(chunks)))
}

fn answer(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would hold events back until a buffer is full.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}

/// Where to start: behind the last event that the client has, else where it asks for.
fn from(headers: &HeaderMap, which: &Which) -> Result<From, Problem> {
    // A client that has had no event yet may send an empty one.
    let is_one = |last: &&str| !last.is_empty();
    let header = header_text(headers, "last-event-id")?.filter(is_one);
    if let Some(last) = header.or(which.last_event_id.as_deref().filter(is_one)) {
        let position = last.parse::<Position>();
        return position.map(From::After).map_err(|error| Problem::bad_request(format!("last event id: {error}")));
    }
    which.from.as_deref().map_or(Ok(From::Live), |text| start::parse(text).map_err(Problem::bad_request))
}

/// What one client follows.
struct Stream {
    api: Arc<Api>,
    room: RoomName,
    epoch: Epoch,
    reader: Reader,
    until: Option<Until>,
    drain: watch::Receiver<Option<Drain>>,
    expires: Option<Instant>,
    is_begun: bool,
    _open: Open,
}

impl Stream {
    /// The next bytes, and whether more follow.
    async fn next(&mut self) -> (Bytes, bool) {
        if !std::mem::replace(&mut self.is_begun, true) {
            return (retry(limits::EVENT_STREAM_RETRY).into(), true);
        }
        tokio::select! {
            // Ends first: a busy room must not keep them from being heard.
            biased;
            delay = drained(&mut self.drain) => (goodbye(delay).into(), false),
            () = at(self.expires) => (ended(Code::TOKEN_EXPIRED), false),
            // A page at most, however much there is.
            event = self.reader.next(u64::MAX) => self.handle_event(event),
            () = sleep(self.api.options.keep_alive) => (b":\n\n".as_slice().into(), true),
        }
    }

    fn handle_event(&mut self, event: Event) -> (Bytes, bool) {
        let (mut out, room, epoch) = (Vec::new(), &self.room, self.epoch);
        let mut is_over = false;
        match event {
            Event::Records { frames, count, .. } => match records(&frames) {
                Ok(records) => {
                    self.api.stats.records_delivered.fetch_add(count, Ordering::Relaxed);
                    for record in &records {
                        write(&mut out, epoch, record.offset, None, &json::Record::new(room, epoch, record));
                    }
                }
                Err(code) => return (ended(code), false),
            },
            Event::Gap(gap) => write(&mut out, epoch, gap.to, Some("gap"), &json::Event::gap(room, &gap)),
            Event::Reset(reset) => {
                self.epoch = reset.epoch;
                let event = json::Event::reset(room, &reset);
                write(&mut out, reset.epoch, reset.valid_to, Some("reset"), &event);
            }
            Event::CaughtUp(caught_up) => {
                let event = json::Event::caught_up(room, &caught_up);
                // Its id is what makes coming back whole for a client that has seen no record yet.
                write(&mut out, epoch, caught_up.head, Some("caught-up"), &event);
                is_over = self.until == Some(Until::CaughtUp);
            }
            // Only for sessions.
            Event::Ephemerals(_) | Event::Interrupted => {}
            Event::Failed(code) => return (ended(code), false),
        }
        (out.into(), !is_over)
    }
}

/// One event. Its JSON is on one line, so it is one field. The id comes last: whoever has seen it, `grep` included, has
/// seen the data too.
fn write(out: &mut Vec<u8>, epoch: Epoch, offset: Offset, event: Option<&str>, data: &impl Serialize) {
    if let Some(event) = event {
        out.extend_from_slice(format!("event: {event}\n").as_bytes());
    }
    out.extend_from_slice(b"data: ");
    put(out, data);
    out.extend_from_slice(format!("\nid: {}\n\n", Position { epoch, offset }).as_bytes());
}

fn retry(delay: Duration) -> String {
    format!("retry: {}\n\n", delay.as_millis())
}

/// The node goes away. Clients come back spread over as long again, so that they do not all come at once.
fn goodbye(delay: Duration) -> String {
    let mut random = [0];
    // Without it they come at once, and wait for each other.
    let _ = rand::fill(&mut random);
    retry(delay + delay * u32::from(random[0]) / 256)
}

/// The subscription is over; the client comes back to where it was.
fn ended(code: Code) -> Bytes {
    format!(": the stream ends: {code}\n{}", retry(limits::EVENT_STREAM_RETRY)).into()
}

async fn drained(drain: &mut watch::Receiver<Option<Drain>>) -> Duration {
    match drain.wait_for(Option::is_some).await {
        Ok(drain) => drain.as_ref().map_or(limits::RESTART_DELAY, |drain| drain.delay),
        // Nobody is left who could drain: the node is gone.
        Err(_) => limits::RESTART_DELAY,
    }
}

async fn at(when: Option<Instant>) {
    match when {
        // A sleep is only over at the timer's next tick.
        Some(when) if when <= Instant::now() => {}
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// A stream that is counted, and has its place.
struct Open {
    api: Arc<Api>,
    _place: OwnedSemaphorePermit,
}

impl Open {
    fn new(api: &Arc<Api>, place: OwnedSemaphorePermit) -> Self {
        api.stats.streams_opened.fetch_add(1, Ordering::Relaxed);
        Self { api: api.clone(), _place: place }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.api.stats.streams_closed.fetch_add(1, Ordering::Relaxed);
    }
}
