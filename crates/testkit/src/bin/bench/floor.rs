//! What this machine gives without Daybreak: the floors that every other figure stands beside.
//!
//! Each floor is the least that the thing compared with it must do: a sync, a group commit, an HTTP exchange, a
//! fork into a bare sandbox. They are measured in every repetition, between the rows, so that both see the same
//! machine.

pub(crate) mod processes;
pub(crate) mod server;
pub(crate) mod sqlite;

use crate::clock::{Latencies, now};
use crate::http::{Connection, hammer};
use crate::results::Results;
use server::FloorServer;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Connections of the rows that ask how much.
pub(crate) const CONNECTIONS: usize = 8;
/// How long one such measurement goes on.
pub(crate) const HAMMER_FOR: Duration = Duration::from_millis(500);
/// Events of a large request.
pub(crate) const BATCH: usize = 50;
/// The size of an event's row, in bytes.
pub(crate) const EVENT_BYTES: usize = 500;

const SYNCS: usize = 100;
const ECHOES: usize = 300;

/// Measures every floor once, with files in `dir`.
pub(crate) async fn measure(dir: &Path, results: &mut Results) {
    results.add("fsync", fsync(dir));
    for (key, rows, events) in [("sqlite-1", 1, 1), ("sqlite-8", 8, 1), ("sqlite-50", 1, BATCH)] {
        results.add(key, sqlite::groups_per_second(dir, rows, events).await);
    }
    let floor = FloorServer::start(dir).await;
    let (hellos, _) = hammer(&floor.url, vec![("/hello".to_owned(), one_event()); CONNECTIONS], HAMMER_FOR).await;
    results.add("hello", hellos);
    for (key, events) in [("accept-1", 1), ("accept-50", BATCH)] {
        let body = format!("[{}]", vec![one_event(); events].join(","));
        let requests = (0..CONNECTIONS).map(|session| (format!("/append/{session}"), body.clone())).collect();
        let (requests_per_second, latencies) = hammer(&floor.url, requests, HAMMER_FOR).await;
        results.add(key, requests_per_second * events as f64);
        if events == 1 {
            results.add("accept-1-p99", latencies.p99());
        }
    }
    results.add("echo", echo(&floor, "/echo").await.p50());
    let durable = echo(&floor, "/durable-echo").await;
    results.add("durable-echo-p50", durable.p50());
    results.add("durable-echo-p99", durable.p99());
    processes::measure(dir, results);
}

/// A JSON object as large as an event's row.
fn one_event() -> String {
    format!("{{\"text\":\"{}\"}}", "x".repeat(EVENT_BYTES - 11))
}

/// What it takes to make 4 KiB at the end of a file durable, in milliseconds.
fn fsync(dir: &Path) -> f64 {
    let mut file = std::fs::File::create(dir.join("fsync")).expect("a file");
    let mut latencies = Latencies::default();
    for _ in 0..SYNCS {
        let begun = now();
        file.write_all(&[7; 4096]).expect("the file takes it");
        file.sync_data().expect("the disk takes it");
        latencies.add(begun.elapsed());
    }
    latencies.p50()
}

/// From a POST to its frame on an open stream.
async fn echo(floor: &FloorServer, path: &str) -> Latencies {
    let mut events = Connection::open(&floor.url).await.events("/stream").await;
    let mut connection = Connection::open(&floor.url).await;
    let request = connection.post(path, &one_event());
    let mut latencies = Latencies::default();
    for _ in 0..ECHOES {
        let sent = now();
        let (_, here) = tokio::join!(connection.send(&request), events.until("echo"));
        latencies.add(here - sent);
    }
    latencies
}
