//! A file on its way in: a multipart form, streamed to the blobs folder piece by piece.
//!
//! Invariant: of a body of any size and shape, only a few MiB are ever in memory.

use crate::body::{self, STALL_MAX, stalled};
use crate::error::{Answer, Refusal};
use axum::body::{Body, BodyDataStream};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use bytes::Bytes;
use daybreak_api::error::{ApiError, ErrorKind, Result};
use daybreak_api::file::{expiry_seconds, filename, mime_type_of};
use daybreak_api::id::Id;
use daybreak_store::Store;
use daybreak_store::blobs::{Blob, BlobWriter};
use futures_util::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Bytes of a form beside the file itself: boundaries, headers and the other field.
const FORM_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of a field that is not the file.
const FIELD_BYTES_MAX: usize = 64;
/// Bytes that may arrive without the form's reader making anything of them.
const UNREAD_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes that are collected before they are written.
const WRITE_BYTES: usize = 1024 * 1024;
/// What the form held.
pub(super) struct Received {
    pub(super) filename: String,
    pub(super) mime_type: String,
    pub(super) blob: Blob,
    pub(super) expires_in_seconds: Option<i64>,
}

/// The part `file`. It is no blob yet: what follows it in the form may still be refused.
struct Part {
    filename: String,
    mime_type: String,
    sink: Sink,
}

/// Reads a form with a file of at most `bytes_max`. The bytes are on disk when this returns, under a name that no row
/// knows yet.
pub(super) async fn receive(store: &Store, id: &Id, request: Request, bytes_max: u64) -> Answer<Received> {
    body::check_encoding(request.headers())?;
    if body::content_length(request.headers()).is_some_and(|bytes| bytes > bytes_max + FORM_BYTES_MAX) {
        return Err(too_large(bytes_max).into());
    }
    let unread = Arc::new(AtomicU64::new(0));
    let mut form = form(request, &unread).await?;
    let (mut file, mut expires_in_seconds) = (None, None);
    while let Some(field) = in_time(form.next_field()).await? {
        unread.store(0, Ordering::Relaxed);
        match field.name().unwrap_or_default() {
            "file" if file.is_none() => {
                let sink = Sink::open(store, id, bytes_max).await?;
                file = Some(receive_file(sink, field, &unread).await?);
            }
            "expires_in_seconds" if expires_in_seconds.is_none() => {
                expires_in_seconds = Some(expiry_seconds(&receive_text(field).await?)?);
            }
            name @ ("file" | "expires_in_seconds") => {
                return Err(ApiError::invalid(format!("{name}: given more than once")).into());
            }
            other => {
                let other: String = other.chars().take(100).collect();
                return Err(ApiError::invalid(format!("{other}: extra inputs are not permitted")).into());
            }
        }
        unread.store(0, Ordering::Relaxed);
    }
    let Part { filename, mime_type, sink } = file.ok_or_else(|| ApiError::invalid("file: field required"))?;
    Ok(Received { filename, mime_type, blob: sink.finish().await?, expires_in_seconds })
}

async fn form(request: Request, unread: &Arc<AtomicU64>) -> Result<Multipart> {
    let mut request = request.map(|body| {
        let body = body.into_data_stream();
        Body::from_stream(Paced { body, has_given: false, unread: Arc::clone(unread) })
    });
    // The framework's own limit on bodies is lower than ours.
    DefaultBodyLimit::disable().apply(&mut request);
    Multipart::from_request(request, &())
        .await
        .map_err(|_| ApiError::invalid("content-type: a file is uploaded as multipart/form-data, with the part `file`"))
}

async fn receive_file(mut sink: Sink, mut field: Field<'_>, unread: &AtomicU64) -> Answer<Part> {
    let announced = field.content_type().map(str::to_owned);
    let guessed = mime_type_of(field.file_name().unwrap_or_default());
    let mime_type = announced.unwrap_or_else(|| guessed.to_owned());
    let filename = filename(field.file_name(), &mime_type)?;
    while let Some(chunk) = in_time(field.chunk()).await? {
        unread.store(0, Ordering::Relaxed);
        if sink.bytes + chunk.len() as u64 > sink.bytes_max {
            return Err(too_large(sink.bytes_max).into());
        }
        sink = sink.push(chunk).await?;
    }
    Ok(Part { filename, mime_type, sink })
}

