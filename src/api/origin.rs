//! Which web pages may ask: those that may open sessions.
//!
//! CORS alone keeps a stranger's page from reading answers, and not from publishing: a text is posted without a
//! preflight. So a request that names a foreign origin is refused before anything is done.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{Api, problem::Problem};
use crate::config::origin::Origin;

/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// What a page may send beside what needs no preflight.
const REQUEST_HEADERS: [HeaderName; 11] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("loquic-encrypted"),
    HeaderName::from_static("loquic-id"),
    HeaderName::from_static("loquic-kind"),
    HeaderName::from_static("loquic-name"),
    HeaderName::from_static("loquic-producer"),
    HeaderName::from_static("loquic-refers"),
];

/// Lets a request through unless a page sent it that may not.
pub(super) async fn check(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let mut origins = request.headers().get_all(header::ORIGIN).iter();
    if origins.all(|origin| is_allowed(&api.options.origins, origin)) {
        return next.run(request).await;
    }
    Problem::forbidden("pages of this origin; [origins] allow has those that may").into_response()
}

/// Answers preflights, and says on every other answer who may read it.
pub(super) fn cors(origins: &[Origin]) -> CorsLayer {
    let origins = origins.to_vec();
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| is_allowed(&origins, origin)))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(REQUEST_HEADERS)
        .expose_headers([header::LOCATION, header::RETRY_AFTER, header::WWW_AUTHENTICATE])
        .max_age(PREFLIGHT_AGE)
}

fn is_allowed(allowed: &[Origin], origin: &HeaderValue) -> bool {
    origin.to_str().is_ok_and(|origin| allowed.iter().any(|allowed| allowed.allows(origin)))
}
