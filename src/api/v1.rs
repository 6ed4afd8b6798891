//! The routes below `/v1`, and what holds for all of them.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    handler::Handler,
    middleware::{self, Next},
    response::Response,
    routing::{self, MethodRouter, any},
};
use tokio::sync::Semaphore;

use super::{
    Info, bad_method, delete, events, history, info, not_found, openapi, origin, presence, publish, rooms,
    stats::{Class, Stats},
};
use crate::{config::origin::Origin, session};

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Whose pages may ask.
    pub origins: Vec<Origin>,
    /// Longest payload of a record.
    pub payload_bytes_max: usize,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// Event streams at once.
    pub event_streams_max: usize,
    /// How often a silent event stream says that it is alive.
    pub keep_alive: Duration,
}

/// The HTTP API of a node.
pub struct Api {
    pub(super) sessions: Arc<session::Shared>,
    pub(super) info: Arc<Info>,
    pub(super) options: ApiOptions,
    /// Places for event streams.
    pub(super) streams: Arc<Semaphore>,
    pub(super) stats: Stats,
}

impl Api {
    /// The API over what sessions share.
    pub fn new(sessions: Arc<session::Shared>, info: Arc<Info>, options: ApiOptions) -> Arc<Self> {
        let streams = Arc::new(Semaphore::new(options.event_streams_max));
        Arc::new(Self { sessions, info, options, streams, stats: Stats::default() })
    }

    /// What it counts.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}

/// Every route with its methods. The description of the API is compared with this list.
fn routes() -> Vec<(&'static str, MethodRouter<Arc<Api>>)> {
    let records = get(Class::History, history::get).merge(of(Class::Publish, routing::post(publish::post)));
    let record = get(Class::Record, history::get_one).merge(of(Class::Delete, routing::delete(delete::delete)));
    let info = |State(api): State<Arc<Api>>| info::get(State(api.info.clone()));
    vec![
        ("/v1/info", get(Class::Info, info)),
        ("/v1/openapi.json", get(Class::OpenApi, openapi::get)),
        ("/v1/rooms", get(Class::Rooms, rooms::list)),
        ("/v1/rooms/{room}", get(Class::Room, rooms::get)),
        ("/v1/rooms/{room}/events", get(Class::Events, events::get)),
        ("/v1/rooms/{room}/presence", get(Class::Presence, presence::get)),
        ("/v1/rooms/{room}/records", records),
        ("/v1/rooms/{room}/records/{offset}", record),
    ]
}

/// The API. Paths below `/v1` that there are not are answered here too; another route may be merged in beside.
pub(super) fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(path, methods.fallback(bad_method));
    }
    router
        .route("/v1/{*rest}", any(not_found))
        .layer(middleware::from_fn_with_state(api.clone(), origin::check))
        .layer(origin::cors(&api.options.origins))
        .layer(middleware::from_fn_with_state(api.clone(), count))
        .with_state(api)
}

fn get<H, T>(is: Class, handler: H) -> MethodRouter<Arc<Api>>
where
    H: Handler<T, Arc<Api>>,
    T: 'static,
{
    of(is, routing::get(handler))
}

fn of(is: Class, methods: MethodRouter<Arc<Api>>) -> MethodRouter<Arc<Api>> {
    methods.layer(middleware::map_response(class(is)))
}

/// Notes on an answer what it is the answer to.
fn class(is: Class) -> impl FnMut(Response) -> std::future::Ready<Response> + Clone {
    move |mut response| {
        response.extensions_mut().insert(is);
        std::future::ready(response)
    }
}

async fn count(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let class = response.extensions().get().copied().unwrap_or(Class::Other);
    api.stats.note(class, response.status());
    response
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every path with the methods it takes.
    pub(in super::super) fn known() -> BTreeSet<(String, String)> {
        let paths: BTreeSet<&str> = routes().iter().map(|(path, _)| *path).collect();
        assert_eq!(paths.len(), routes().len());
        let all = routes().into_iter().flat_map(|(path, methods)| {
            // What a method router takes is in how it is printed, and nowhere else.
            let text = format!("{methods:?}");
            let takes = |name: &str| !text.contains(&format!("{name}: None"));
            let methods = ["get", "post", "put", "delete", "patch"].into_iter().filter(move |name| takes(name));
            methods.map(|name| (path.to_owned(), name.to_owned())).collect::<Vec<_>>()
        });
        all.collect()
    }

    #[test]
    fn what_is_known_of_the_routes_is_read_rightly() {
        let known = known();
        let has = |path: &str, method: &str| known.contains(&(path.to_owned(), method.to_owned()));
        assert!(has("/v1/rooms/{room}/records", "get") && has("/v1/rooms/{room}/records", "post"));
        assert!(has("/v1/info", "get") && !has("/v1/info", "post") && !has("/v1/info", "delete"));
    }
}
