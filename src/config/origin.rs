//! Web origins that the operator trusts: whose pages may open a session with the browser of whoever looks at them.

use std::str::FromStr;

/// `https://chat.example.com`, `http://10.0.0.1:8080`, or with any port `http://localhost:*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// As browsers write it: in lower case, and without the port that the scheme has anyway.
    text: String,
    any_port: bool,
}

impl Origin {
    /// Whether this is the origin that a browser names.
    pub fn allows(&self, origin: &str) -> bool {
        match origin.strip_prefix(&self.text) {
            Some("") => true,
            Some(rest) => self.any_port && rest.strip_prefix(':').is_some_and(is_port),
            None => false,
        }
    }
}

impl FromStr for Origin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://").ok_or(())?;
        let (host, port) = match rest.rsplit_once(':') {
            // A colon within brackets is the address's.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        if !is_scheme(scheme) || !is_host(host) || !port.is_none_or(|port| port == "*" || is_port(port)) {
            return Err(());
        }
        let port = port.filter(|port| !matches!((scheme, *port), ("https", "443") | ("http", "80")));
        let (text, any_port) = match port {
            None => (format!("{scheme}://{host}"), false),
            Some("*") => (format!("{scheme}://{host}"), true),
            Some(port) => (format!("{scheme}://{host}:{port}"), false),
        };
        Ok(Self { text, any_port })
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, origin: &str) -> bool {
        pattern.parse::<Origin>().unwrap().allows(origin)
    }

    #[test]
    fn the_whole_origin_counts() {
        assert!(allows("https://good.com", "https://good.com"));
        assert!(allows("https://Good.com:443", "https://good.com"));
        assert!(allows("http://[::1]:8080", "http://[::1]:8080"));
        assert!(allows("http://[::1]", "http://[::1]"));
        for stranger in [
            "http://good.com",
            "https://good.com:8443",
            "https://good.com.evil",
            "https://evil-good.com",
            "https://sub.good.com",
            "https://good.com/",
            "null",
            "",
        ] {
            assert!(!allows("https://good.com", stranger), "{stranger}");
        }
    }

    #[test]
    fn any_port_is_any_port_and_nothing_else() {
        for origin in ["http://localhost", "http://localhost:1", "http://localhost:65535"] {
            assert!(allows("http://localhost:*", origin), "{origin}");
        }
        for origin in ["http://localhost:", "http://localhost:1x", "http://localhost:+1", "http://localhost.evil:1"] {
            assert!(!allows("http://localhost:*", origin), "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin() {
        for text in
            ["", "*", "good.com", "https://", "https://a/b", "https://a:b", "https://*.a", "https://[x]", "null"]
        {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
