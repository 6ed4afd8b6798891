//! `GET /v1/rooms/{room}/records`: one bounded look into a room's log, and `…/{offset}`: one record of it.

use std::{io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures::stream;
use loquic_wire::{
    Code, Offset, RoomName,
    join::Gap,
    read::{Range, ReadHead},
};
use serde::Deserialize;

use super::{
    Api,
    caller::Caller,
    problem::Problem,
    request::{At, Named, Parameters},
};
use crate::{
    config::limits,
    notation::json,
    room::{Event, Scan, records},
    session::auth::Action,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    after: Option<u64>,
    before: Option<u64>,
    limit: Option<u32>,
}

impl Which {
    fn range(&self) -> Result<Range, Problem> {
        let offset = |name, number: Option<u64>| {
            let offset = number.map(|number| Offset::new(number).ok_or(number)).transpose();
            offset.map_err(|number| Problem::bad_request(format!("{name}={number} is past 2^53 - 1")))
        };
        Ok(match (offset("after", self.after)?, offset("before", self.before)?) {
            (None, None) => Range::Newest,
            (Some(after), None) => Range::After(after),
            (None, Some(before)) => Range::Before(before),
            (Some(after), Some(before)) => Range::Between { after, before },
        })
    }
}

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Named(name): Named,
    Parameters(which): Parameters<Which>,
) -> Result<Response, Problem> {
    let range = which.range()?;
    let limit = match which.limit.unwrap_or(limits::HTTP_RECORDS_DEFAULT) {
        0 => return Err(Problem::bad_request("limit=0: a look at no records")),
        limit => limit.min(limits::READ_RECORDS_MAX),
    };
    let room = caller.attach(&api, Action::Read, name.clone()).await?;
    let look = Look::new(name, room.scan(range, limit));
    // Written as it is read: a thousand long records are not held at once.
    let chunks = stream::unfold(Some(look), |look| async {
        match look?.next().await {
            Ok((chunk, look)) => Some((Ok(chunk), look)),
            // The answer is cut off, which every HTTP client notices.
            Err(code) => Some((Err(io::Error::other(code.to_string())), None)),
        }
    });
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// An answer that is being written.
struct Look {
    room: RoomName,
    scan: Scan,
    is_begun: bool,
    is_first: bool,
    /// What did not come: at most one for each record that could have.
    gaps: Vec<Gap>,
}

impl Look {
    fn new(room: RoomName, scan: Scan) -> Self {
        Self { room, scan, is_begun: false, is_first: true, gaps: Vec::new() }
    }

    /// The next piece, and what is left to be written.
    async fn next(mut self) -> Result<(Bytes, Option<Self>), Code> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.is_begun, true) {
            self.write_head(&mut out);
        }
        loop {
            match self.scan.next(limits::PAGE_BYTES_MAX).await {
                Some(Event::Records { frames, .. }) => {
                    self.write_records(&mut out, &frames)?;
                    return Ok((out.into(), Some(self)));
                }
                Some(Event::Gap(gap)) => self.gaps.push(gap),
                Some(Event::Failed(code)) => return Err(code),
                // A scan does not follow the room.
                Some(Event::Reset(_) | Event::CaughtUp(_) | Event::Ephemerals(_) | Event::Interrupted) => {}
                None => {
                    self.write_end(&mut out);
                    return Ok((out.into(), None));
                }
            }
        }
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        let ReadHead { epoch, floor, head } = self.scan.head();
        // The name of a room needs no escaping.
        let room = &self.room;
        let text = format!("{{\"room\":\"{room}\",\"epoch\":{epoch},\"floor\":{floor},\"head\":{head},\"records\":[");
        out.extend_from_slice(text.as_bytes());
    }

    fn write_records(&mut self, out: &mut Vec<u8>, frames: &[Bytes]) -> Result<(), Code> {
        let epoch = self.scan.head().epoch;
        for record in records(frames)? {
            if !std::mem::take(&mut self.is_first) {
                out.push(b',');
            }
            put(out, &json::Record::new(&self.room, epoch, &record));
        }
        Ok(())
    }

    fn write_end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"],\"gaps\":");
        let gaps: Vec<_> = self.gaps.iter().map(|gap| json::Event::gap(&self.room, gap)).collect();
        put(out, &gaps);
        out.extend_from_slice(format!(",\"more\":{}}}", self.scan.end().more).as_bytes());
    }
}

pub(super) async fn get_one(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Named(name): Named,
    At(offset): At,
) -> Result<Response, Problem> {
    let room = caller.attach(&api, Action::Read, name.clone()).await?;
    let mut scan = room.scan(Range::Between { after: offset.previous(), before: offset.next() }, 1);
    let epoch = scan.head().epoch;
    while let Some(event) = scan.next(limits::PAGE_BYTES_MAX).await {
        match event {
            Event::Records { frames, .. } => {
                let records = records(&frames).map_err(|code| Problem::of(code, "the record cannot be read"))?;
                if let Some(record) = records.first().filter(|record| record.offset == offset) {
                    let mut body = Vec::new();
                    put(&mut body, &json::Record::new(&name, epoch, record));
                    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
                    return Ok((headers, body).into_response());
                }
            }
            Event::Gap(gap) => {
                let detail = format!("record {offset} is gone ({})", json::reason(gap.reason));
                return Err(Problem::of(Code::NOT_FOUND, detail));
            }
            Event::Failed(code) => return Err(Problem::of(code, "the log cannot be read")),
            Event::Reset(_) | Event::CaughtUp(_) | Event::Ephemerals(_) | Event::Interrupted => {}
        }
    }
    Err(Problem::of(Code::NOT_FOUND, format!("there is no record {offset} in {name}")))
}

/// Texts and numbers always make JSON, and writing to a vector does not fail.
pub(super) fn put(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    let _ = serde_json::to_writer(out, value);
}
