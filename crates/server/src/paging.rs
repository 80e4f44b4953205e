//! Lists: from a query to a cut, and from rows to a page.

use crate::query::Params;
use daybreak_api::error::Result;
use daybreak_api::limits::{PAGE_DEFAULT, PAGE_MAX};
use daybreak_api::page::{self, Page};
use daybreak_store::page::{Created, Cursor, Cut, Order, Rows};

/// How many objects a page has: by default, and at the most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) default: u32,
    pub(crate) max: u32,
}

/// What most lists allow.
pub(crate) const USUAL: Sizes = Sizes { default: PAGE_DEFAULT, max: PAGE_MAX };

/// `limit`, checked.
pub(crate) fn limit(params: &Params, sizes: Sizes) -> Result<u32> {
    page::limit(params.opt_u32("limit")?, sizes.default, sizes.max)
}

/// `limit` and `page` of a list that runs in `order` within `created`.
pub(crate) fn cut(params: &Params, order: Order, created: Created, sizes: Sizes) -> Result<Cut> {
    let cursor = params.opt("page").map(|text| Cursor::decode(text, order, created)).transpose()?;
    Ok(Cut { order, cursor, limit: limit(params, sizes)? })
}

/// A page that leads forward.
pub(crate) fn forward<R, T>(rows: Rows<R>, wire: impl Fn(R) -> T) -> Page<T> {
    Page { next_page: rows.next.map(|cursor| cursor.encode()), data: rows.rows.into_iter().map(wire).collect() }
}