async fn receive_text(mut field: Field<'_>) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = in_time(field.chunk()).await? {
        if bytes.len() + chunk.len() > FIELD_BYTES_MAX {
            return Err(ApiError::invalid(format!(
                "A form field beside `file` has more than {FIELD_BYTES_MAX} bytes."
            )));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn in_time<T>(read: impl Future<Output = std::result::Result<T, MultipartError>>) -> Result<T> {
    let read = tokio::time::timeout(STALL_MAX, read).await.map_err(|_| stalled())?;
    read.map_err(|_| ApiError::invalid("The multipart form cannot be read; it is cut off or malformed."))
}

fn too_large(bytes_max: u64) -> ApiError {
    let mib = bytes_max / (1024 * 1024);
    ApiError::new(ErrorKind::TooLarge, format!("file: larger than {mib} MB, the most that is allowed"))
}

/// Writes a blob without keeping the runtime's threads waiting for the disk.
struct Sink {
    writer: BlobWriter,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    bytes: u64,
    bytes_max: u64,
}

impl Sink {
    async fn open(store: &Store, id: &Id, bytes_max: u64) -> Answer<Self> {
        let (store, name) = (store.clone(), id.to_string());
        let writer = on_disk(move || store.blobs().create(&name)).await?;
        Ok(Self { writer, waiting: Vec::new(), waiting_bytes: 0, bytes: 0, bytes_max })
    }

    /// Adds bytes. The sink moves through every write, so that whoever drops it half-way leaves no file behind.
    async fn push(mut self, chunk: Bytes) -> Answer<Self> {
        self.bytes += chunk.len() as u64;
        self.waiting_bytes += chunk.len();
        self.waiting.push(chunk);
        if self.waiting_bytes >= WRITE_BYTES { self.write().await } else { Ok(self) }
    }

    async fn write(mut self) -> Answer<Self> {
        on_disk(move || {
            for chunk in self.waiting.drain(..) {
                self.writer.write(&chunk)?;
            }
            self.waiting_bytes = 0;
            Ok(self)
        })
        .await
    }

    async fn finish(self) -> Answer<Blob> {
        let sink = self.write().await?;
        on_disk(move || sink.writer.finish()).await
    }
}

async fn on_disk<T: Send + 'static>(act: impl FnOnce() -> daybreak_store::Result<T> + Send + 'static) -> Answer<T> {
    let done = tokio::task::spawn_blocking(act).await.map_err(|error| Refusal::internal(&error))?;
    Ok(done?)
}

/// A body given out one piece per look. The form's reader would otherwise take in everything that has arrived before
/// it hands on the first byte.
struct Paced {
    body: BodyDataStream,
    has_given: bool,
    /// Bytes given out since the reader last made something of them.
    unread: Arc<AtomicU64>,
}

impl Stream for Paced {
    type Item = std::result::Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.has_given) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(Some(Ok(chunk))) = &next {
            self.has_given = true;
            let bytes = chunk.len() as u64;
            if self.unread.fetch_add(bytes, Ordering::Relaxed) + bytes > UNREAD_BYTES_MAX {
                return Poll::Ready(Some(Err("too much of the form belongs to no field".into())));
            }
        }
        next.map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daybreak_api::id::Kind;
    use daybreak_engine::{SystemWorld, World};
    use std::convert::Infallible;

    async fn receive_bytes(count: usize, bytes_max: u64) -> (Option<u64>, usize) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), daybreak_store::Options::default()).await.unwrap();
        let head = "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
        let pieces = vec![b'x'; count].chunks(100).map(Bytes::copy_from_slice).collect::<Vec<_>>();
        let chunks = [vec![Bytes::from(head)], pieces, vec![Bytes::from("\r\n--xyz--\r\n")]].concat();
        let body = Body::from_stream(futures_util::stream::iter(chunks.into_iter().map(Ok::<_, Infallible>)));
        let request =
            Request::builder().header("content-type", "multipart/form-data; boundary=xyz").body(body).unwrap();
        let received = receive(&store, &SystemWorld.id(Kind::File), request, bytes_max).await;
        let blobs = std::fs::read_dir(dir.path().join("blobs")).unwrap().count();
        match received {
            Ok(received) => (Some(received.blob.size_bytes), blobs),
            Err(refusal) => {
                assert_eq!(refusal.error.kind, ErrorKind::TooLarge);
                (None, blobs)
            }
        }
    }

    #[tokio::test]
    async fn a_file_may_have_the_limit_and_not_a_byte_more() {
        assert_eq!(receive_bytes(3_000_000, 3_000_000).await, (Some(3_000_000), 1));
        assert_eq!(receive_bytes(3_000_001, 3_000_000).await, (None, 0));
    }
}
