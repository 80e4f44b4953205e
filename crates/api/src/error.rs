//! Errors on the wire: one closed list of kinds, one envelope.
//!
//! Every refusal of the API is an [`ApiError`]. Its message says what was wrong and what is allowed, because
//! a person reads it; programs match on the type and on `details.error_code`.

use serde::Serialize;

/// The kinds of errors, each with one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// 400: validation, or an object in the wrong state.
    InvalidRequest,
    /// 401: missing or wrong key.
    Authentication,
    /// 403: the right key for something else.
    Permission,
    /// 404: no such object, or no such route.
    NotFound,
    /// 405: the route exists, the method does not.
    MethodNotAllowed,
    /// 409: the object has changed, or its state forbids this for good.
    Conflict,
    /// 413: more bytes than allowed.
    TooLarge,
    /// 429: too many requests.
    RateLimit,
    /// 500: our fault.
    Api,
    /// 503: not ready, or shutting down.
    Unavailable,
}

impl ErrorKind {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication => 401,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::RateLimit => 429,
            Self::Api => 500,
            Self::Unavailable => 503,
        }
    }

    /// The wire's `error.type`.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::MethodNotAllowed => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::NotFound => "not_found_error",
            Self::Conflict => "conflict_error",
            Self::TooLarge => "request_too_large",
            Self::RateLimit => "rate_limit_error",
            Self::Api | Self::Unavailable => "api_error",
        }
    }
}

/// A refusal, before it has a request id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What kind.
    pub kind: ErrorKind,
    /// For people: what was wrong and what is allowed.
    pub message: String,
    /// For programs: the `details.error_code`, where the contract has one.
    pub code: Option<&'static str>,
}

/// What a refusal or a value is.
pub type Result<T> = std::result::Result<T, ApiError>;

impl ApiError {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), code: None }
    }

    /// 400.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// 400 for a field whose feature this server does not have yet.
    pub fn not_available(field: &str, feature: &str) -> Self {
        Self::invalid(format!("{field}: {feature} not available on this server yet"))
    }

    /// 404 for an object.
    pub fn not_found(noun: &str, id: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("{noun} `{id}` not found."))
    }

    /// 409 that no retry will change.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// 500. The cause goes to the log, never to the client.
    pub fn internal() -> Self {
        Self::new(ErrorKind::Api, "Internal server error. The server's log has the cause under this request id.")
    }

    /// Adds the code.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The body of the answer.
    pub fn envelope<'a>(&'a self, request_id: &'a str) -> Envelope<'a> {
        Envelope {
            kind: "error",
            error: Body {
                kind: self.kind.wire(),
                message: &self.message,
                details: self.code.map(|error_code| Details { error_code }),
            },
            request_id,
        }
    }
}

/// The error envelope.
#[derive(Debug, Serialize)]
pub struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Body<'a>,
    request_id: &'a str,
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Debug, Serialize)]
struct Details {
    error_code: &'static str,
}
