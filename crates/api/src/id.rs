//! Ids on the wire: a prefix that names the kind of object, `_`, and 24 opaque characters.
//!
//! The opaque part is a UUID (version 7, made by the caller: this crate knows neither time nor chance) in
//! fixed-width base 58, so that ids of one kind sort by their age.

use serde::{Deserialize, Serialize};
use std::fmt;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// 58^22 > 2^128: 22 digits always hold a UUID. The leading `01` marks the scheme.
const DIGITS: usize = 22;

/// A kind of object, and the prefix of its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `agent_`
    Agent,
    /// `env_`
    Environment,
    /// `sesn_`
    Session,
    /// `sevt_`
    Event,
    /// `sthr_`
    Thread,
    /// `sesrsc_`
    Resource,
    /// `file_`
    File,
    /// `req_`
    Request,
    /// `wrkspc_`
    Workspace,
    /// `apikey_`
    ApiKey,
}

impl Kind {
    /// The prefix, without the underscore.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Environment => "env",
            Self::Session => "sesn",
            Self::Event => "sevt",
            Self::Thread => "sthr",
            Self::Resource => "sesrsc",
            Self::File => "file",
            Self::Request => "req",
            Self::Workspace => "wrkspc",
            Self::ApiKey => "apikey",
        }
    }
}

/// An id as it stands on the wire. Opaque to everyone but [`Id::new`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(String);

impl Id {
    /// The id of a new object.
    pub fn new(kind: Kind, unique: uuid::Uuid) -> Self {
        let mut number = unique.as_u128();
        let mut digits = [0_u8; DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = ALPHABET[usize::try_from(number % 58).unwrap_or(0)];
            number /= 58;
        }
        let opaque = std::str::from_utf8(&digits).unwrap_or_default();
        Self(format!("{}_01{opaque}", kind.prefix()))
    }

    /// Takes a text that somebody sent for an id of `kind`: nothing when it cannot be one.
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        let opaque = text.strip_prefix(kind.prefix())?.strip_prefix('_')?;
        let plain = !opaque.is_empty() && opaque.len() <= 64 && opaque.bytes().all(|byte| byte.is_ascii_alphanumeric());
        plain.then(|| Self(text.to_owned()))
    }

    /// An id read back from our own storage.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_the_order_of_their_uuids() {
        let ids: Vec<_> = [0_u128, 1, 57, 58, 1 << 64, u128::MAX]
            .into_iter()
            .map(|n| Id::new(Kind::Event, uuid::Uuid::from_u128(n)))
            .collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.iter().all(|id| id.as_str().len() == "sevt_01".len() + DIGITS));
    }

    #[test]
    fn only_a_plain_id_of_the_kind_is_taken() {
        let id = Id::new(Kind::Agent, uuid::Uuid::from_u128(7));
        assert_eq!(Id::parse(Kind::Agent, id.as_str()), Some(id.clone()));
        assert_eq!(Id::parse(Kind::Session, id.as_str()), None);
        for bad in ["agent_", "agent", "agent_a/b", "agent_é", ""] {
            assert_eq!(Id::parse(Kind::Agent, bad), None, "{bad}");
        }
    }
}
