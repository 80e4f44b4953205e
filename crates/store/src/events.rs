//! Session events as clients see them: sent, listed, streamed.
//!
//! A list is ordered by position. An event that was processed when it was stored has its own seq as its position;
//! a queued one has the seq of the record that took it, and comes last until then.

use crate::log::{self, Author, Target};
use crate::page::{Created, Order, check_cursor};
use crate::sessions;
use crate::{Result, Store, Tx, Workspace, resources};
use daybreak_api::error::ApiError;
use daybreak_api::event::join_processed_at;
use daybreak_api::id::Id;
use daybreak_api::time::Timestamp;
use daybreak_domain::record::Draft;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::{AssertSqlSafe, FromRow};
use std::fmt::Write as _;

/// Bytes of events read at once: a page or a piece of a stream ends early rather than fill the memory.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An event as served.
#[derive(Debug, Clone)]
pub struct Served {
    /// Its position: a stream goes on after it.
    pub position: i64,
    /// The wire's `type`.
    pub kind: String,
    /// The JSON.
    pub json: String,
}

/// A position in an event list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCursor {
    /// The order of the list that it was cut from.
    pub order: Order,
    /// For a descending list: the head when its first page was read. What came later is not part of it.
    head: i64,
    /// The last processed position listed.
    position: i64,
    /// The last waiting event listed, by its seq; 0 for none.
    waiting: i64,
    /// The time of the last event listed.
    at: i64,
}

impl EventCursor {
    /// The opaque text.
    pub fn encode(&self) -> String {
        let letter = if self.order == Order::Asc { 'a' } else { 'd' };
        format!("page_{letter}{:x}_{:x}_{:x}_{:x}", self.head, self.position, self.waiting, self.at)
    }

    /// Reads a text that a client sent back with `order` and `created` bounds.
    pub fn decode(text: &str, order: Order, created: Created) -> std::result::Result<Self, ApiError> {
        let cursor = Self::read(text).ok_or_else(|| ApiError::invalid("page: not a cursor of this list"))?;
        check_cursor((cursor.order, cursor.at), order, created)?;
        Ok(cursor)
    }

    fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("page_")?;
        let order = match rest.get(0..1)? {
            "a" => Order::Asc,
            "d" => Order::Desc,
            _ => return None,
        };
        let mut numbers = rest.get(1..)?.split('_').map(|part| i64::from_str_radix(part, 16).ok());
        let mut number = || numbers.next().flatten();
        let cursor = Self { order, head: number()?, position: number()?, waiting: number()?, at: number()? };
        numbers.next().is_none().then_some(cursor)
    }
}

/// Which events a list shows.
#[derive(Debug, Clone)]
pub struct EventFilter {
    /// Of these types; of any when empty.
    pub types: Vec<String>,
    /// Processed within.
    pub processed: Created,
    /// Which way.
    pub order: Order,
    /// Where to go on.
    pub cursor: Option<EventCursor>,
    /// Events, at the most.
    pub limit: u32,
}

#[derive(FromRow)]
struct RawEvent {
    waiting: i64,
    position: i64,
    kind: String,
    at: i64,
    taken: i64,
    body: String,
}

impl RawEvent {
    fn serve(self) -> Served {
        let json =
            if self.taken != 0 { join_processed_at(&self.body, Timestamp::from_micros(self.at)) } else { self.body };
        Served { position: self.position, kind: self.kind, json }
    }
}

/// Columns of a record `p` that shows an event, joined with the queued event `q` that it takes.
const SHOWN: &str = "p.seq AS position, COALESCE(q.type, p.type) AS kind, p.at AS at, \
     CASE WHEN p.taken_seq IS NULL THEN 0 ELSE 1 END AS taken, COALESCE(q.body, p.body) AS body \
     FROM log p LEFT JOIN log q ON q.session_key = p.session_key AND q.seq = p.taken_seq";

impl Store {
    /// Appends a client's events, all or nothing.
    ///
    /// # Errors
    /// 404 for an unknown session or file, 409 for a session that has ended.
    pub async fn send_events(
        &self,
        ws: Workspace,
        session: Id,
        drafts: Vec<Draft>,
        file_ids: Vec<Id>,
        actor: String,
        at: Timestamp,
    ) -> Result<()> {
        self.write(async move |tx: &mut Tx| {
            for id in &file_ids {
                resources::usable_file(tx, ws, id, at).await?;
            }
            let count = i64::try_from(drafts.len()).unwrap_or(i64::MAX);
            let moved: Option<(i64, i64)> = sqlx::query_as(
                "UPDATE sessions SET head_seq = head_seq + $1, queued = queued + $2, updated_at = $3 \
                 WHERE id = $4 AND workspace_id = $5 AND archived_at IS NULL AND status <> 'terminated' RETURNING key, head_seq",
            )
            .bind(count)
            .bind(log::count_queued(&drafts))
            .bind(at.micros())
            .bind(session.as_str())
            .bind(ws)
            .fetch_optional(&mut tx.conn)
            .await?;
            let Some((session_key, head)) = moved else {
                sessions::read(tx, ws, &session).await?;
                return Err(ApiError::conflict("The session has ended; nothing more can be added to it.").into());
            };
            let target = Target { session_key, workspace: ws, head: head - count };
            log::insert(tx, &target, &Author { actor: &actor, epoch: None, at }, &drafts).await
        })
        .await
    }

