//! `/v1/models`: what an agent may name as its model.

use crate::AppState;
use crate::auth::Caller;
use crate::error::Answer;
use crate::extract::{Json, NoQuery, PathIds};
use crate::paging::{self, Sizes};
use crate::query::Params;
use axum::extract::{RawQuery, State};
use daybreak_api::error::{ApiError, Result};
use daybreak_api::limits::{PAGE_DEFAULT, PAGE_WIDE_MAX};
use daybreak_api::model::Model;
use daybreak_api::page::Window;
use daybreak_api::time::Timestamp;
use daybreak_outbound::ModelEntry;

const LIFECYCLES: [&str; 3] = ["active", "deprecated", "retired"];
/// No model here is anything else.
const ACTIVE: &str = LIFECYCLES[0];

/// `GET /v1/models`
pub(crate) async fn list(
    State(app): State<AppState>,
    _: Caller,
    RawQuery(query): RawQuery,
) -> Answer<Json<Window<Model>>> {
    let params = Params::new(query.as_deref(), &["after_id", "before_id", "limit", "lifecycle[]"])?;
    let limit = paging::limit(&params, Sizes { default: PAGE_DEFAULT, max: PAGE_WIDE_MAX })?;
    let models = if wants_active(&params)? { app.engine.models().list() } else { Vec::new() };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (from, to, has_more) = window(&models, params.opt("after_id"), params.opt("before_id"), limit)?;
    let data: Vec<Model> = models[from..to].iter().map(on_the_wire).collect();
    Ok(Json(Window {
        has_more,
        first_id: data.first().map(|model| model.id.clone()),
        last_id: data.last().map(|model| model.id.clone()),
        data,
    }))
}

/// `GET /v1/models/{model_id}`
pub(crate) async fn retrieve(State(app): State<AppState>, _: Caller, path: PathIds, _: NoQuery) -> Answer<Json<Model>> {
    let id = path.text();
    let models = app.engine.models();
    let listed = models.list();
    let find = |id: &str| listed.iter().find(|entry| entry.id == id).map(on_the_wire);
    if let Some(model) = find(id) {
        return Ok(Json(model));
    }
    let not_found = |_| ApiError::not_found("Model", &id.chars().take(100).collect::<String>());
    let route = models.resolve(id).map_err(not_found)?;
    // Another name of a listed model, or one that can be called without anything being known about it.
    let named = if route.provider_name == "anthropic" { find(&route.upstream) } else { None };
    Ok(Json(named.unwrap_or_else(|| {
        on_the_wire(&ModelEntry {
            id: id.to_owned(),
            display_name: id.to_owned(),
            created_at_us: 0,
            line: None,
            max_input_tokens: route.context_window_tokens,
            max_tokens: Some(route.max_output_tokens),
        })
    })))
}

fn wants_active(params: &Params) -> Result<bool> {
    let asked = params.list("lifecycle");
    if let Some(unknown) = asked.iter().find(|asked| !LIFECYCLES.contains(asked)) {
        let unknown: String = unknown.chars().take(100).collect();
        return Err(ApiError::invalid(format!("lifecycle: `{unknown}` is not one of {}", LIFECYCLES.join(", "))));
    }
    if asked.len() > LIFECYCLES.len() {
        return Err(ApiError::invalid(format!("lifecycle: at most {} values are allowed", LIFECYCLES.len())));
    }
    Ok(asked.is_empty() || asked.contains(&ACTIVE))
}

/// The part of the list that is asked for, and whether more lies beyond it in the direction of reading.
fn window(
    models: &[ModelEntry],
    after: Option<&str>,
    before: Option<&str>,
    limit: usize,
) -> Result<(usize, usize, bool)> {
    let find = |name: &str, id: &str| {
        models
            .iter()
            .position(|model| model.id == id)
            .ok_or_else(|| ApiError::invalid(format!("{name}: no model of this list has this id")))
    };
    match (after, before) {
        (Some(_), Some(_)) => Err(ApiError::invalid("after_id, before_id: only one of them is allowed")),
        (None, Some(id)) => {
            let to = find("before_id", id)?;
            let from = to.saturating_sub(limit);
            Ok((from, to, from > 0))
        }
        (after, None) => {
            let from = after.map(|id| find("after_id", id).map(|index| index + 1)).transpose()?.unwrap_or(0);
            let to = from.saturating_add(limit).min(models.len());
            Ok((from, to, to < models.len()))
        }
    }
}

fn on_the_wire(entry: &ModelEntry) -> Model {
    Model {
        id: entry.id.clone(),
        kind: "model",
        display_name: entry.display_name.clone(),
        created_at: Timestamp::from_micros(entry.created_at_us),
        lifecycle: ACTIVE,
        deprecated_at: None,
        retires_at: None,
        line: entry.line.map(str::to_owned),
        max_input_tokens: entry.max_input_tokens.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX)),
        max_tokens: entry.max_tokens,
        allowed_fallback_models: None,
        capabilities: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_moves_both_ways_and_stops_at_the_ends() {
        let models: Vec<_> = ["a", "b", "c", "d", "e"]
            .map(|id| ModelEntry {
                id: id.to_owned(),
                display_name: String::new(),
                created_at_us: 0,
                line: None,
                max_input_tokens: None,
                max_tokens: None,
            })
            .into();
        assert_eq!(window(&models, None, None, 2), Ok((0, 2, true)));
        assert_eq!(window(&models, Some("b"), None, 2), Ok((2, 4, true)));
        assert_eq!(window(&models, Some("d"), None, 2), Ok((4, 5, false)));
        assert_eq!(window(&models, Some("e"), None, 2), Ok((5, 5, false)));
        assert_eq!(window(&models, None, Some("d"), 2), Ok((1, 3, true)));
        assert_eq!(window(&models, None, Some("b"), 2), Ok((0, 1, false)));
        assert!(window(&models, Some("x"), None, 2).is_err());
        assert!(window(&models, Some("a"), Some("b"), 2).is_err());
    }
}
