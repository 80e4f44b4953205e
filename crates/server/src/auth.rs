//! Who calls, and what the call may rely on.
//!
//! [`Caller`] proves that the key is good and that every beta named is one that exists; [`ManagedCaller`] proves on
//! top that the Managed Agents beta is among them. The order is the contract's: first the key, then the betas.

use crate::AppState;
use crate::answer::{Trace, WORKSPACE_ID};
use crate::error::{Answer, Refusal};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use daybreak_api::error::{ApiError, ErrorKind};
use daybreak_api::id::Id;
use daybreak_api::time::Timestamp;
use daybreak_store::api_keys::{self, Access};
use daybreak_store::{Store, Workspace};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The holder of a key.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The workspace, as rows name it.
    pub(crate) workspace: Workspace,
    /// The key's id: the actor of everything it does.
    pub(crate) key_id: String,
    /// The request's id: what a stream names when it fails.
    pub(crate) request_id: Id,
}

/// A caller of the Managed Agents API.
#[derive(Debug)]
pub(crate) struct ManagedCaller(pub(crate) Caller);

const MANAGED_AGENTS: &str = "managed-agents-2026-04-01";
/// Every beta that may be named. Those of features that do not exist yet are accepted: SDKs send lists.
const BETAS: [&str; 6] = [
    MANAGED_AGENTS,
    "agent-memory-2026-07-22",
    "dreaming-2026-04-21",
    "webhooks-2026-10-07",
    "files-api-2025-04-14",
    "skills-2025-10-02",
];

impl FromRequestParts<AppState> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Answer<Self> {
        let access = authenticate(&parts.headers, app).await?;
        let trace =
            parts.extensions.get::<Trace>().ok_or_else(|| Refusal::internal(&"a route without the outer layer"))?;
        let _first_wins = trace.workspace_id.set(access.workspace_id.clone());
        let request_id = trace.request_id.clone();
        let selected = parts.headers.get(WORKSPACE_ID);
        if selected.is_some_and(|selected| selected.as_bytes() != access.workspace_id.as_bytes()) {
            return Err(ApiError::new(ErrorKind::Permission, "The key does not belong to this workspace.").into());
        }
        check_betas(&parts.headers)?;
        Ok(Self { workspace: access.workspace, key_id: access.key_id, request_id })
    }
}

impl FromRequestParts<AppState> for ManagedCaller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Answer<Self> {
        let caller = Caller::from_request_parts(parts, app).await?;
        if !betas(&parts.headers).any(|beta| beta == MANAGED_AGENTS) {
            return Err(ApiError::new(
                ErrorKind::NotFound,
                format!("There is nothing here without the header `anthropic-beta: {MANAGED_AGENTS}`."),
            )
            .into());
        }
        Ok(Self(caller))
    }
}

async fn authenticate(headers: &HeaderMap, app: &AppState) -> Answer<Access> {
    let refused = |message: &str| ApiError::new(ErrorKind::Authentication, message);
    let key = key(headers).ok_or_else(|| {
        refused("An API key is needed: send it as `Authorization: Bearer <key>` or as `x-api-key: <key>`.")
    })?;
    let now = app.engine.world().now();
    let access = app.keys.access(app.engine.store(), key, now).await?;
    Ok(access.ok_or_else(|| refused("The API key is not valid."))?)
}

/// The key that was sent. `x-api-key` wins.
fn key(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get("x-api-key") {
        return key.to_str().ok();
    }
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

/// The betas named: a list separated by commas, in any number of headers.
fn betas(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers.get_all("anthropic-beta").iter();
    let named = lists.flat_map(|list| list.to_str().unwrap_or("(not text)").split(','));
    named.map(str::trim).filter(|beta| !beta.is_empty())
}

fn check_betas(headers: &HeaderMap) -> Result<(), ApiError> {
    let unknown: Vec<String> = betas(headers)
        .filter(|beta| !BETAS.contains(beta))
        .map(|beta| format!("`{}`", beta.chars().take(100).collect::<String>()))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "Unexpected value(s) {} for the `anthropic-beta` header. Known are {}.",
        unknown.join(", "),
        BETAS.join(", ")
    )))
}

/// How long a good key is good without asking the database again: revoking one takes this long at most.
const KEPT_MICROS: i64 = 10_000_000;
/// Good keys remembered at one time.
const KEPT_MAX: usize = 10_000;

/// Good keys of the last seconds, by their hash. Bad ones are never remembered.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys {
    seen: Mutex<HashMap<String, (Access, Timestamp)>>,
}

impl KnownKeys {
    async fn access(&self, store: &Store, key: &str, now: Timestamp) -> daybreak_store::Result<Option<Access>> {
        let hash = api_keys::hash(key);
        if let Some((access, seen)) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&hash)
            && (0..KEPT_MICROS).contains(&(now.micros() - seen.micros()))
        {
            return Ok(Some(access.clone()));
        }
        let access = store.access(key).await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= KEPT_MAX {
            seen.clear();
        }
        match &access {
            Some(access) => seen.insert(hash, (access.clone(), now)),
            None => seen.remove(&hash),
        };
        Ok(access)
    }
}
