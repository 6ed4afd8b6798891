//! Errors as HTTP clients get them: `application/problem+json` (RFC 9457) with our code.

use std::{borrow::Cow, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use loquic_wire::{Action, Code, publish::Nack};
use serde::Serialize;

use crate::room::Refusal;

/// An error that is an answer.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    code: Code,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    expected: Option<u64>,
}

/// How it is written.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    /// What is wrong in general: the code's name, or the status's.
    title: &'a str,
    status: u16,
    /// What is wrong here.
    detail: &'a str,
    /// Our code; its range tells a client what to do.
    code: u16,
    /// The next id that will be taken, where an id is what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<u64>,
}

impl Problem {
    /// What HTTP itself says, where the code alone would say another status.
    pub(super) fn new(status: StatusCode, code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let retry_after = (code.action() == Action::RetryLater).then(|| code.default_delay());
        Self { status, code, detail: detail.into(), retry_after, expected: None }
    }

    /// What the code says.
    pub(super) fn of(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(status_of(code), code, detail)
    }

    /// The request is malformed.
    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(Code::BAD_REQUEST, detail)
    }

    /// The principal may not do this.
    pub(super) fn forbidden(what: &str) -> Self {
        Self::of(Code::FORBIDDEN, format!("not allowed here: {what}"))
    }

    /// There is nothing at this path.
    pub(super) fn not_found(path: &str) -> Self {
        Self::of(Code::NOT_FOUND, format!("there is nothing at {path}"))
    }

    /// There is something, but not for this method.
    pub(super) fn bad_method(method: &str, path: &str) -> Self {
        let detail = format!("{path} does not take {method}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::NOT_OFFERED, detail)
    }

    /// The client is not known: whatever the code, showing another token may help, and nothing else.
    pub(super) fn unauthenticated(refusal: Refusal) -> Self {
        let Refusal { code, message } = refusal;
        let by_code = Self::of(code, message);
        match code.action() {
            Action::FixRequest if code == Code::FORBIDDEN => by_code,
            Action::FixRequest | Action::Reauthenticate => Self { status: StatusCode::UNAUTHORIZED, ..by_code },
            Action::RetryNow | Action::RetryLater | Action::RetryElsewhere => by_code,
        }
    }

    pub(super) fn body(&self) -> Body<'_> {
        let title = self.code.name().or(self.status.canonical_reason()).unwrap_or_default();
        let Self { status, code: Code(code), detail, expected, .. } = self;
        Body { title, status: status.as_u16(), detail, code: *code, expected: *expected }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::of(refusal.code, refusal.message)
    }
}

