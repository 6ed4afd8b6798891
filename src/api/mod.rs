//! HTTP: the `/v1` API with the demo page, upgrades to a WebSocket, and the ops listener.
//!
//! Knows what to answer, and not who runs it: the server binds the [`Listener`]s, gives them their routers and ends
//! them. What an operator is told comes from the server by [`ops::Node`]. The API asks rooms and permissions as
//! sessions do, and holds nothing of its own but counters.

mod caller;
mod delete;
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
mod policy;
mod presence;
mod problem;
mod producer;
mod publish;
mod request;
mod rooms;
mod stats;
mod v1;
mod websocket;

use std::sync::Arc;

pub use axum::Router;
use axum::{
    extract::Request,
    handler::Handler,
    http::{HeaderValue, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};

pub use self::{
    info::{Addresses, Info},
    listener::{ALPN, Listener, Options},
    page::Page,
    stats::Stats,
    v1::{Api, ApiOptions},
};

use self::problem::Problem;
use crate::transport::websocket::Acceptor;

/// The API below `/v1`, the same on every port.
pub fn api(api: Arc<Api>, websockets: Arc<Acceptor>) -> Router {
    let websocket = get(websocket::get).fallback(bad_method);
    v1::router(api).merge(Router::new().route(websocket::PATH, websocket).with_state(websockets))
}

/// What the plain HTTP port serves: the API, and the page at everything else.
pub fn local(api: Router, info: &Info, page: Page) -> Router {
    let page = page::get.with_state(Arc::new(page));
    guard(api.fallback_service(page), policy::header(info.addresses()))
}

/// What the HTTPS port serves: the API.
pub fn public(api: Router) -> Router {
    hardened(api.fallback(not_found), policy::header([]))
}

/// What holds for every request and answer of a port that is for this machine alone.
fn guard(router: Router, policy: HeaderValue) -> Router {
    hardened(router.layer(middleware::from_fn(host::check)), policy)
}

fn hardened(router: Router, policy: HeaderValue) -> Router {
    router.layer(middleware::map_response(move |response| harden(response, policy.clone())))
}

async fn harden(mut response: Response, policy: HeaderValue) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    response.headers_mut().extend(headers);
    response
}

async fn not_found(request: Request) -> Response {
    Problem::not_found(request.uri().path()).into_response()
}

async fn bad_method(request: Request) -> Response {
    Problem::bad_method(request.method().as_str(), request.uri().path()).into_response()
}
