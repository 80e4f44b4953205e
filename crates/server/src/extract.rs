//! What handlers take from a request besides its caller: a JSON body, ids of the path, and no query at all.

use crate::body;
use crate::error::{Answer, Refusal};
use crate::query::Params;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use daybreak_api::error::{ApiError, ErrorKind, Result};
use daybreak_api::id::{Id, Kind};
use daybreak_api::limits::{JSON_BODY_BYTES_MAX, JSON_VALUES_MAX};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A JSON body, in a request or in an answer. An empty request body means `{}`.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

/// The body of a request that has nothing to say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Answer<Self> {
        body::check_encoding(request.headers())?;
        let (parts, body) = request.into_parts();
        let bytes = body::read(&parts.headers, body, JSON_BODY_BYTES_MAX).await?;
        Ok(Self(parse(&bytes)?))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => json(bytes),
            Err(error) => Refusal::internal(&error).into_response(),
        }
    }
}

/// An answer whose JSON is written already.
pub(crate) fn json(bytes: impl Into<axum::body::Body>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes.into()).into_response()
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    // Without this look a list would be taken for the fields of an object, in order.
    if let Some(first) = bytes.iter().find(|byte| !byte.is_ascii_whitespace())
        && matches!(first, b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
    {
        return Err(ApiError::invalid("The request body must be a JSON object."));
    }
    let values = count_values(bytes);
    if values > JSON_VALUES_MAX {
        return Err(ApiError::invalid(format!(
            "The request body holds more than {JSON_VALUES_MAX} JSON values, the most that are allowed."
        )));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        refusal(&path, error.inner())
    })?;
    deserializer.end().map_err(|error| refusal(".", &error))?;
    Ok(value)
}

/// How many values a JSON text holds at the most: what separates and opens them is counted, outside of strings.
///
/// An empty array of two bytes takes over fifty in memory, so the bytes of a body do not bound what it becomes.
fn count_values(json: &[u8]) -> usize {
    let (mut values, mut in_string, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

fn refusal(path: &str, error: &serde_json::Error) -> ApiError {
    if !error.is_data() {
        return ApiError::invalid(format!("The request body is not valid JSON: {error}"));
    }
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _position)| what);
    ApiError::invalid(word(if path == "." { "" } else { path }, text))
}

/// Words serde's complaint as the contract does: the path first, and no names of our own types.
fn word(path: &str, text: &str) -> String {
    let quoted = |text: &str| text.split('`').nth(1).map(str::to_owned);
    if text.starts_with("missing field")
        && let Some(field) = quoted(text)
    {
        return if path.is_empty() {
            format!("{field}: field required")
        } else {
            format!("{path}.{field}: field required")
        };
    }
    if text.starts_with("unknown field")
        && let Some(field) = quoted(text)
    {
        let at = match path.strip_suffix(field.as_str()) {
            Some(parent) if parent.is_empty() || parent.ends_with('.') => path.to_owned(),
            _ if path.is_empty() => field,
            _ => format!("{path}.{field}"),
        };
        return format!("{at}: extra inputs are not permitted");
    }
    let text =
        if text.starts_with("data did not match any variant") { "not one of the forms allowed here" } else { text };
    if path.is_empty() { text.to_owned() } else { format!("{path}: {text}") }
}

/// Proves that the request has no query parameters.
#[derive(Debug)]
pub(crate) struct NoQuery;

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Answer<Self> {
        Params::new(parts.uri.query(), &[])?;
        Ok(Self)
    }
}

/// The ids in a request's path, in their order.
#[derive(Debug)]
pub(crate) struct PathIds(Vec<String>);

impl<S: Send + Sync> FromRequestParts<S> for PathIds {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params =
            params.map_err(|_| ApiError::new(ErrorKind::NotFound, "The path is not percent-encoded UTF-8."))?;
        Ok(Self(params.iter().map(|(_, value)| value.to_owned()).collect()))
    }
}

