//! Files share blobs, and a blob lives exactly as long as a file names it.

use crate::world::World;
use daybreak_api::id::{Id, Kind};
use daybreak_api::session::{NewFileResource, Status, Usage};
use daybreak_api::time::Timestamp;
use daybreak_domain::record::{Draft, Private};
use daybreak_store::files::NewFile;
use daybreak_store::log::Cache;
use daybreak_store::page::{Cut, Order};
use daybreak_store::resources::MountIds;

async fn upload(world: &World, bytes: &[u8]) -> (Id, std::path::PathBuf) {
    let id = world.id(Kind::File);
    let mut writer = world.store.blobs().create(id.as_str()).unwrap();
    writer.write(bytes).unwrap();
    let blob = writer.finish().unwrap();
    let path = world.store.blobs().path(&blob.name);
    let new = NewFile { id: id.clone(), filename: "f".into(), mime_type: "text/plain".into(), blob, expires_at: None };
    world.store.create_file(world.ws, new, world.now()).await.unwrap();
    (id, path)
}

#[tokio::test]
async fn a_mounted_copy_keeps_the_bytes_of_a_deleted_upload() {
    let world = World::new().await;
    let session = world.session().await;
    let (upload, path) = upload(&world, b"bytes").await;
    let new = NewFileResource { file_id: upload.clone(), mount_path: "/mnt/session/uploads/f".to_owned() };
    let ids = MountIds { resource: world.id(Kind::Resource), file: world.id(Kind::File) };
    let mounted = world.store.add_resource(world.ws, session.id.clone(), new, ids, world.now()).await.unwrap();
    assert_ne!(mounted.file_id, upload);
    world.store.delete_file(world.ws, upload).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"bytes");
    world.store.delete_resource(world.ws, session.id.clone(), mounted.id).await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn an_output_gives_way_to_its_newer_form_and_goes_with_its_session() {
    let world = World::new().await;
    let session = world.session().await;
    world.send(&session, vec![world.message("hi")]).await.unwrap();
    let forever = Timestamp::from_micros(1_000_000_000);
    let lease = world.store.claim(session.key, "me", world.now(), forever).await.unwrap().unwrap();
    for bytes in [&b"one"[..], b"two"] {
        let id = world.id(Kind::File);
        let mut writer = world.store.blobs().create(id.as_str()).unwrap();
        writer.write(bytes).unwrap();
        let blob = writer.finish().unwrap();
        let new = NewFile { id, filename: "r.md".into(), mime_type: "text/markdown".into(), blob, expires_at: None };
        world.store.replace_output(&lease, "r.md".into(), new, world.now()).await.unwrap();
    }
    let cut = Cut { order: Order::Desc, cursor: None, limit: 10 };
    let files = world.store.files(world.ws, Some(&session.id), cut).await.unwrap().rows;
    assert_eq!(files.len(), 1);
    let path = world.store.blobs().path(&files[0].blob);
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    let take = vec![Draft::Private(Private::Taken { seq: 1 })];
    let cache = Cache { status: Status::Idle, usage: Usage::default(), running_since: None };
    world.store.append(&lease, 1, take, cache, world.now()).await.unwrap();
    world.store.delete_session(world.ws, session.id).await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing_behind() {
    let world = World::new().await;
    let mut writer = world.store.blobs().create("half").unwrap();
    writer.write(b"half").unwrap();
    drop(writer);
    assert!(!world.store.blobs().path("half").exists());
}