impl From<&Nack> for Problem {
    fn from(nack: &Nack) -> Self {
        let meaning = Code::ALL.iter().find(|(code, ..)| *code == nack.code).map(|(.., meaning)| *meaning);
        let mut problem = Self::of(nack.code, meaning.unwrap_or("the record was not taken"));
        if nack.code.action() == Action::RetryLater {
            problem.retry_after = Some(nack.retry_after.into());
        }
        problem.expected = (nack.code == Code::ID_GAP).then_some(nack.expected);
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Texts and numbers always make JSON.
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
        let mut response = (self.status, headers, body).into_response();
        if let Some(delay) = self.retry_after {
            // Whole seconds are all that the header knows.
            let seconds = delay.as_millis().div_ceil(1000).max(1).to_string();
            response.headers_mut().extend(HeaderValue::try_from(seconds).map(|value| (header::RETRY_AFTER, value)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = match self.code {
                Code::BAD_TOKEN | Code::TOKEN_EXPIRED => "Bearer error=\"invalid_token\"",
                _ => "Bearer",
            };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// The status that says of a code what HTTP can say. A code that is new to this list gets the one of its range.
fn status_of(code: Code) -> StatusCode {
    known_status(code).unwrap_or(match code.action() {
        Action::RetryNow | Action::RetryLater => StatusCode::SERVICE_UNAVAILABLE,
        Action::FixRequest => StatusCode::BAD_REQUEST,
        Action::Reauthenticate => StatusCode::UNAUTHORIZED,
        Action::RetryElsewhere => StatusCode::INTERNAL_SERVER_ERROR,
    })
}

/// Every code of the registry; a test looks whether one is missing.
fn known_status(code: Code) -> Option<StatusCode> {
    let status = match code {
        Code::DONE | Code::NOT_YET_APPLIED => StatusCode::SERVICE_UNAVAILABLE,
        Code::ID_GAP => StatusCode::CONFLICT,
        Code::SKIPPED => StatusCode::FAILED_DEPENDENCY,
        Code::TIMED_OUT => StatusCode::REQUEST_TIMEOUT,

        Code::OVERLOADED | Code::DRAINING | Code::TOO_MANY_SESSIONS => StatusCode::SERVICE_UNAVAILABLE,
        Code::DISK_FULL => StatusCode::INSUFFICIENT_STORAGE,
        Code::RATE_LIMITED => StatusCode::TOO_MANY_REQUESTS,

        Code::BAD_FRAME | Code::UNEXPECTED_FRAME | Code::BAD_NAME | Code::UNSUPPORTED_VERSION => {
            StatusCode::BAD_REQUEST
        }
        Code::BAD_REQUEST => StatusCode::BAD_REQUEST,
        Code::FRAME_TOO_LARGE | Code::PAYLOAD_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
        Code::FORBIDDEN => StatusCode::FORBIDDEN,
        Code::POSITION_AHEAD | Code::CONFLICT | Code::FENCED => StatusCode::CONFLICT,
        Code::TOO_MANY_STREAMS | Code::FLOW_CONTROL => StatusCode::TOO_MANY_REQUESTS,
        Code::NOT_OFFERED => StatusCode::NOT_IMPLEMENTED,
        Code::BAD_RECORD => StatusCode::UNPROCESSABLE_ENTITY,
        Code::STREAM_TIMEOUT => StatusCode::REQUEST_TIMEOUT,
        Code::NOT_FOUND => StatusCode::NOT_FOUND,

        Code::UNAUTHENTICATED | Code::BAD_TOKEN | Code::TOKEN_EXPIRED => StatusCode::UNAUTHORIZED,
        Code::PRINCIPAL_CHANGED | Code::ALREADY_GREETED => StatusCode::UNAUTHORIZED,

        Code::INTERNAL | Code::LOG_CORRUPT => StatusCode::INTERNAL_SERVER_ERROR,
        Code::LOG_POISONED => StatusCode::SERVICE_UNAVAILABLE,
        _ => return None,
    };
    Some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_status_that_agrees_with_what_a_client_does_about_it() {
        for (code, name, _) in Code::ALL {
            let status = known_status(*code).unwrap_or_else(|| panic!("{name} has no status"));
            match code.action() {
                Action::FixRequest => assert!(status.is_client_error() || status == 501, "{name}"),
                Action::Reauthenticate => assert_eq!(status, 401, "{name}"),
                Action::RetryLater => assert!(matches!(status.as_u16(), 429 | 503 | 507), "{name}"),
                Action::RetryNow => assert!(status.is_client_error() || status == 503, "{name}"),
                Action::RetryElsewhere => assert!(status.is_server_error(), "{name}"),
            }
        }
        assert_eq!(status_of(Code(2999)), 503);
        assert_eq!(status_of(Code(9)), 500);
    }

    #[test]
    fn what_helps_a_client_is_in_the_headers() {
        let later = Problem::of(Code::OVERLOADED, "full").into_response();
        assert_eq!((later.status().as_u16(), &later.headers()["retry-after"]), (503, &"1".parse().unwrap()));
        let refused = |code| {
            let refusal = Refusal { code, message: "no".into() };
            let response = Problem::unauthenticated(refusal).into_response();
            let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
            (response.status().as_u16(), challenge.unwrap_or_default())
        };
        assert_eq!(refused(Code::TOKEN_EXPIRED), (401, "Bearer error=\"invalid_token\"".into()));
        assert_eq!(refused(Code::NOT_OFFERED), (401, "Bearer".into()));
        assert_eq!(refused(Code::FORBIDDEN), (403, String::new()));
        assert_eq!(refused(Code::RATE_LIMITED), (429, String::new()));
        assert_eq!(refused(Code::INTERNAL), (500, String::new()));
    }
}
