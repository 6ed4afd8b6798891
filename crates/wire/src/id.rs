//! Identities: of a producer, of a session, of the principal behind it.

use std::fmt;

use crate::name::{TenantName, UserName};

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        crate::coded_newtype!($name);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

id!(
    /// A client-chosen random 128-bit identity, stable across reconnects, under which publishes are numbered.
    ProducerId
);

id!(
    /// A server-chosen random 128-bit identity of one session.
    SessionId
);

/// The first four bytes of a [`ProducerId`]: enough for a client to recognise its own records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProducerTag(pub [u8; 4]);

crate::coded_newtype!(ProducerTag);

impl ProducerId {
    /// What records carry of this identity.
    pub fn tag(&self) -> ProducerTag {
        let [a, b, c, d, ..] = self.0;
        ProducerTag([a, b, c, d])
    }
}

crate::coded_struct! {
    /// Who a session is.
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    pub struct Principal {
        /// The tenant, never part of a room's name.
        pub tenant: TenantName,
        /// The user inside the tenant.
        pub user: UserName,
    }
}
