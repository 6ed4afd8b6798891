//! Kinds of settings: how each reads what was written, says what it wants, and prints its default.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};

use super::{origin::Origin, unit};

/// A value as it was written, before anybody knows what it should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Raw {
    /// A TOML string, an environment variable or a flag.
    Text(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Flag(bool),
    /// A TOML array, or a repeated flag.
    List(Vec<Raw>),
    /// A TOML value that no setting takes; its type's name.
    Other(&'static str),
}

impl Raw {
    /// A list of texts. Environment variables have no lists; a comma separates there.
    fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(text.split(',').map(str::trim).collect()),
            Self::List(items) => {
                items.iter().map(|item| if let Self::Text(text) = item { Some(text.as_str()) } else { None }).collect()
            }
            _ => None,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Integer(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(_) => "a list".into(),
            Self::Other(name) => format!("a {name}"),
        }
    }
}

/// One kind of setting with its default.
pub(crate) trait Setting: Sync {
    /// What it becomes.
    type Value;

    /// Reads what was written; the error says what it is and what it must be.
    fn read(&self, raw: &Raw) -> Result<Self::Value, String>;

    /// The value when nothing was written.
    fn default(&self) -> Self::Value;
}

/// What the documentation needs of a setting.
pub(crate) trait Documented: Sync {
    /// The default as TOML, or an example if there is no default.
    fn example(&self) -> String;

    /// Whether there is a default.
    fn has_default(&self) -> bool {
        true
    }

    /// The values allowed, for people.
    fn allowed(&self) -> String;
}

fn mismatch<T>(raw: &Raw, wanted: &impl Documented) -> Result<T, String> {
    Err(format!("is {}, but must be {}", raw.describe(), wanted.allowed()))
}

/// An unsigned integer of any width, so that a setting has the type of the constant that is its default.
pub(crate) trait Number: Copy + PartialOrd + Sync {
    /// `None` if it does not fit.
    fn from_u64(value: u64) -> Option<Self>;

    /// No type here is wider.
    fn to_u64(self) -> u64;
}

macro_rules! number {
    ($($type:ty),*) => {
        $(impl Number for $type {
            fn from_u64(value: u64) -> Option<Self> {
                value.try_into().ok()
            }

            fn to_u64(self) -> u64 {
                self as u64
            }
        })*
    };
}

number!(u32, u64, usize);

/// A whole number.
pub(crate) struct Count<T>(pub(crate) T, pub(crate) RangeInclusive<T>);

impl<T: Number> Setting for Count<T> {
    type Value = T;

    fn read(&self, raw: &Raw) -> Result<T, String> {
        let number = match raw {
            Raw::Integer(number) => u64::try_from(*number).ok(),
            Raw::Text(text) => text.replace('_', "").parse().ok(),
            _ => None,
        };
        within(number, &self.1).map_or_else(|| mismatch(raw, self), Ok)
    }

    fn default(&self) -> T {
        self.0
    }
}

impl<T: Number> Documented for Count<T> {
    fn example(&self) -> String {
        unit::grouped(self.0.to_u64()).replace(',', "_")
    }

    fn allowed(&self) -> String {
        let (min, max) = (self.1.start().to_u64(), self.1.end().to_u64());
        format!("a number from {} to {}", unit::grouped(min), unit::grouped(max))
    }
}

fn within<T: Number>(value: Option<u64>, range: &RangeInclusive<T>) -> Option<T> {
    value.and_then(T::from_u64).filter(|value| range.contains(value))
}

/// A number of bytes.
pub(crate) struct Size<T>(pub(crate) T, pub(crate) RangeInclusive<T>);

impl<T: Number> Setting for Size<T> {
    type Value = T;

    fn read(&self, raw: &Raw) -> Result<T, String> {
        let bytes = match raw {
            Raw::Integer(number) => u64::try_from(*number).ok(),
            Raw::Text(text) => unit::parse_size(text),
            _ => None,
        };
        within(bytes, &self.1).map_or_else(|| mismatch(raw, self), Ok)
    }

    fn default(&self) -> T {
        self.0
    }
}

impl<T: Number> Documented for Size<T> {
    fn example(&self) -> String {
        format!("\"{}\"", unit::size(self.0.to_u64()))
    }

    fn allowed(&self) -> String {
        let (min, max) = (unit::size(self.1.start().to_u64()), unit::size(self.1.end().to_u64()));
        format!("a size from {min} to {max}, like {}", self.example())
    }
}

/// A span of time.
pub(crate) struct Span(pub(crate) Duration, pub(crate) RangeInclusive<Duration>);

impl Setting for Span {
    type Value = Duration;

    fn read(&self, raw: &Raw) -> Result<Duration, String> {
        let span = match raw {
            Raw::Text(text) => unit::parse_duration(text),
            _ => None,
        };
        span.filter(|span| self.1.contains(span)).map_or_else(|| mismatch(raw, self), Ok)
    }

