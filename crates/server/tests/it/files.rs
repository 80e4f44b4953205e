//! Uploads and downloads.

use crate::test_server::{TestServer, id, request};
use axum::body::{Body, Bytes};
use axum::http::{Method, Request};
use daybreak_api::id::Kind;
use daybreak_store::files::NewFile;
use daybreak_store::log::Lease;
use futures_util::stream;
use serde_json::{Value, json};
use std::convert::Infallible;

const INVALID: &str = "invalid_request_error";

/// A part of a form: its headers after the name, and its bytes.
fn part(name: &str, more: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn form(body: Body) -> Request<Body> {
    let mut request = request(Method::POST, "/v1/files", body);
    request.headers_mut().insert("content-type", "multipart/form-data; boundary=xyz".parse().unwrap());
    request
}

fn form_of(parts: &[Vec<u8>]) -> Request<Body> {
    form(Body::from([parts.concat(), b"--xyz--\r\n".to_vec()].concat()))
}

pub(crate) async fn upload(server: &TestServer, filename: &str, content: &[u8]) -> String {
    let more = format!("; filename=\"{filename}\"\r\nContent-Type: text/csv");
    id(&server.send(form_of(&[part("file", &more, content)])).await.ok())
}

fn blobs(server: &TestServer) -> usize {
    let some_blob = server.store().blobs().path("x");
    std::fs::read_dir(some_blob.parent().unwrap()).unwrap().count()
}

#[tokio::test]
async fn an_upload_is_kept_and_not_given_out_again() {
    let server = TestServer::start().await;
    // Larger than one write, and full of what looks like a boundary.
    let content = b"\r\n--xy\r\n".repeat(400_000);
    let id = upload(&server, "dir/data.csv", &content).await;
    let file = server.get(&format!("/v1/files/{id}")).await.ok();
    let expected: [(&str, Value); 6] = [
        ("type", json!("file")),
        ("filename", json!("data.csv")),
        ("mime_type", json!("text/csv")),
        ("size_bytes", json!(content.len())),
        ("downloadable", json!(false)),
        ("expires_at", json!(null)),
    ];
    for (key, value) in expected {
        assert_eq!(file[key], value);
    }
    assert_eq!(std::fs::read(server.store().blobs().path(&id)).unwrap(), content);
    let refused = server.get(&format!("/v1/files/{id}/content")).await;
    refused.refused_with(400, INVALID, "file_not_downloadable");
    assert_eq!(server.delete(&format!("/v1/files/{id}")).await.ok(), json!({"id": id, "type": "file_deleted"}));
    server.get(&format!("/v1/files/{id}")).await.refused(404, "not_found_error");
    assert_eq!(blobs(&server), 0);
}

#[tokio::test]
async fn a_form_may_hold_an_expiry_and_nothing_else() {
    let server = TestServer::start().await;
    let file = || part("file", "; filename=\"a.md\"", b"text");
    let expiring = server.send(form_of(&[part("expires_in_seconds", "", b"3600"), file()])).await.ok();
    assert!(expiring["expires_at"].is_string());
    assert_eq!(expiring["mime_type"], "text/markdown");
    let unnamed = server.send(form_of(&[part("file", "\r\nContent-Type: text/plain", b"")])).await.ok();
    assert_eq!((&unnamed["filename"], &unnamed["size_bytes"]), (&json!("unnamed.txt"), &json!(0)));
    for (parts, named) in [
        (vec![], "file"),
        (vec![part("expires_in_seconds", "", b"3600")], "file"),
        (vec![file(), file()], "more than once"),
        (vec![file(), part("expires_in_seconds", "", b"3599")], "expires_in_seconds"),
        (vec![file(), part("expires_in_seconds", "", &[b'1'; 100])], "64 bytes"),
        (vec![part("nonsense", "", b"")], "nonsense"),
        (vec![part("file", "; filename=\"a:b\"", b"")], "name"),
    ] {
        let told = server.send(form_of(&parts)).await.refused(400, INVALID);
        assert!(told.contains(named), "{told}");
    }
    let cut_off = Body::from(part("file", "; filename=\"a\"", b"text"));
    server.send(form(cut_off)).await.refused(400, INVALID);
    server.post("/v1/files", json!({})).await.refused(400, INVALID);
    assert_eq!(blobs(&server), 2, "what was refused has left nothing behind");
}

#[tokio::test]
async fn a_form_that_is_no_form_is_given_up_early() {
    let server = TestServer::start().await;
    let mib = Bytes::from(vec![b'x'; 1024 * 1024]);
    let endless = stream::repeat_with(move || Ok::<_, Infallible>(mib.clone()));
    server.send(form(Body::from_stream(endless))).await.refused(400, INVALID);
}

#[tokio::test]
async fn a_file_that_is_announced_as_too_large_is_refused_at_once() {
    let server = TestServer::start().await;
    let mut announced = form_of(&[part("file", "; filename=\"a\"", b"")]);
    announced.headers_mut().insert("content-length", (501_u64 * 1024 * 1024).into());
    let told = server.send(announced).await.refused(413, "request_too_large");
    assert!(told.contains("500 MB"), "{told}");
    assert_eq!(blobs(&server), 0);
}

#[tokio::test]
async fn files_are_picked_by_id() {
    let server = TestServer::start().await;
    let (a, b) = (upload(&server, "a", b"1").await, upload(&server, "b", b"2").await);
    let picked = server.get(&format!("/v1/files?ids[]={a}&ids[]={b}&ids[]={a}&ids[]=file_1&ids[]=nonsense")).await.ok();
    let names: Vec<_> = picked["data"].as_array().unwrap().iter().map(|file| file["filename"].clone()).collect();
    assert_eq!(names, ["b", "a"]);
    assert!(picked["next_page"].is_null());
    let many: String = (0..101).map(|number| format!("ids[]=file_{number}&")).collect();
    server.get(&format!("/v1/files?{many}")).await.refused(400, INVALID);
}

#[tokio::test]
async fn what_a_session_made_can_be_fetched() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let world = server.state.engine.world();
    let content = b"<script>".repeat(20_000);
    let id = world.id(Kind::File);
    let mut writer = server.store().blobs().create(id.as_str()).unwrap();
    writer.write(&content).unwrap();
    let new = NewFile {
        id: id.clone(),
        filename: "r\u{e9}sum\u{e9}.html".to_owned(),
        mime_type: "text/html".to_owned(),
        blob: writer.finish().unwrap(),
        expires_at: None,
    };
    let access = server.store().access(crate::test_server::KEY).await.unwrap().unwrap();
    let session_id = daybreak_api::id::Id::stored(session.clone());
    let row = server.store().session(access.workspace, &session_id).await.unwrap().unwrap();
    // The lease of a session that nobody has claimed yet.
    let lease = Lease { session_key: row.key, workspace: access.workspace, session_id, epoch: 0 };
    server.store().replace_output(&lease, "r.html".to_owned(), new, world.now()).await.unwrap();
    let reply = server.get(&format!("/v1/files/{id}/content")).await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &content[..]));
    assert_eq!(reply.header("content-type"), "text/html");
    assert_eq!(reply.header("content-length"), content.len().to_string());
    assert_eq!(reply.header("content-disposition"), "attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.html");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    server.delete(&format!("/v1/sessions/{session}")).await.ok();
    server.get(&format!("/v1/files/{id}")).await.refused(404, "not_found_error");
}
