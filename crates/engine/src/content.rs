//! Files in messages: what the log names by id, the model gets as bytes.

use crate::Shared;
use base64::Engine as _;
use daybreak_api::content::{ContentBlock, IMAGE_TYPES, Source};
use daybreak_api::id::{Id, Kind};
use daybreak_domain::model::{Block, Message};
use daybreak_store::{Result, Workspace};

/// Bytes of all files that are put into one request. A provider takes some 32 MB, and base64 adds a third.
const FILES_IN_REQUEST_BYTES_MAX: u64 = 20 * 1024 * 1024;

/// Replaces every `file` source by its bytes. A file that is gone or too large becomes a line of text that says so:
/// a conversation must not become unusable because one of its files was deleted.
pub(crate) async fn resolve_files(shared: &Shared, ws: Workspace, messages: &mut [Message]) -> Result<()> {
    let mut left_bytes = FILES_IN_REQUEST_BYTES_MAX;
    for block in messages.iter_mut().flat_map(|message| &mut message.content) {
        let Block::Content(content) = block else { continue };
        let is_image = matches!(content, ContentBlock::Image { .. });
        let (ContentBlock::Image { source } | ContentBlock::Document { source, .. }) = content else { continue };
        let Source::File { file_id } = source else { continue };
        match load(shared, ws, file_id, is_image, &mut left_bytes).await? {
            Ok(loaded) => *source = loaded,
            Err(problem) => *content = ContentBlock::text(format!("[The file {file_id} {problem}]")),
        }
    }
    Ok(())
}

async fn load(
    shared: &Shared,
    ws: Workspace,
    file_id: &str,
    is_image: bool,
    left_bytes: &mut u64,
) -> Result<std::result::Result<Source, String>> {
    let Some(id) = Id::parse(Kind::File, file_id) else { return Ok(Err("has no valid id.".to_owned())) };
    let Some(row) = shared.log.file(ws, &id).await? else { return Ok(Err("has been deleted.".to_owned())) };
    if row.file.expires_at.is_some_and(|expires| expires <= shared.world.now()) {
        return Ok(Err("has expired.".to_owned()));
    }
    let Some(left) = left_bytes.checked_sub(row.file.size_bytes) else {
        return Ok(Err(format!(
            "is left out: files of more than {FILES_IN_REQUEST_BYTES_MAX} bytes together do not fit into a request."
        )));
    };
    *left_bytes = left;
    let bytes = match tokio::fs::read(shared.store.blobs().path(&row.blob)).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, file = file_id, "a file's bytes cannot be read");
            return Ok(Err("cannot be read.".to_owned()));
        }
    };
    let media_type = row.file.mime_type;
    Ok(match (is_image, media_type.as_str()) {
        (true, media_type) if IMAGE_TYPES.contains(&media_type) => Ok(base64_source(media_type, &bytes)),
        (true, _) => Err(format!("is no image that a model can see: it is {media_type}.")),
        (false, "application/pdf") => Ok(base64_source(&media_type, &bytes)),
        (false, _) => match String::from_utf8(bytes) {
            Ok(data) => Ok(Source::Text { media_type: "text/plain".to_owned(), data }),
            Err(_) => Err(format!("is neither a PDF nor text: it is {media_type}.")),
        },
    })
}

fn base64_source(media_type: &str, bytes: &[u8]) -> Source {
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    Source::Base64 { media_type: media_type.to_owned(), data }
}