    fn default(&self) -> Duration {
        self.0
    }
}

impl Documented for Span {
    fn example(&self) -> String {
        format!("\"{}\"", unit::duration(self.0))
    }

    fn allowed(&self) -> String {
        let (min, max) = (unit::duration(*self.1.start()), unit::duration(*self.1.end()));
        format!("a duration with a unit (ms, s, m, h, d) from {min} to {max}, like {}", self.example())
    }
}

/// True or false.
pub(crate) struct Flag(pub(crate) bool);

impl Setting for Flag {
    type Value = bool;

    fn read(&self, raw: &Raw) -> Result<bool, String> {
        match raw {
            Raw::Flag(flag) => Ok(*flag),
            Raw::Text(text) => text.parse().or_else(|_| mismatch(raw, self)),
            _ => mismatch(raw, self),
        }
    }

    fn default(&self) -> bool {
        self.0
    }
}

impl Documented for Flag {
    fn example(&self) -> String {
        self.0.to_string()
    }

    fn allowed(&self) -> String {
        "true or false".into()
    }
}

/// A path that has a default.
pub(crate) struct Directory(pub(crate) &'static str);

impl Setting for Directory {
    type Value = PathBuf;

    fn read(&self, raw: &Raw) -> Result<PathBuf, String> {
        match raw {
            Raw::Text(text) if !text.is_empty() => Ok(text.into()),
            _ => mismatch(raw, self),
        }
    }

    fn default(&self) -> PathBuf {
        self.0.into()
    }
}

impl Documented for Directory {
    fn example(&self) -> String {
        format!("{:?}", self.0)
    }

    fn allowed(&self) -> String {
        "a path".into()
    }
}

/// A path that is not there unless it is written; holds an example.
pub(crate) struct File(pub(crate) &'static str);

impl Setting for File {
    type Value = Option<PathBuf>;

    fn read(&self, raw: &Raw) -> Result<Option<PathBuf>, String> {
        match raw {
            Raw::Text(text) if !text.is_empty() => Ok(Some(text.into())),
            _ => mismatch(raw, self),
        }
    }

    fn default(&self) -> Option<PathBuf> {
        None
    }
}

impl Documented for File {
    fn example(&self) -> String {
        format!("{:?}", self.0)
    }

    fn has_default(&self) -> bool {
        false
    }

    fn allowed(&self) -> String {
        "a path".into()
    }
}

/// A node's name: empty unless it is written; holds an example.
pub(crate) struct Name(pub(crate) &'static str);

impl Setting for Name {
    type Value = Option<Arc<str>>;

    fn read(&self, raw: &Raw) -> Result<Option<Arc<str>>, String> {
        match raw {
            Raw::Text(text) if (1..=64).contains(&text.len()) && text.chars().all(is_name_character) => {
                Ok(Some(text.as_str().into()))
            }
            _ => mismatch(raw, self),
        }
    }

    fn default(&self) -> Option<Arc<str>> {
        None
    }
}

/// A text that is compared as it is.
pub(crate) struct Phrase(pub(crate) &'static str);

impl Setting for Phrase {
    type Value = Option<Arc<str>>;

    fn read(&self, raw: &Raw) -> Result<Option<Arc<str>>, String> {
        match raw {
            Raw::Text(text) if !text.is_empty() => Ok(Some(text.as_str().into())),
            _ => mismatch(raw, self),
        }
    }

    fn default(&self) -> Option<Arc<str>> {
        None
    }
}

impl Documented for Phrase {
    fn example(&self) -> String {
        format!("{:?}", self.0)
    }

    fn has_default(&self) -> bool {
        false
    }

    fn allowed(&self) -> String {
        format!("a text like {:?}", self.0)
    }
}

/// What a node's name is made of: what is safe in a URL, a metric's label and a NATS subject.
pub(crate) fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

impl Documented for Name {
    fn example(&self) -> String {
        format!("{:?}", self.0)
    }

    fn has_default(&self) -> bool {
        false
    }

    fn allowed(&self) -> String {
        "1 to 64 letters, digits, '-' or '_'".into()
    }
}

/// Addresses to listen on.
pub(crate) struct Addresses(pub(crate) &'static [&'static str]);

impl Setting for Addresses {
    type Value = Vec<SocketAddr>;

    fn read(&self, raw: &Raw) -> Result<Vec<SocketAddr>, String> {
        let Some(texts) = raw.texts().filter(|texts| !texts.is_empty()) else { return mismatch(raw, self) };
        let parse = |text: &str| text.parse().or_else(|_| mismatch(&Raw::Text(text.into()), self));
        texts.into_iter().map(parse).collect()
    }

    fn default(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|text| text.parse().ok()).collect()
    }
}

impl Documented for Addresses {
    fn example(&self) -> String {
        format!("{:?}", self.0)
    }

    fn allowed(&self) -> String {
        "one or more of ADDRESS:PORT, like \"127.0.0.1:4433\" or \"[::]:4433\" (no host names)".into()
    }
}

/// Origins of web pages; none by default.
pub(crate) struct OriginList;

impl Setting for OriginList {
    type Value = Vec<Origin>;

    fn read(&self, raw: &Raw) -> Result<Vec<Origin>, String> {
        let Some(texts) = raw.texts() else { return mismatch(raw, self) };
        let parse = |text: &str| text.parse().or_else(|()| mismatch(&Raw::Text(text.into()), self));
        texts.into_iter().filter(|text| !text.is_empty()).map(parse).collect()
    }

    fn default(&self) -> Vec<Origin> {
        Vec::new()
    }
}

impl Documented for OriginList {
    fn example(&self) -> String {
        "[]".into()
    }

    fn allowed(&self) -> String {
        "origins like \"https://chat.example.com\" or \"http://localhost:*\", without a path".into()
    }
}

/// Addresses to listen on, or none.
pub(crate) struct AddressesOrNone(pub(crate) &'static [&'static str]);

impl Setting for AddressesOrNone {
    type Value = Vec<SocketAddr>;

    fn read(&self, raw: &Raw) -> Result<Vec<SocketAddr>, String> {
        match raw {
            Raw::List(items) if items.is_empty() => Ok(Vec::new()),
            Raw::Text(text) if text.is_empty() => Ok(Vec::new()),
            raw => Addresses(self.0).read(raw).or_else(|_| mismatch(raw, self)),
        }
    }

    fn default(&self) -> Vec<SocketAddr> {
        Addresses(self.0).default()
    }
}

impl Documented for AddressesOrNone {
    fn example(&self) -> String {
        format!("{:?}", self.0)
    }

    fn allowed(&self) -> String {
        "a list of ADDRESS:PORT, like [\"127.0.0.1:8080\"] (no host names), or [] for none".into()
    }
}

/// Addresses to listen on, or none, or what somebody else says if they are not written. Holds an example.
pub(crate) struct AddressesOrElse(pub(crate) &'static [&'static str]);

