//! What kind of failure an answer is, and whether asking again may help.

use std::time::Duration;

use daybreak_domain::model::{ModelError, ModelErrorKind};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};
use serde::Deserialize;

use crate::model::meaning_of_status;

/// How much of what the other side says goes into an error, in characters.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// The error object of the API, in the body of a refused call and in an `error` frame.
#[derive(Debug, Default, Deserialize)]
pub(super) struct WireError {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Envelope {
    error: WireError,
}

/// A call that the API refused with a status.
pub(super) fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ModelError {
    let said = serde_json::from_slice::<Envelope>(body).map(|envelope| envelope.error).unwrap_or_default();
    let (kind, retryable) = match said.kind.as_str() {
        "billing_error" => (ModelErrorKind::Billing, false),
        _ => meaning_of_status(status.as_u16()),
    };
    let retry_after_ms = if retryable { retry_after_ms(headers) } else { None };
    ModelError {
        kind,
        message: message(&format!("Anthropic answered {}", status.as_u16()), &said),
        retryable,
        retry_after_ms,
    }
}

/// An `error` frame within the stream.
pub(super) fn framed(said: &WireError) -> ModelError {
    let (kind, retryable) = match said.kind.as_str() {
        "overloaded_error" => (ModelErrorKind::Overloaded, true),
        "rate_limit_error" => (ModelErrorKind::RateLimited, true),
        "billing_error" => (ModelErrorKind::Billing, false),
        "invalid_request_error"
        | "authentication_error"
        | "permission_error"
        | "not_found_error"
        | "request_too_large" => (ModelErrorKind::RequestFailed, false),
        // Why: `api_error`, `timeout_error` and whatever comes later are the other side's own trouble.
        _ => (ModelErrorKind::RequestFailed, true),
    };
    ModelError { kind, message: message("Anthropic broke off the reply", said), retryable, retry_after_ms: None }
}

/// A connection that could not be made or broke.
pub(super) fn transport(error: &reqwest::Error) -> ModelError {
    let what = if error.is_connect() { "cannot connect to Anthropic" } else { "the connection to Anthropic broke" };
    // Why the innermost cause only: the outer ones repeat it, and name the URL.
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    again(format!("{what}: {}", shortened(&cause.to_string())))
}

/// A stream that breaks the rules of the protocol.
pub(super) fn broken(what: &str) -> ModelError {
    again(format!("the answer of Anthropic cannot be read: {what}"))
}

/// Nothing came for too long.
pub(super) fn silent(idle: Duration) -> ModelError {
    again(format!("Anthropic sent nothing for {} ms", idle.as_millis()))
}

/// The call as a whole took too long.
pub(super) fn too_long(total: Duration) -> ModelError {
    again(format!("the reply of Anthropic was not complete after {} ms", total.as_millis()))
}

/// The answer is larger than we are willing to read. Asking again would only repeat it.
pub(super) fn too_large(bytes_max: usize) -> ModelError {
    never(format!("the reply of Anthropic is larger than {bytes_max} bytes"))
}

/// A success that is no stream: most likely the base URL points at something else.
pub(super) fn not_a_stream(kind: &HeaderValue) -> ModelError {
    let kind = String::from_utf8_lossy(kind.as_bytes());
    never(format!("Anthropic answered with {} instead of text/event-stream; check the base URL", shortened(&kind)))
}

/// A request that we cannot put into the API's words.
pub(super) fn unsendable(what: &str) -> ModelError {
    never(format!("the request cannot be sent to Anthropic: {what}"))
}

fn again(message: String) -> ModelError {
    ModelError { kind: ModelErrorKind::RequestFailed, message, retryable: true, retry_after_ms: None }
}

fn never(message: String) -> ModelError {
    ModelError { kind: ModelErrorKind::RequestFailed, message, retryable: false, retry_after_ms: None }
}

fn message(lead: &str, said: &WireError) -> String {
    match (said.kind.as_str(), said.message.as_str()) {
        ("", "") => lead.to_owned(),
        (kind, "") => format!("{lead}: {}", shortened(kind)),
        ("", text) => format!("{lead}: {}", shortened(text)),
        (kind, text) => format!("{lead} ({}): {}", shortened(kind), shortened(text)),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}

/// How long we are asked to wait. A date in `retry-after` is not understood: the API sends seconds.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let number = |name: &str| {
        headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0)
    };
    let ms = number("retry-after-ms").or_else(|| number("retry-after").map(|seconds| seconds * 1_000.0))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "finite, not negative; the cast saturates"
    )]
    Some(ms.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn every_status_has_its_kind() {
        use ModelErrorKind::{Billing, Overloaded, RateLimited, RequestFailed};
        for (status, kind, retryable) in [
            (400, RequestFailed, false),
            (401, RequestFailed, false),
            (402, Billing, false),
            (403, RequestFailed, false),
            (404, RequestFailed, false),
            (408, RequestFailed, true),
            (413, RequestFailed, false),
            (429, RateLimited, true),
            (500, RequestFailed, true),
            (502, RequestFailed, true),
            (503, Overloaded, true),
            (504, RequestFailed, true),
            (529, Overloaded, true),
            (302, RequestFailed, false),
        ] {
            let error = refused(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), b"<html>");
            assert_eq!((error.kind, error.retryable), (kind, retryable), "{status}");
            assert_eq!(error.message, format!("Anthropic answered {status}"));
        }
        let body = br#"{"type":"error","error":{"type":"billing_error","message":"no credit"}}"#;
        let error = refused(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
        assert_eq!((error.kind, error.retryable), (Billing, false));
        assert_eq!(error.message, "Anthropic answered 400 (billing_error): no credit");
    }

    #[test]
    fn the_wait_is_read_in_seconds_and_in_milliseconds() {
        let asked = |pairs| retry_after_ms(&headers(pairs));
        assert_eq!(asked(&[("retry-after", "7")]), Some(7_000));
        assert_eq!(asked(&[("retry-after", "0.25")]), Some(250));
        assert_eq!(asked(&[("retry-after", "7"), ("retry-after-ms", "1200")]), Some(1_200));
        assert_eq!(asked(&[("retry-after", "Sat, 21 Nov 2026 07:28:00 GMT")]), None);
        assert_eq!(asked(&[("retry-after", "-3")]), None);
        assert_eq!(asked(&[("retry-after", "NaN")]), None);
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn what_the_other_side_says_is_shortened() {
        let said = WireError { kind: "api_error".to_owned(), message: "é".repeat(9_000) };
        assert!(framed(&said).message.chars().count() < MESSAGE_CHARS_MAX + 100);
    }
}
