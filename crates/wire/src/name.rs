//! Names: rooms, users, tenants, and the patterns that match rooms. A name is rejected or taken as it is, never
//! normalised, so two different byte strings are always two different names.

use std::{fmt, sync::Arc};

use crate::{
    coding::{Decode, DecodeError, Encode, Reader, put_bytes},
    limits,
};

/// Why a name is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing between two colons, or nothing at all.
    #[error("a room name needs 1 to {max} segments of 1 to {segment} characters, separated by ':'", max = limits::ROOM_SEGMENTS_MAX, segment = limits::SEGMENT_BYTES_MAX)]
    Segments,
    /// A byte outside the alphabet.
    #[error("'{0}' is not allowed in a room name; letters, digits and _ ~ @ . - are, with ':' between segments")]
    Character(char),
    /// `.` or `..` as a segment.
    #[error("'.' and '..' are not allowed as a segment of a room name")]
    Dots,
    /// Too many bytes.
    #[error("a {what} name has at most {max} bytes, this one has {length}")]
    TooLong {
        /// Which kind of name.
        what: &'static str,
        /// The bytes found.
        length: usize,
        /// The most that are allowed.
        max: usize,
    },
    /// A user or tenant name that is empty or has control characters in it.
    #[error("a {0} name is 1 or more characters without control characters")]
    Control(&'static str),
}

macro_rules! name {
    ($(#[$meta:meta])* $name:ident, $check:path, $max:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and takes it as it is.
            pub fn new(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                put_bytes(out, self.0.as_bytes());
            }
        }

        impl Decode for $name {
            fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
                Ok(Self::new(input.text(stringify!($name), $max)?)?)
            }
        }
    };
}

name!(
    /// The name of a room: 1–8 segments of `[A-Za-z0-9_~@.-]{1,64}` joined by `:`, at most 200 bytes, case-sensitive,
    /// no segment `.` or `..`. The tenant is never part of it.
    RoomName,
    check_room,
    limits::LIST_FRAME_BODY_MAX
);

name!(
    /// Who somebody is inside a tenant: 1–128 bytes of UTF-8 without control characters.
    UserName,
    check_user,
    limits::LIST_FRAME_BODY_MAX
);

name!(
    /// A customer of one server; `main` until there are several. One room-name segment.
    TenantName,
    check_tenant,
    limits::LIST_FRAME_BODY_MAX
);

impl TenantName {
    /// The only tenant there is until tenants exist.
    pub fn main() -> Self {
        Self("main".into())
    }
}

fn check_room(text: &str) -> Result<(), NameError> {
    if text.len() > limits::ROOM_BYTES_MAX {
        return Err(NameError::TooLong { what: "room", length: text.len(), max: limits::ROOM_BYTES_MAX });
    }
    if text.split(':').count() > limits::ROOM_SEGMENTS_MAX {
        return Err(NameError::Segments);
    }
    text.split(':').try_for_each(check_segment)
}

fn check_segment(segment: &str) -> Result<(), NameError> {
    if let Some(other) = segment.chars().find(|c| !(c.is_ascii_alphanumeric() || "_~@.-".contains(*c))) {
        return Err(NameError::Character(other));
    }
    match segment {
        "." | ".." => Err(NameError::Dots),
        _ if segment.is_empty() || segment.len() > limits::SEGMENT_BYTES_MAX => Err(NameError::Segments),
        _ => Ok(()),
    }
}

fn check_user(text: &str) -> Result<(), NameError> {
    if text.len() > limits::USER_BYTES_MAX {
        return Err(NameError::TooLong { what: "user", length: text.len(), max: limits::USER_BYTES_MAX });
    }
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(NameError::Control("user"));
    }
    Ok(())
}

fn check_tenant(text: &str) -> Result<(), NameError> {
    if text.len() > limits::TENANT_BYTES_MAX {
        return Err(NameError::TooLong { what: "tenant", length: text.len(), max: limits::TENANT_BYTES_MAX });
    }
    check_segment(text)
}

/// A pattern over room names: `*` stands for one segment, `**` as the last segment for the rest (one or more). Like a
/// name it has at most 8 segments and 200 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPattern(Arc<str>);

impl RoomPattern {
    /// Checks `text` and takes it as it is.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.len() > limits::ROOM_BYTES_MAX {
            return Err(NameError::TooLong { what: "room", length: text.len(), max: limits::ROOM_BYTES_MAX });
        }
        let segments: Vec<&str> = text.split(':').collect();
        if segments.len() > limits::ROOM_SEGMENTS_MAX {
            return Err(NameError::Segments);
        }
        for (index, segment) in segments.iter().enumerate() {
            match *segment {
                "*" => {}
                "**" if index + 1 == segments.len() => {}
                other => check_segment(other)?,
            }
        }
        Ok(Self(text.into()))
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `room` is one of the names that this pattern stands for.
    pub fn matches(&self, room: &RoomName) -> bool {
        let mut segments = room.as_str().split(':');
        for pattern in self.0.split(':') {
            match (pattern, segments.next()) {
                ("**", Some(_)) => return true,
                ("*", Some(_)) => {}
                (literal, Some(segment)) if literal == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}
