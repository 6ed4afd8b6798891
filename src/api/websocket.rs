//! `GET /v1/ws`: from HTTP to a WebSocket.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures::TryFutureExt;
use hyper_util::rt::TokioIo;
use loquic_wire::Code;

use super::{caller::Peer, problem::Problem};
use crate::transport::websocket::{Acceptor, Refused};

/// Where sessions over a WebSocket are opened.
pub const PATH: &str = "/v1/ws";

/// Answers before there is anything of a session; what follows is the transport's.
pub(super) async fn get(
    State(acceptor): State<Arc<Acceptor>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    match acceptor.answer(&request) {
        Ok((response, ticket)) => {
            acceptor.serve(ticket, peer, hyper::upgrade::on(request).map_ok(TokioIo::new));
            response.map(|()| Body::empty())
        }
        Err(refused) => problem(&refused).into_response(),
    }
}

fn problem(refused: &Refused) -> Problem {
    let (status, code) = match refused {
        Refused::NoUpgrade(_) => (StatusCode::UPGRADE_REQUIRED, Code::NOT_OFFERED),
        Refused::Subprotocol => (StatusCode::BAD_REQUEST, Code::NOT_OFFERED),
        Refused::Origin(_) => (StatusCode::FORBIDDEN, Code::FORBIDDEN),
        Refused::Busy => (StatusCode::SERVICE_UNAVAILABLE, Code::OVERLOADED),
    };
    Problem::new(status, code, refused.to_string())
}
