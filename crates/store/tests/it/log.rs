//! The append, its epoch, and leases.

use crate::world::World;
use daybreak_api::event::EventBody;
use daybreak_api::id::Kind;
use daybreak_api::session::{Status, Usage};
use daybreak_api::time::Timestamp;
use daybreak_domain::record::{Draft, Private, RecordBody};
use daybreak_store::StoreError;
use daybreak_store::leases::Released;
use daybreak_store::log::{Cache, Lease};
use std::sync::Arc;

const FOREVER: Timestamp = Timestamp::from_micros(1_000_000_000);

fn cache(status: Status) -> Cache {
    Cache { status, usage: Usage::default(), running_since: None }
}

async fn claim(world: &World, key: i64) -> Option<Lease> {
    world.store.claim(key, "me", world.now(), FOREVER).await.unwrap()
}

#[tokio::test]
async fn a_session_without_work_cannot_be_claimed_and_one_with_a_runner_neither() {
    let world = World::new().await;
    let session = world.session().await;
    assert!(claim(&world, session.key).await.is_none());
    world.send(&session, vec![world.message("hi")]).await.unwrap();
    assert_eq!(world.store.sessions_with_work(world.now(), 10).await.unwrap(), [session.key]);
    let lease = claim(&world, session.key).await.unwrap();
    assert!(claim(&world, session.key).await.is_none());
    assert_eq!(world.store.release(&lease).await.unwrap(), Released::MoreWork);
    assert!(claim(&world, session.key).await.unwrap().epoch > lease.epoch);
}

#[tokio::test]
async fn an_append_with_an_old_epoch_writes_nothing() {
    let world = World::new().await;
    let session = world.session().await;
    world.send(&session, vec![world.message("hi")]).await.unwrap();
    let old = claim(&world, session.key).await.unwrap();
    world.store.void_leases().await.unwrap();
    let new = claim(&world, session.key).await.unwrap();
    let running = || vec![Draft::Event(world.id(Kind::Event), EventBody::StatusRunning {})];
    let refused = world.store.append(&old, 1, running(), cache(Status::Running), world.now()).await;
    assert!(matches!(refused, Err(StoreError::StaleEpoch)));
    let (head, missed) = world.store.append(&new, 1, running(), cache(Status::Running), world.now()).await.unwrap();
    assert_eq!((head, missed.len()), (2, 0));
    assert_eq!(world.store.records(session.key, 0).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_runner_is_told_what_it_missed_and_polls_see_waiting_work_as_running() {
    let world = World::new().await;
    let session = world.session().await;
    world.send(&session, vec![world.message("one")]).await.unwrap();
    let status = world.store.session(world.ws, &session.id).await.unwrap().unwrap().status;
    assert_eq!(status, Status::Running, "work waits");
    let lease = claim(&world, session.key).await.unwrap();
    world.send(&session, vec![world.message("two")]).await.unwrap();
    let take = vec![Draft::Private(Private::Taken { seq: 1 })];
    let (head, missed) = world.store.append(&lease, 1, take, cache(Status::Idle), world.now()).await.unwrap();
    assert_eq!(head, 3);
    assert!(matches!(&missed[..], [record] if record.seq == 2 && matches!(record.body, RecordBody::Event(_))));
    let status = world.store.session(world.ws, &session.id).await.unwrap().unwrap().status;
    assert_eq!(status, Status::Running, "the second message still waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_leave_no_gap_no_twin_and_keep_batches_together() {
    const WRITERS: usize = 16;
    const BATCHES: usize = 25;
    let world = Arc::new(World::new().await);
    let session = Arc::new(world.session().await);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (world, session) = (Arc::clone(&world), Arc::clone(&session));
            tokio::spawn(async move {
                for batch in 0..BATCHES {
                    let drafts = (0..3).map(|n| world.message(&format!("{writer}.{batch}.{n}"))).collect();
                    world.send(&session, drafts).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let records = world.store.records(session.key, 0).await.unwrap();
    let seqs: Vec<i64> = records.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, (1..=(WRITERS * BATCHES * 3) as i64).collect::<Vec<_>>());
    let texts: Vec<String> = records
        .iter()
        .filter_map(|record| match &record.body {
            RecordBody::Event(event) => match &event.body {
                EventBody::UserMessage { content } => content[0].as_text().map(str::to_owned),
                _ => None,
            },
            RecordBody::Private(_) => None,
        })
        .collect();
    for batch in texts.chunks(3) {
        let (stem, _) = batch[0].rsplit_once('.').unwrap();
        assert_eq!(batch, [format!("{stem}.0"), format!("{stem}.1"), format!("{stem}.2")], "a batch is never torn");
    }
}

#[tokio::test]
async fn an_append_larger_than_one_insert_keeps_its_order() {
    let world = World::new().await;
    let session = world.session().await;
    let drafts: Vec<_> = (0..500).map(|n| world.message(&n.to_string())).collect();
    world.send(&session, drafts).await.unwrap();
    let records = world.store.records(session.key, 0).await.unwrap();
    assert_eq!(records.len(), 500);
    assert!(records.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
}

#[tokio::test]
async fn an_ended_session_takes_nothing_more() {
    let world = World::new().await;
    let session = world.session().await;
    let last = vec![Draft::Event(world.id(Kind::Event), EventBody::StatusTerminated {})];
    let actor = || "test".to_owned();
    world.store.archive_session(world.ws, session.id.clone(), last.clone(), actor(), world.now()).await.unwrap();
    world.store.archive_session(world.ws, session.id.clone(), last, actor(), world.now()).await.unwrap();
    assert_eq!(world.store.records(session.key, 0).await.unwrap().len(), 1, "archiving twice says so once");
    let refused = world.send(&session, vec![world.message("hi")]).await;
    assert!(matches!(refused, Err(StoreError::Refused(error)) if error.kind.status() == 409));
}

#[tokio::test]
async fn a_newer_key_of_the_same_name_takes_the_place_of_the_older_one() {
    let world = World::new().await;
    let admit = async |key: &str, name: &str| {
        let (workspace, id) = (world.id(Kind::Workspace), world.id(Kind::ApiKey));
        world.store.admit_key(key, name, workspace, id, world.now()).await.unwrap();
    };
    let opens = async |key: &str| world.store.access(key).await.unwrap().is_some();
    admit("a", "mine").await;
    admit("b", "mine").await;
    admit("c", "other").await;
    assert_eq!((opens("a").await, opens("b").await, opens("c").await), (false, true, true));
    admit("a", "mine").await;
    assert_eq!((opens("a").await, opens("b").await, opens("c").await), (true, false, true));
}
