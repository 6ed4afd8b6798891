//! The HTTP API against a real server, over real sockets.

mod contract;
mod delete;
mod events;
mod history;
mod hostile;
mod https;
mod presence;
mod publish;
mod tokens;

use std::net::SocketAddr;

use serde_json::Value;

use crate::http::{Answer, send};

const TEXT: (&str, &str) = ("Content-Type", "text/plain");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const BYTES: (&str, &str) = ("Content-Type", "application/octet-stream");
const LINES: (&str, &str) = ("Content-Type", "application/x-ndjson");

/// Publishes into a room.
async fn post(to: SocketAddr, room: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
    send(to, "POST", &format!("/v1/rooms/{room}/records"), headers, body.as_ref()).await
}

/// Publishes texts, in batches.
async fn fill(to: SocketAddr, room: &str, payloads: impl Iterator<Item = String>) {
    let lines: Vec<String> =
        payloads.map(|payload| serde_json::json!({"payload": payload}).to_string() + "\n").collect();
    for batch in lines.chunks(10) {
        let answer = post(to, room, &[LINES], batch.concat()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.json_lines().iter().all(|line| line["duplicate"] == false), "{answer:?}");
    }
}

/// The offsets of records.
fn offsets(records: &Value) -> Vec<u64> {
    records.as_array().unwrap().iter().map(|record| record["offset"].as_u64().unwrap()).collect()
}
