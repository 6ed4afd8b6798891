//! Errors as HTTP clients get them: `application/problem+json` (RFC 9457) with our code.

use std::borrow::Cow;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use loquic_wire::Code;
use serde::Serialize;

/// An error that is an answer.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    code: Code,
    detail: Cow<'static, str>,
}

#[derive(Serialize)]
struct Body<'a> {
    /// What is wrong in general: the code's name, or the status's.
    title: &'a str,
    status: u16,
    /// What is wrong here.
    detail: &'a str,
    /// Our code; its range tells a client what to do.
    code: u16,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into() }
    }

    /// There is nothing at this path.
    pub(super) fn not_found(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NOT_FOUND, format!("there is nothing at {path}"))
    }

    /// There is something, but not for this method.
    pub(super) fn bad_method(method: &str, path: &str) -> Self {
        let detail = format!("{path} does not take {method}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::NOT_OFFERED, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.code.name().or(self.status.canonical_reason()).unwrap_or_default();
        let Self { status, code: Code(code), detail } = &self;
        let body = Body { title, status: status.as_u16(), detail, code: *code };
        // Texts and numbers always make JSON.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
        (*status, headers, body).into_response()
    }
}
