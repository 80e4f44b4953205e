//! Anthropic's Messages API.
//!
//! The cast: `request` writes the body, `accumulator` puts the reply together from the frames of the
//! stream, `failure` says what kind of failure an answer is, and [`Anthropic`] holds the connection.
//!
//! Invariants: a block of an earlier reply is sent back exactly as it came (signatures of thinking break
//! otherwise); whatever the other side sends is an error at worst, never a panic; the size and the duration of
//! a call are bounded; the key is in the request's header and nowhere else.

use std::time::Duration;

use async_trait::async_trait;
use daybreak_domain::model::{ModelError, ModelReply, ModelRequest};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use tokio::time::timeout;

use self::accumulator::{Accumulator, Progress};
use super::sse::Frames;
use crate::{ConfigError, Provider, Secret};

mod accumulator;
mod block;
mod failure;
mod request;

/// Address of the public API.
pub const PUBLIC_BASE_URL: &str = "https://api.anthropic.com";

/// The version of the Messages API that we speak.
const API_VERSION: &str = "2023-06-01";

/// How much of the body of a refused call is read, in bytes.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;

/// Bounds of one call.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// How long connecting may take.
    pub connect: Duration,
    /// How long the other side may send nothing, before the answer and within it.
    pub idle: Duration,
    /// How long the call may take altogether.
    pub total: Duration,
    /// How large the answer may be, in bytes of its stream.
    pub response_bytes_max: usize,
}

impl Default for CallLimits {
    /// The longest replies (128k tokens) take most of an hour, and the stream sends a ping every few seconds.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(60 * 60),
            response_bytes_max: 32 * 1024 * 1024,
        }
    }
}

/// The provider: one address, one key, a pool of connections.
pub struct Anthropic {
    client: reqwest::Client,
    endpoint: reqwest::Url,
    key: Secret,
    key_header: HeaderValue,
    limits: CallLimits,
}

impl Anthropic {
    /// Prepares calls to the API at `base_url` (without `/v1`; one at its end is tolerated).
    ///
    /// # Errors
    /// An address that is not http(s) or holds credentials, or a key that cannot stand in a header.
    pub fn new(base_url: &str, key: &Secret, limits: CallLimits) -> Result<Self, ConfigError> {
        crate::install_tls();
        let mut key_header = HeaderValue::from_str(key.expose())
            .map_err(|_| ConfigError("the Anthropic key holds characters that cannot stand in a header".to_owned()))?;
        key_header.set_sensitive(true);
        let client = reqwest::Client::builder()
            .connect_timeout(limits.connect)
            // Why: a redirect would carry the key to an address that nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("daybreak/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ConfigError(format!("the HTTP client for Anthropic cannot be made: {error}")))?;
        Ok(Self { client, endpoint: endpoint(base_url)?, key: key.clone(), key_header, limits })
    }

    /// Sends the request and reads the answer to its end.
    async fn exchange(&self, body: Vec<u8>) -> Result<ModelReply, ModelError> {
        let sent = self
            .client
            .post(self.endpoint.clone())
            .header("x-api-key", self.key_header.clone())
            .header("anthropic-version", API_VERSION)
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .send();
        let response = timeout(self.limits.idle, sent)
            .await
            .map_err(|_| failure::silent(self.limits.idle))?
            .map_err(|error| failure::transport(&error))?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        if let Some(kind) = response.headers().get(CONTENT_TYPE)
            && !kind.as_bytes().starts_with(b"text/event-stream")
        {
            return Err(failure::not_a_stream(kind));
        }
        self.read(response).await
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<ModelReply, ModelError> {
        let mut frames = Frames::default();
        let mut reply = Accumulator::default();
        let mut left = self.limits.response_bytes_max;
        loop {
            let chunk = timeout(self.limits.idle, response.chunk())
                .await
                .map_err(|_| failure::silent(self.limits.idle))?
                .map_err(|error| failure::transport(&error))?;
            let Some(chunk) = chunk else {
                return Err(failure::broken("the stream ended before the reply was complete"));
            };
            left = left.checked_sub(chunk.len()).ok_or_else(|| failure::too_large(self.limits.response_bytes_max))?;
            let complete = frames.push(&chunk).map_err(|_| failure::broken("the stream is not UTF-8"))?;
            for frame in &complete {
                if reply.take(frame).map_err(|error| self.redacted(error))? == Progress::Done {
                    return reply.finish();
                }
            }
        }
    }

    /// What the answer to a refused call says.
    async fn refused(&self, mut response: reqwest::Response) -> ModelError {
        let status = response.status();
        let headers = response.headers().clone();
        let mut body = Vec::new();
        // Why errors are ignored: the status alone says enough; the body only says it more nicely.
        while let Ok(Ok(Some(chunk))) = timeout(self.limits.idle, response.chunk()).await {
            body.extend_from_slice(&chunk);
            if body.len() >= ERROR_BODY_BYTES_MAX {
                body.truncate(ERROR_BODY_BYTES_MAX);
                break;
            }
        }
        self.redacted(failure::refused(status, &headers, &body))
    }

    /// Takes the key out of a message, in case the other side repeated it.
    fn redacted(&self, mut error: ModelError) -> ModelError {
        if !self.key.expose().is_empty() && error.message.contains(self.key.expose()) {
            error.message = error.message.replace(self.key.expose(), "[key]");
        }
        error
    }
}

#[async_trait]
impl Provider for Anthropic {
    async fn call(&self, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        let body = request::encode(request)?;
        match timeout(self.limits.total, self.exchange(body)).await {
            Ok(result) => result,
            Err(_) => Err(failure::too_long(self.limits.total)),
        }
    }
}

/// The address that calls are posted to.
fn endpoint(base_url: &str) -> Result<reqwest::Url, ConfigError> {
    let base = base_url.trim().trim_end_matches('/');
    let base = base.strip_suffix("/v1").unwrap_or(base);
    // Why the address is not repeated when it cannot be read: it may hold credentials.
    let url = reqwest::Url::parse(&format!("{base}/v1/messages"))
        .map_err(|error| ConfigError(format!("the base URL of Anthropic is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ConfigError("the base URL of Anthropic must start with http:// or https://".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(ConfigError(
            "the base URL of Anthropic must hold no user name, password, query or fragment".to_owned(),
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_stands_below_the_base_url() {
        for (base, expected) in [
            ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
            ("https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/messages"),
            ("http://127.0.0.1:4000/proxy/", "http://127.0.0.1:4000/proxy/v1/messages"),
        ] {
            assert_eq!(endpoint(base).unwrap().as_str(), expected);
        }
        for base in ["", "ftp://x", "https://me:pass@host", "https://host?x=1"] {
            let error = endpoint(base).unwrap_err().to_string();
            assert!(!error.contains("pass@"), "{error}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_refused_without_being_shown() {
        let error = Anthropic::new(PUBLIC_BASE_URL, &Secret::new("se\ncret"), CallLimits::default())
            .err()
            .expect("a newline cannot stand in a header");
        assert!(!error.to_string().contains("cret"), "{error}");
    }
}
