//! What a page from here may do: the Content-Security-Policy.

use axum::http::HeaderValue;

/// Its own files and nothing inline; no frame around it, and nowhere to send a form.
const RULES: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'";

/// A page may connect to where it comes from, and to these addresses: those of nodes, which need not be this one.
pub(super) fn header<'a>(addresses: impl IntoIterator<Item = &'a str>) -> HeaderValue {
    let mut sources: Vec<String> = addresses.into_iter().filter_map(source).collect();
    sources.sort_unstable();
    sources.dedup();
    let policy = sources.iter().fold(RULES.to_owned(), |policy, source| policy + " " + source);
    // A source is a scheme and plain characters of a host, so this is always a header.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(RULES))
}

/// What names the address in a policy, or its whole scheme where a policy cannot say it: it has no words for IPv6.
fn source(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    if !matches!(scheme, "https" | "wss" | "ws") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b':');
    match !authority.is_empty() && authority.bytes().all(is_plain) {
        true => Some(format!("{scheme}://{authority}")),
        false => Some(format!("{scheme}:")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(addresses: &[&str]) -> String {
        let policy = header(addresses.iter().copied()).to_str().unwrap().to_owned();
        policy.split_once("connect-src ").unwrap().1.to_owned()
    }

    #[test]
    fn a_page_may_connect_to_what_is_advertised_and_to_nothing_else() {
        let told = ["wss://a.example:4433/v1/ws", "https://127.0.0.1:4433/v1", "https://127.0.0.1:4433/v1?x"];
        assert_eq!(connect(&told), "'self' https://127.0.0.1:4433 wss://a.example:4433");
        assert_eq!(connect(&["ws://127.0.0.1:8080/v1/ws"]), "'self' ws://127.0.0.1:8080");
        assert_eq!(connect(&[]), "'self'");
    }

    #[test]
    fn what_a_policy_cannot_say_stands_as_its_scheme() {
        assert_eq!(connect(&["https://[::1]:4433/v1"]), "'self' https:");
        for hostile in ["https://a; script-src *", "https://a,b", "https://", "https://a'b", "https://ö.example"] {
            assert_eq!(connect(&[hostile]), "'self' https:", "{hostile}");
        }
        for other in ["http://a.example", "javascript:alert(1)", "data://x", "", "*"] {
            assert_eq!(connect(&[other]), "'self'", "{other}");
        }
    }
}
