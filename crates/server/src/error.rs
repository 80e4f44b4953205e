//! The boundary: how a failure becomes an answer.
//!
//! A handler returns a [`Refusal`]. Its response is bare: the request id is not known there. The outermost layer
//! (`answer`) finds the refusal in the response, logs what must be logged, and writes the envelope.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use daybreak_api::error::{ApiError, ErrorKind};
use daybreak_store::StoreError;
use std::sync::Arc;

/// What a handler answers.
pub(crate) type Answer<T> = Result<T, Refusal>;

/// Why a request is not granted.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// What the client is told.
    pub(crate) error: ApiError,
    /// What only the log is told.
    pub(crate) cause: Option<Arc<str>>,
}

impl Refusal {
    /// A failure of our own.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        Self { error: ApiError::internal(), cause: Some(cause.to_string().into()) }
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self { error, cause: None }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(error) => error.into(),
            StoreError::StaleEpoch | StoreError::Closed => Self {
                error: ApiError::new(ErrorKind::Unavailable, "The server cannot do this right now; try again."),
                cause: Some(error.to_string().into()),
            },
            other => Self::internal(&chain(&other)),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// An error and what caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// 404 for an object that is not there, or not in this workspace.
pub(crate) fn not_found(noun: &str, id: &dyn std::fmt::Display) -> Refusal {
    ApiError::not_found(noun, &id.to_string()).into()
}
