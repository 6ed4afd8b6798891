//! Taking requests apart, with an answer for each that does not fit.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, Query, RawPathParams},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use loquic_wire::{Code, Offset, RoomName};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{Api, problem::Problem};

/// The room that the path names.
pub(super) struct Named(pub(super) RoomName);

/// The offset that the path names.
pub(super) struct At(pub(super) Offset);

/// The parameters behind the question mark. Unknown ones are errors: a misspelt one would be left out silently.
pub(super) struct Parameters<T>(pub(super) T);

impl FromRequestParts<Arc<Api>> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let name = path_part(parts, api, "room").await?;
        RoomName::new(&name).map(Self).map_err(|error| Problem::of(Code::BAD_NAME, error.to_string()))
    }
}

impl FromRequestParts<Arc<Api>> for At {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let text = path_part(parts, api, "offset").await?;
        let number = Some(&text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let offset = number.and_then(|text| text.parse().ok()).and_then(Offset::new);
        offset.map(Self).ok_or_else(|| Problem::bad_request("an offset is a number below 2^53"))
    }
}

async fn path_part(parts: &mut Parts, api: &Arc<Api>, name: &str) -> Result<String, Problem> {
    let params = RawPathParams::from_request_parts(parts, api).await;
    let params =
        params.map_err(|_| Problem::of(Code::BAD_NAME, "the path is not UTF-8 behind its percent-encoding"))?;
    let found = params.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned());
    found.ok_or_else(|| Problem::of(Code::INTERNAL, "the path has no such part"))
}

impl<T: DeserializeOwned> FromRequestParts<Arc<Api>> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Problem> {
        let Query(parameters) = Query::try_from_uri(&parts.uri)
            .map_err(|error| Problem::bad_request(format!("{}: {}", error, source(&error))))?;
        Ok(Self(parameters))
    }
}

/// What an error comes from, at the end of the chain.
fn source(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The text of a header that may be there once.
pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::bad_request(format!("{name} is there more than once")));
    }
    let text = std::str::from_utf8(value.as_bytes());
    text.map(|text| Some(text.trim())).map_err(|_| Problem::bad_request(format!("{name} is not UTF-8")))
}

/// The whole body. One that says that it is longer is not even read.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    patience: Duration,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::of(Code::PAYLOAD_TOO_LARGE, format!("more than {bytes_max} bytes"));
    let announced = header_text(headers, header::CONTENT_LENGTH.as_str())?;
    if announced.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large());
    }
    match timeout(patience, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Problem::bad_request(format!("the body cannot be read: {}", source(&*error)))),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, Code::TIMED_OUT, "the body did not come in time")),
    }
}
