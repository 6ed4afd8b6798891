//! HTTP: the `/v1` API with the demo page, and the ops listener.
//!
//! Knows what to answer, and not who runs it: the server binds the [`Listener`]s, gives them their routers and ends
//! them. What an operator is told comes from the server by [`ops::Node`]. The API asks rooms and permissions as
//! sessions do, and holds nothing of its own but counters.

mod caller;
mod events;
mod history;
mod host;
mod info;
mod listener;
mod openapi;
pub mod ops;
mod origin;
mod page;
mod payload;
mod problem;
mod publish;
mod request;
mod rooms;
mod stats;
mod v1;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::{HeaderValue, header},
    middleware,
    response::{IntoResponse, Response},
};

pub use self::{
    info::Info,
    listener::{Listener, Options},
    page::Page,
    stats::Stats,
    v1::{Api, ApiOptions},
};

use self::problem::Problem;

/// What a page from here may do: use its own files, and connect to a node, which for WebTransport is `https:` and need
/// not be this one.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; manifest-src 'self'; connect-src 'self' https:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// What the plain HTTP port serves: the API below `/v1`, and the page at everything else.
pub fn router(api: Arc<Api>, page: Page) -> Router {
    guard(v1::router(api).fallback_service(page::get.with_state(Arc::new(page))))
}

/// What holds for every request and answer of a port that is for this machine alone.
fn guard(router: Router) -> Router {
    router.layer(middleware::from_fn(host::check)).layer(middleware::map_response(harden))
}

async fn harden(mut response: Response) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn not_found(request: Request) -> Response {
    Problem::not_found(request.uri().path()).into_response()
}

async fn bad_method(request: Request) -> Response {
    Problem::bad_method(request.method().as_str(), request.uri().path()).into_response()
}