impl PathIds {
    /// The ids, each of its kind. A text that cannot be one names nothing that exists.
    pub(crate) fn ids<const N: usize>(&self, kinds: [Kind; N]) -> Result<[Id; N]> {
        let mut texts = self.0.iter();
        let mut missing = None;
        let ids = kinds.map(|kind| {
            let text = texts.next().map_or("", String::as_str);
            Id::parse(kind, text).unwrap_or_else(|| {
                missing.get_or_insert_with(|| ApiError::not_found(noun(kind), &shorten(text)));
                Id::stored(String::new())
            })
        });
        missing.map_or(Ok(ids), Err)
    }

    /// The only id.
    pub(crate) fn id(&self, kind: Kind) -> Result<Id> {
        self.ids([kind]).map(|[id]| id)
    }

    /// The only segment, of whatever form.
    pub(crate) fn text(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

/// What a kind of object is called in messages.
pub(crate) const fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Agent => "Agent",
        Kind::Environment => "Environment",
        Kind::Session => "Session",
        Kind::Event => "Event",
        Kind::Thread => "Thread",
        Kind::Resource => "Resource",
        Kind::File => "File",
        Kind::Request => "Request",
        Kind::Workspace => "Workspace",
        Kind::ApiKey => "API key",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daybreak_api::agent::CreateAgent;

    fn told(body: &str) -> String {
        parse::<CreateAgent>(body.as_bytes()).unwrap_err().message
    }

    #[test]
    fn values_are_counted_before_they_take_memory_and_those_in_strings_are_not() {
        assert_eq!(count_values(br#"{"a": ["x,[{\"", {}], "b": 1}"#), 5);
        let many = format!("{{\"name\": [{}]}}", "[],".repeat(JSON_VALUES_MAX));
        assert!(told(&many).contains("JSON values"), "{}", told(&many));
        let text = format!("{{\"name\": \"{}\"}}", ",[{".repeat(JSON_VALUES_MAX));
        assert!(!told(&text).contains("JSON values"));
    }

    #[test]
    fn a_refusal_names_the_path_and_what_is_wrong() {
        for (body, expected) in [
            ("", "name: field required"),
            ("{}", "name: field required"),
            (r#"{"name": 5, "model": "m"}"#, "name: invalid type: integer `5`, expected a string"),
            (r#"{"name": "n", "model": "m", "nonsense": 1}"#, "nonsense: extra inputs are not permitted"),
            (
                r#"{"name": "n", "model": "m", "metadata": {"a": 1}}"#,
                "metadata.a: invalid type: integer `1`, expected a string",
            ),
            (r#"{"name": "n", "model": 7}"#, "model: invalid type: integer `7`, expected a string or an object"),
            (r#"{"name": "n", "model": {"id": "m", "spede": 1}}"#, "model.spede: extra inputs are not permitted"),
            (r#"{"name": "n", "model": {}}"#, "model.id: field required"),
            (
                r#"{"name": "n", "model": {"id": "m", "effort": 5}}"#,
                "model.effort: invalid type: integer `5`, expected a string or an object",
            ),
            (r#"{"name": "a", "name": "b"}"#, "duplicate field `name`"),
            ("[1]", "The request body must be a JSON object."),
            ("null", "The request body must be a JSON object."),
        ] {
            assert_eq!(told(body), expected, "{body}");
        }
    }

    #[test]
    fn broken_json_is_refused_with_its_position() {
        assert!(told("{\"name\": \"n\",\n oops}").contains("line 2 column 2"));
        assert!(told("{\"name\": \"n\", \"model\": \"m\"} x").contains("trailing characters at line 1"));
        assert!(told("{\"name\": \"n").contains("EOF"));
        assert!(told("   ").contains("EOF"));
        let deep = format!("{{\"multiagent\": {}", "[".repeat(100_000));
        assert!(told(&deep).contains("recursion limit"));
        let mut broken = b"{\"name\": \"".to_vec();
        broken.extend([0xff, 0xfe]);
        assert!(parse::<CreateAgent>(&broken).unwrap_err().message.contains("not valid JSON"));
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        assert!(parse::<Nothing>(b"").is_ok());
        assert!(parse::<Nothing>(b"{}").is_ok());
        assert_eq!(parse::<Nothing>(b"{\"a\": 1}").unwrap_err().message, "a: extra inputs are not permitted");
    }
}
