//! From the configuration to what each part needs to know.

use crate::{
    api,
    config::{self, Config},
    log::{
        RocksOptions,
        rows::{Class, Level, Policy},
    },
    presence, room,
    session::{self, auth::Admissions},
    token::{KeyError, Verifier},
    transport::{endpoint, websocket},
};

/// What the store needs to know.
pub(super) fn rocks(config: &Config) -> RocksOptions {
    RocksOptions {
        cache_bytes: config.log.cache_bytes,
        // Four memtables of a space may wait to be written to files.
        write_buffer_bytes: config.log.write_buffer_bytes / 4,
        write_buffers_bytes_max: config.log.write_buffer_bytes,
    }
}

/// What rooms need to know.
pub(super) fn rooms(config: &Config) -> room::Options {
    room::Options {
        policies: config.rooms.0.iter().map(|(pattern, wanted)| (pattern.clone(), policy(wanted))).collect(),
        payload_bytes_max: config.limits.payload_bytes_max,
        inbox_bytes_max: config.limits.inbox_bytes_max,
        tail_bytes_max: config.limits.tail_bytes_max,
        disk_free_min: config.log.disk_free_min,
        ..room::Options::default()
    }
}

/// Who is let in.
pub(super) fn admissions(config: &Config) -> Result<Admissions, KeyError> {
    let open =
        |tokens: &config::Tokens| Verifier::open(&tokens.key, tokens.issuer.as_deref(), tokens.audience.as_deref());
    let verifier = config.tokens.as_ref().map(open).transpose()?;
    Ok(Admissions { verifier, danger_accept_any_name: config.danger_accept_any_name })
}

/// What a port needs to know.
pub(super) fn endpoint(config: &Config) -> endpoint::Options {
    endpoint::Options {
        handshake_timeout: config.timeouts.handshake,
        idle_timeout: config.timeouts.idle,
        send_window: config.limits.send_window_min,
        connect_timeout: config.timeouts.hello,
        origins: config.origins.clone(),
    }
}

/// What WebSockets need to know.
pub(super) fn websocket(config: &Config) -> websocket::Options {
    websocket::Options {
        connect_timeout: config.timeouts.hello,
        idle_timeout: config.timeouts.idle,
        origins: config.origins.clone(),
    }
}

/// What an HTTP port needs to know.
pub(super) fn http(config: &Config) -> api::Options {
    api::Options { connections_max: config.limits.http_connections_max, timeout: config.timeouts.http }
}

/// What the HTTP API needs to know.
pub(super) fn api(config: &Config) -> api::ApiOptions {
    api::ApiOptions {
        origins: config.origins.clone(),
        payload_bytes_max: config.limits.payload_bytes_max,
        body_timeout: config.timeouts.http,
        event_streams_max: config.limits.event_streams_max,
        keep_alive: config.timeouts.keep_alive,
    }
}

/// What sessions need to know.
pub(super) fn session(config: &Config) -> session::Config {
    let mut options = session::Config {
        node: config.node.clone(),
        sessions_max: config.limits.sessions_max,
        ping_interval: config.timeouts.ping,
        hello_timeout: config.timeouts.hello,
        in_flight_max: config.limits.in_flight_max,
        send_window: config.limits.send_window_min..=config.limits.send_window_max,
        send_windows_max: config.limits.send_windows_max,
        presence: presence::Options { list_max: config.limits.presence_list_max, grace: config.timeouts.presence },
        ..session::Config::default()
    };
    options.session.rooms_max = config.limits.rooms_max;
    options.session.reads_max = config.limits.reads_max;
    options.session.publish_max = config.limits.publish_max;
    options.session.payload_bytes_max = u32::try_from(config.limits.payload_bytes_max).unwrap_or(u32::MAX);
    options
}

fn policy(wanted: &config::Policy) -> Policy {
    Policy {
        level: match wanted.level {
            config::Level::Memory => Level::Memory,
            config::Level::Process => Level::Process,
            config::Level::Disk => Level::Disk,
        },
        class: match wanted.class {
            config::Class::Hour => Class::Hour,
            config::Class::Day => Class::Day,
            config::Class::Week => Class::Week,
            config::Class::Month => Class::Month,
            config::Class::Keep => Class::Keep,
        },
        age_ms: wanted.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        count: wanted.count,
        bytes: wanted.bytes,
    }
}
