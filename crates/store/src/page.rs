//! Pages by key: newest first, or oldest first.
//!
//! Rows carry a key that grows with every insert, so a page is "rows beyond this key" and never skips or repeats
//! a row while others are written.

use daybreak_api::error::ApiError;
use daybreak_api::time::Timestamp;

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

impl Order {
    /// The other way.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Asc => Self::Desc,
            Self::Desc => Self::Asc,
        }
    }

    pub(crate) const fn sql(self) -> &'static str {
        match self {
            Self::Asc => "ASC",
            Self::Desc => "DESC",
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Asc => 'a',
            Self::Desc => 'd',
        }
    }
}

/// A position in a list: after this row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The order of the list that it was cut from.
    pub order: Order,
    /// Whether the page lies before the row (towards the list's start) rather than after it.
    pub back: bool,
    /// The row's key.
    pub key: i64,
    /// The row's time.
    pub at: Timestamp,
}

/// Bounds on the creation time, in the contract's words. `gt` and `gte` are folded into one: times are integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// Microseconds, inclusive.
    pub from: i64,
    /// Microseconds, inclusive.
    pub to: i64,
}

impl Default for Created {
    fn default() -> Self {
        Self { from: i64::MIN, to: i64::MAX }
    }
}

impl Cursor {
    /// The opaque text.
    pub fn encode(&self) -> String {
        let side = if self.back { 'b' } else { 'f' };
        format!("page_{}{side}{:x}_{:x}", self.order.letter(), self.key, self.at.micros())
    }

    /// Reads a text that a client sent back with `order` and `created` bounds.
    pub fn decode(text: &str, order: Order, created: Created) -> Result<Self, ApiError> {
        let cursor = Self::read(text).ok_or_else(|| ApiError::invalid("page: not a cursor of this list"))?;
        check_cursor((cursor.order, cursor.at.micros()), order, created)?;
        Ok(cursor)
    }

    fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("page_")?;
        let order = match rest.get(0..1)? {
            "a" => Order::Asc,
            "d" => Order::Desc,
            _ => return None,
        };
        let back = match rest.get(1..2)? {
            "f" => false,
            "b" => true,
            _ => return None,
        };
        let (key, at) = rest.get(2..)?.split_once('_')?;
        let at = Timestamp::from_micros(i64::from_str_radix(at, 16).ok()?);
        Some(Self { order, back, key: i64::from_str_radix(key, 16).ok()?, at })
    }
}

/// Refuses a cursor that belongs to a list of another order, or lies outside the bounds of this one.
pub(crate) fn check_cursor(cursor: (Order, i64), order: Order, created: Created) -> Result<(), ApiError> {
    if cursor.0 != order {
        return Err(ApiError::invalid("page: the cursor belongs to the other order"));
    }
    if !(created.from..=created.to).contains(&cursor.1) {
        return Err(ApiError::invalid("page: the cursor lies outside the created_at bounds"));
    }
    Ok(())
}

/// A row that a list can be cut at.
pub trait Keyed {
    /// The row's key.
    fn key(&self) -> i64;
    /// The row's time.
    fn at(&self) -> Timestamp;
}

/// What a list asks for.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Which way the list runs.
    pub order: Order,
    /// Where to go on.
    pub cursor: Option<Cursor>,
    /// Rows, at the most.
    pub limit: u32,
}

/// Rows of a page and the cursors to its neighbours.
#[derive(Debug)]
pub struct Rows<T> {
    /// The rows, in the list's order.
    pub rows: Vec<T>,
    /// The cursor of the next page.
    pub next: Option<Cursor>,
    /// The cursor of the page before.
    pub prev: Option<Cursor>,
}

impl Cut {
    /// The order in which the statement reads, and the keys between which it reads (exclusive).
    pub(crate) fn scan(&self) -> (Order, i64, i64) {
        let back = self.cursor.is_some_and(|cursor| cursor.back);
        let order = if back { self.order.reversed() } else { self.order };
        match (order, self.cursor) {
            (_, None) => (order, i64::MIN, i64::MAX),
            (Order::Asc, Some(cursor)) => (order, cursor.key, i64::MAX),
            (Order::Desc, Some(cursor)) => (order, i64::MIN, cursor.key),
        }
    }

    /// How many rows the statement reads: one more than the page, to learn whether more follow.
    pub(crate) fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Cuts what the statement read to a page.
    pub(crate) fn cut<T: Keyed>(&self, mut rows: Vec<T>) -> Rows<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let back = self.cursor.is_some_and(|cursor| cursor.back);
        if back {
            rows.reverse();
        }
        let cursor = |row: &T, back| Cursor { order: self.order, back, key: row.key(), at: row.at() };
        let has_next = if back { true } else { more };
        let has_prev = if back { more } else { self.cursor.is_some() };
        Rows {
            next: rows.last().filter(|_| has_next).map(|row| cursor(row, false)),
            prev: rows.first().filter(|_| has_prev).map(|row| cursor(row, true)),
            rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_wire_and_nothing_else_is_one() {
        let cursor = Cursor { order: Order::Desc, back: true, key: 255, at: Timestamp::from_micros(1_234_567) };
        let text = cursor.encode();
        assert_eq!(Cursor::decode(&text, Order::Desc, Created::default()), Ok(cursor));
        assert!(Cursor::decode(&text, Order::Asc, Created::default()).is_err());
        assert!(Cursor::decode(&text, Order::Desc, Created { from: 1_234_568, to: i64::MAX }).is_err());
        for bad in ["", "page_", "page_df", "page_dfx_1", "page_éf1_1", "page_df1", "nonsense"] {
            assert!(Cursor::decode(bad, Order::Desc, Created::default()).is_err(), "{bad}");
        }
    }
}
