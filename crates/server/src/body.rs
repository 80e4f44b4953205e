//! Reading request bodies: never more than allowed, never waiting for ever.
//!
//! What a handler leaves unread is the business of `leftover`.

use axum::body::{Body, BodyDataStream};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use daybreak_api::error::{ApiError, ErrorKind, Result};
use futures_util::StreamExt;
use std::time::Duration;

/// A body that brings nothing for this long is given up.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(60);
/// Reads a whole body of at most `bytes_max`.
pub(crate) async fn read(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes> {
    if content_length(headers).is_some_and(|announced| announced > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    let mut stream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    while let Some(chunk) = next(&mut stream).await? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

async fn next(stream: &mut BodyDataStream) -> Result<Option<Bytes>> {
    let chunk = tokio::time::timeout(STALL_MAX, stream.next()).await.map_err(|_| stalled())?;
    chunk.transpose().map_err(|_| ApiError::invalid("The request body ended before it was complete."))
}

/// The length that the request announces.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(bytes_max: usize) -> ApiError {
    let mib = bytes_max / (1024 * 1024);
    ApiError::new(ErrorKind::TooLarge, format!("The request body is larger than {mib} MB, the most that is allowed."))
}

/// 400 for a body that stopped coming.
pub(crate) fn stalled() -> ApiError {
    let seconds = STALL_MAX.as_secs();
    ApiError::invalid(format!("No byte of the request body came for {seconds} seconds."))
        .with_code("request_body_timeout")
}

/// Refuses a body in another encoding or charset than plain UTF-8.
pub(crate) fn check_encoding(headers: &HeaderMap) -> Result<()> {
    for encoding in headers.get_all(CONTENT_ENCODING) {
        let plain = encoding.as_bytes().is_empty() || encoding.as_bytes().eq_ignore_ascii_case(b"identity");
        if !plain {
            return Err(ApiError::invalid("content-encoding: only identity is supported; send the body as it is")
                .with_code("request_body_encoding_unsupported"));
        }
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let charset = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    match charset {
        None => Ok(()),
        Some(charset) if ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known)) => {
            Ok(())
        }
        Some(_) => {
            Err(ApiError::invalid("content-type: only the charset utf-8 is supported").with_code("unsupported_charset"))
        }
    }
}