    /// What a stream has to deliver beyond `after`: at most `limit` events, each queued one twice.
    pub async fn served_after(&self, session_key: i64, after: i64, limit: i64) -> Result<Vec<Served>> {
        let sql = format!(
            "SELECT 0 AS waiting, {SHOWN} WHERE p.session_key = $1 AND p.seq > $2 \
             AND (p.kind = 'wire' OR p.taken_seq IS NOT NULL) ORDER BY p.seq LIMIT $3"
        );
        let query = sqlx::query_as(AssertSqlSafe(sql)).bind(session_key).bind(after).bind(limit);
        let (rows, _more) = bounded(query.fetch(&self.readers), usize::try_from(limit).unwrap_or(usize::MAX)).await?;
        Ok(rows.into_iter().map(RawEvent::serve).collect())
    }

    /// A page of events, and the cursor of the next one.
    pub async fn list_events(
        &self,
        session_key: i64,
        head: i64,
        filter: &EventFilter,
    ) -> Result<(Vec<Served>, Option<EventCursor>)> {
        let span = Span::of(filter, head);
        let sql = list_sql(filter);
        let mut query = sqlx::query_as(AssertSqlSafe(sql))
            .bind(session_key)
            .bind(span.after)
            .bind(span.before)
            .bind(span.waiting_listed)
            .bind(span.waiting_after)
            .bind(span.waiting_before)
            .bind(span.head)
            .bind(filter.processed.from)
            .bind(filter.processed.to)
            .bind(i64::from(filter.limit) + 1);
        for kind in &filter.types {
            query = query.bind(kind);
        }
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let (rows, more) = bounded(query.fetch(&self.readers), limit).await?;
        let next = rows.last().filter(|_| more).map(|last| span.cursor(filter.order, last, &rows));
        Ok((rows.into_iter().map(RawEvent::serve).collect(), next))
    }
}

/// Reads at most `limit` rows and, beyond the first, at most [`READ_BYTES_MAX`]; and whether there are more.
async fn bounded(mut rows: BoxStream<'_, sqlx::Result<RawEvent>>, limit: usize) -> Result<(Vec<RawEvent>, bool)> {
    let (mut read, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().await {
        let row = row?;
        bytes += row.body.len();
        if read.len() == limit || (bytes > READ_BYTES_MAX && !read.is_empty()) {
            return Ok((read, true));
        }
        read.push(row);
    }
    Ok((read, false))
}

/// Which part of the log a page reads: processed positions in `(after, before)`, waiting events in
/// `(waiting_after, waiting_before)`.
struct Span {
    after: i64,
    before: i64,
    /// Waiting events up to this seq are on earlier pages: they do not come again once taken.
    waiting_listed: i64,
    waiting_after: i64,
    waiting_before: i64,
    /// What counts as waiting: not taken at or before this seq.
    head: i64,
}

impl Span {
    fn of(filter: &EventFilter, head: i64) -> Self {
        let all = Self {
            after: 0,
            before: i64::MAX,
            waiting_listed: 0,
            waiting_after: 0,
            waiting_before: i64::MAX,
            head: i64::MAX,
        };
        match (filter.order, filter.cursor) {
            (Order::Asc, None) => all,
            (Order::Asc, Some(cursor)) => {
                Self { after: cursor.position, waiting_listed: cursor.waiting, waiting_after: cursor.waiting, ..all }
            }
            (Order::Desc, None) => {
                Self { before: head.saturating_add(1), waiting_before: head.saturating_add(1), head, ..all }
            }
            (Order::Desc, Some(cursor)) => {
                let before = if cursor.position > 0 { cursor.position } else { cursor.head.saturating_add(1) };
                let waiting_before = if cursor.position > 0 { 0 } else { cursor.waiting };
                Self { before, waiting_before, head: cursor.head, ..all }
            }
        }
    }

    fn cursor(&self, order: Order, last: &RawEvent, rows: &[RawEvent]) -> EventCursor {
        let processed = rows.iter().rev().find(|row| row.waiting == 0).map(|row| row.position);
        let position = match order {
            Order::Asc => processed.unwrap_or(self.after),
            Order::Desc => processed.unwrap_or(0),
        };
        // What waited and was listed stays listed, also when processed events were the last of this page.
        let waiting = if last.waiting == 1 { last.position } else { self.waiting_listed };
        EventCursor { order, head: if order == Order::Desc { self.head } else { 0 }, position, waiting, at: last.at }
    }
}

fn list_sql(filter: &EventFilter) -> String {
    let mut types = String::new();
    for index in 0..filter.types.len() {
        let comma = if index == 0 { "" } else { ", " };
        let _infallible = write!(types, "{comma}${}", 11 + index);
    }
    let typed = |column: &str| if types.is_empty() { String::new() } else { format!(" AND {column} IN ({types})") };
    // A queued event has no processed_at to compare with: any bound leaves it out.
    let unbounded = filter.processed == Created::default();
    let order = filter.order.sql();
    let waiting_typed = typed("w.type");
    let processed_typed = typed("COALESCE(q.type, p.type)");
    let waiting_on = i64::from(unbounded);
    format!(
        "SELECT 0 AS waiting, {SHOWN} \
         WHERE p.session_key = $1 AND p.seq > $2 AND p.seq < $3 \
         AND ((p.kind = 'wire' AND p.queued = 0) OR p.taken_seq > $4) \
         AND p.at >= $8 AND p.at <= $9{processed_typed} \
         UNION ALL \
         SELECT 1 AS waiting, w.seq AS position, w.type AS kind, w.at AS at, 0 AS taken, w.body AS body FROM log w \
         WHERE w.session_key = $1 AND w.queued = 1 AND w.seq > $5 AND w.seq < $6 AND {waiting_on} = 1 \
         AND NOT EXISTS (SELECT 1 FROM log t WHERE t.session_key = w.session_key AND t.taken_seq = w.seq AND t.seq <= $7)\
         {waiting_typed} \
         ORDER BY waiting {order}, position {order} LIMIT $10"
    )
}
