//! Pages of a list.

use crate::error::{ApiError, Result};
use serde::Serialize;

/// A page by cursor. `next_page` is `null` on the last one.
#[derive(Debug, Clone, Serialize)]
pub struct Page<T> {
    /// The objects.
    pub data: Vec<T>,
    /// The cursor of the next page.
    pub next_page: Option<String>,
}

/// A page that also leads back. Only the session list has it.
#[derive(Debug, Clone, Serialize)]
pub struct TwoWayPage<T> {
    /// The objects.
    pub data: Vec<T>,
    /// The cursor of the next page.
    pub next_page: Option<String>,
    /// The cursor of the page before, `null` on the first.
    pub prev_page: Option<String>,
}

/// A window between two ids. Only the model list has it here.
#[derive(Debug, Clone, Serialize)]
pub struct Window<T> {
    /// The objects.
    pub data: Vec<T>,
    /// Whether more follow.
    pub has_more: bool,
    /// Id of the first object.
    pub first_id: Option<String>,
    /// Id of the last object.
    pub last_id: Option<String>,
}

/// Checks a `limit` against `1..=max`.
pub fn limit(asked: Option<u32>, default: u32, max: u32) -> Result<u32> {
    let limit = asked.unwrap_or(default);
    if limit == 0 || limit > max {
        return Err(ApiError::invalid(format!("limit: {limit} is out of range; 1 to {max} are allowed")));
    }
    Ok(limit)
}
