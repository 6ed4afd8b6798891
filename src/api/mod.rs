//! HTTP: the `/v1` API with the demo page, and the ops listener.
//!
//! Knows what to answer, and not who runs it: the server binds the [`Listener`]s, gives them their routers and ends
//! them. What an operator is told comes from the server by [`ops::Node`]. Of the API there is `GET /v1/info` so far.

mod host;
mod info;
mod listener;
pub mod ops;
mod page;
mod policy;
mod problem;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::{HeaderValue, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};

pub use self::{
    info::Info,
    listener::{Listener, Options},
    page::Page,
};

use self::problem::Problem;

/// What the plain HTTP port serves: the API below `/v1`, and the page at everything else.
pub fn router(info: Arc<Info>, page: Page) -> Router {
    let policy = policy::header(info.addresses());
    let router = Router::new()
        .route("/v1/info", get(info::get))
        .method_not_allowed_fallback(bad_method)
        .with_state(info)
        .fallback_service(page::get.with_state(Arc::new(page)));
    guard(router, policy)
}

/// What holds for every request and answer of a port that is for this machine alone.
fn guard(router: Router, policy: HeaderValue) -> Router {
    let harden = middleware::map_response(move |response| harden(response, policy.clone()));
    router.layer(middleware::from_fn(host::check)).layer(harden)
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
