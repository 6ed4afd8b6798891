//! What operators and their tools ask: metrics, and whether the node is alive and takes traffic.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

/// The node, as its operators see it.
pub trait Node: Send + Sync + 'static {
    /// The metrics as text, and the content type of that.
    fn metrics(&self) -> (String, &'static str);

    /// Whether clients should be sent here; if not, why not.
    fn readiness(&self) -> Result<(), &'static str>;
}

/// What the ops listener serves.
pub fn router(node: Arc<dyn Node>) -> Router {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .method_not_allowed_fallback(super::bad_method)
        .fallback(super::not_found)
        .with_state(node);
    super::guard(router, super::policy::header([]))
}

async fn metrics(State(node): State<Arc<dyn Node>>) -> Response {
    let (text, content_type) = node.metrics();
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

/// The process runs and answers: nothing more, so that a node is not killed for what a restart does not mend.
async fn healthz() -> Response {
    say(StatusCode::OK, "ok")
}

async fn readyz(State(node): State<Arc<dyn Node>>) -> Response {
    match node.readiness() {
        Ok(()) => say(StatusCode::OK, "ready"),
        Err(reason) => say(StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

fn say(status: StatusCode, text: &str) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, format!("{text}\n")).into_response()
}