impl Setting for AddressesOrElse {
    type Value = Option<Vec<SocketAddr>>;

    fn read(&self, raw: &Raw) -> Result<Option<Vec<SocketAddr>>, String> {
        AddressesOrNone(self.0).read(raw).map(Some)
    }

    fn default(&self) -> Option<Vec<SocketAddr>> {
        None
    }
}

impl Documented for AddressesOrElse {
    fn example(&self) -> String {
        AddressesOrNone(self.0).example()
    }

    fn has_default(&self) -> bool {
        false
    }

    fn allowed(&self) -> String {
        AddressesOrNone(self.0).allowed()
    }
}

/// URLs that are handed on as they are; none unless they are written. Holds an example, whose scheme they have.
pub(crate) struct Urls(pub(crate) &'static str);

impl Setting for Urls {
    type Value = Vec<String>;

    fn read(&self, raw: &Raw) -> Result<Vec<String>, String> {
        let texts: Vec<&str> = match raw {
            Raw::Text(text) => text.split(',').map(str::trim).collect(),
            Raw::List(items) => items.iter().map(|item| if let Raw::Text(t) = item { t } else { "" }).collect(),
            _ => return mismatch(raw, self),
        };
        match texts.iter().find(|text| !is_url(text, self.scheme())) {
            Some(wrong) => mismatch(&Raw::Text((*wrong).into()), self),
            None => Ok(texts.into_iter().map(str::to_owned).collect()),
        }
    }

    fn default(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Urls {
    fn scheme(&self) -> &'static str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }
}

/// Whether it looks like one: what follows the scheme is for clients to make sense of.
fn is_url(text: &str, scheme: &str) -> bool {
    let Some(rest) = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")) else { return false };
    !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Documented for Urls {
    fn example(&self) -> String {
        format!("[{:?}]", self.0)
    }

    fn has_default(&self) -> bool {
        false
    }

    fn allowed(&self) -> String {
        format!("a list of {} URLs, like {}", self.scheme(), self.example())
    }
}

/// Worker threads of the network: a number, or `"auto"` for one for every two processors.
pub(crate) struct Workers;

impl Setting for Workers {
    type Value = usize;

    fn read(&self, raw: &Raw) -> Result<usize, String> {
        match raw {
            Raw::Text(text) if text == "auto" => Ok(self.default()),
            _ => Count(1, 1..=1024).read(raw).or_else(|_| mismatch(raw, self)),
        }
    }

    fn default(&self) -> usize {
        std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
    }
}

impl Documented for Workers {
    fn example(&self) -> String {
        "\"auto\"".into()
    }

    fn allowed(&self) -> String {
        "\"auto\" or a number from 1 to 1,024".into()
    }
}
