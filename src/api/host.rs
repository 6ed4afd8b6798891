//! Which `Host` a request may name.
//!
//! A web page of somebody else can have its own name point at 127.0.0.1, and then ask what listens here as if it were
//! its own server (DNS rebinding). Its requests carry that name.

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use loquic_wire::Code;

use super::problem::Problem;

/// The names of this machine as browsers write them.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Lets a request through only if it names this machine.
pub(super) async fn check(request: Request, next: Next) -> Response {
    if is_local(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    let detail = "this port is for this machine alone: name it localhost, 127.0.0.1 or [::1], with any port";
    Problem::new(StatusCode::FORBIDDEN, Code::FORBIDDEN, detail).into_response()
}

fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    // The target may name a host as well, and then it is the one that counts.
    let named = uri.authority().map(|authority| authority.as_str());
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    host.to_str().is_ok_and(is_local_host) && named.is_none_or(is_local_host)
}

fn is_local_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        // The colons of an IPv6 address are inside of its brackets.
        Some((name, port)) if !port.ends_with(']') => {
            if port.parse::<u16>().is_err() {
                return false;
            }
            name
        }
        _ => host,
    };
    LOCAL.iter().any(|local| local.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine() {
        for good in ["localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8080"] {
            assert!(is_local_host(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "evil.localhost",
            "127.0.0.1.evil.example",
            "localhost:",
            "localhost:80:80",
            "localhost:65536",
            "localhost:x",
            "::1",
            "[::1",
            "[::2]",
            "127.0.0.2",
            "user@localhost",
            "0.0.0.0:8080",
            " localhost",
        ] {
            assert!(!is_local_host(bad), "{bad}");
        }
    }

    #[test]
    fn one_host_and_the_target_too() {
        let check = |uri: &str, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            hosts.iter().for_each(|host| _ = headers.append(header::HOST, host.parse().unwrap()));
            is_local(&uri.parse().unwrap(), &headers)
        };
        assert!(check("/", &["localhost"]));
        assert!(check("http://localhost:1/", &["localhost:1"]));
        assert!(!check("/", &[]));
        assert!(!check("/", &["localhost", "evil.example"]));
        assert!(!check("/", &["localhost", "localhost"]));
        assert!(!check("http://evil.example/", &["localhost"]));
    }
}
