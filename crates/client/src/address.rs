//! Where a server is: `https://host[:port]`.

use std::fmt;

use crate::error::Error;

/// The port when the address names none.
const PORT_DEFAULT: u16 = 4433;

/// Host and port of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match host.contains(':') {
            true => write!(out, "https://[{host}]:{port}"),
            false => write!(out, "https://{host}:{port}"),
        }
    }
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        Self::split(text).ok_or_else(|| Error::Address(text.into()))
    }

    fn split(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("https://")?;
        let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
        let (host, port) = match authority.strip_prefix('[') {
            Some(literal) => {
                let (host, port) = literal.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, port)
            }
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if port.is_empty() => PORT_DEFAULT,
            None => return None,
        };
        let is_host = !host.is_empty() && !host.contains(['@', '?', '#', ' ']);
        is_host.then(|| Self { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, u16)> {
        Address::parse(text).ok().map(|address| (address.host, address.port))
    }

    #[test]
    fn hosts_and_ports() {
        assert_eq!(parse("https://example.com"), Some(("example.com".into(), 4433)));
        assert_eq!(parse("https://127.0.0.1:443/"), Some(("127.0.0.1".into(), 443)));
        assert_eq!(parse("https://[::1]:9000/v1"), Some(("::1".into(), 9000)));
        assert_eq!(parse("https://[::1]"), Some(("::1".into(), 4433)));
    }

    #[test]
    fn they_are_written_as_they_are_read() {
        for text in ["https://example.com:4433", "https://[::1]:9000"] {
            assert_eq!(Address::parse(text).expect("an address").to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_address() {
        for text in [
            "example.com",
            "http://example.com",
            "https://",
            "https://:1",
            "https://a:b",
            "https://a@b",
            "https://[x]:1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
