//! A list that is refused while it is read.
//!
//! Invariant: no more than `MAX` entries are ever kept. Why not count afterwards: an entry of three bytes takes many
//! times that once it is read, so a body within its own limit would already have cost the memory.

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// At most `MAX` entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounded<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Bounded<T, MAX> {
    /// The entries.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for Bounded<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Read(PhantomData))
    }
}

struct Read<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Read<T, MAX> {
    type Value = Bounded<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while entries.len() < MAX {
            match list.next_element()? {
                Some(entry) => entries.push(entry),
                None => return Ok(Bounded(entries)),
            }
        }
        match list.next_element::<IgnoredAny>()? {
            None => Ok(Bounded(entries)),
            Some(IgnoredAny) => Err(A::Error::custom(format_args!("at most {MAX} entries are allowed"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_up_to_its_bound_and_not_beyond() {
        let read = serde_json::from_str::<Bounded<u8, 2>>;
        assert_eq!(read("[]").unwrap(), Bounded::default());
        assert_eq!(read("[1, 2]").unwrap().into_vec(), [1, 2]);
        assert!(read("[1, 2, 3]").unwrap_err().to_string().contains("at most 2 entries"));
        assert!(read("7").unwrap_err().to_string().contains("expected a sequence"));
        // The position proves that the rest was not read: it is not even JSON.
        let error = read("[1, 2, [], ?").unwrap_err();
        assert!(error.is_data() && error.to_string().contains("at most 2 entries"), "{error}");
    }
}
