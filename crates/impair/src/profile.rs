//! What a proxy does: two directions and rebinding, by name or in words.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{conditions::Conditions, limits, named::NAMED, units};

/// What a proxy does to all its clients. Read and written as text; the crate's documentation lists the keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Profile {
    /// From clients to the server.
    pub up: Conditions,
    /// From the server to clients.
    pub down: Conditions,
    /// When clients get another address.
    pub rebind: Option<Rebind>,
}

/// When a client's address, as the server sees it, changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebind {
    /// What changes.
    pub what: Rebinding,
    /// So long after a client's first packet, or after the profile was set.
    pub first: Duration,
    /// And then as often.
    pub every: Duration,
}

/// What the server sees change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebinding {
    /// The port, and another 127.0.0.x where that is possible.
    Address,
    /// The port alone.
    Port,
}

impl Profile {
    /// Everything passes at once, and as it is.
    pub const CLEAN: Self = Self { up: Conditions::CLEAN, down: Conditions::CLEAN, rebind: None };

    fn set(&mut self, item: &str) -> Result<(), ParseError> {
        let (key, value) = item.split_once('=').ok_or_else(|| ParseError::unknown(item))?;
        let bad = |expected| ParseError::BadValue { key: key.to_owned(), value: value.to_owned(), expected };
        let is_set = match (key, key.split_once('.')) {
            ("rebind", _) => {
                self.rebind = Some(rebind(value).map_err(|()| bad(REBIND_EXPECTED))?);
                return Ok(());
            }
            (_, Some(("up", key))) => self.up.set(key, value),
            (_, Some(("down", key))) => self.down.set(key, value),
            _ => self.up.set(key, value).and_then(|()| self.down.set(key, value)),
        };
        is_set.map_err(|expected| expected.map_or_else(|| ParseError::UnknownKey(key.to_owned()), bad))
    }
}

const REBIND_EXPECTED: &str = "port or address and two times, the interval at least 10ms, such as port/1s/5s";

fn rebind(text: &str) -> Result<Rebind, ()> {
    let mut parts = text.split('/');
    let what = match parts.next() {
        Some("port") => Rebinding::Port,
        Some("address") => Rebinding::Address,
        _ => return Err(()),
    };
    let (first, every) = (parts.next().ok_or(())?, parts.next().ok_or(())?);
    let (first, every) = (units::duration(first)?, units::duration(every)?);
    if parts.next().is_some() || every < limits::PERIOD_MIN { Err(()) } else { Ok(Rebind { what, first, every }) }
}

impl FromStr for Profile {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut profile = Self::CLEAN;
        for (at, item) in text.split(',').map(str::trim).enumerate() {
            match NAMED.iter().find(|named| at == 0 && named.name == item) {
                Some(named) => {
                    named.words.split(',').filter(|item| !item.is_empty()).try_for_each(|i| profile.set(i))?
                }
                None => profile.set(item)?,
            }
        }
        Ok(profile)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (up, down) = (self.up.pairs(), self.down.pairs());
        let mut items = Vec::new();
        for (key, value) in &up {
            let side = if down.contains(&(key, value.clone())) { "" } else { "up." };
            items.push(format!("{side}{key}={value}"));
        }
        items.extend(down.iter().filter(|pair| !up.contains(pair)).map(|(key, value)| format!("down.{key}={value}")));
        if let Some(Rebind { what, first, every }) = self.rebind {
            let what = if what == Rebinding::Port { "port" } else { "address" };
            let time = |time| humantime::format_duration(time).to_string().replace(' ', "");
            items.push(format!("rebind={what}/{}/{}", time(first), time(every)));
        }
        f.write_str(if items.is_empty() { "clean" } else { "" })?;
        f.write_str(&items.join(","))
    }
}

impl TryFrom<String> for Profile {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Profile> for String {
    fn from(profile: Profile) -> Self {
        profile.to_string()
    }
}

/// A text that is no profile: the caller's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A value that its key cannot have.
    #[error("{key}={value}: must be {expected}")]
    BadValue {
        /// With its direction.
        key: String,
        /// As it was written.
        value: String,
        /// In words.
        expected: &'static str,
    },
    /// A key that does not exist.
    #[error("{0:?} is not a key of a profile")]
    UnknownKey(String),
    /// Neither a name at the beginning nor a key and a value.
    #[error("{name:?} is not a profile; there are {known}")]
    UnknownName {
        /// As it was written.
        name: String,
        /// All names.
        known: String,
    },
}

impl ParseError {
    fn unknown(name: &str) -> Self {
        let known = NAMED.map(|named| named.name).join(", ");
        Self::UnknownName { name: name.to_owned(), known }
    }
}
