//! Walking lists: nothing is skipped and nothing comes twice, whatever is written meanwhile.

use crate::test_server::{TestServer, id, message};
use serde_json::{Value, json};
use std::collections::HashSet;

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn a_walk_sees_what_was_there_when_it_began_once_each() {
    let server = TestServer::start().await;
    let mut before = Vec::new();
    for _ in 0..11 {
        before.push(server.agent().await);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/agents?limit=3{cursor}")).await.ok();
        assert!(page.get("prev_page").is_none());
        seen.extend(ids(&page));
        server.agent().await;
        match page["next_page"].as_str() {
            Some(next) => cursor = format!("&page={next}"),
            None => break,
        }
    }
    before.reverse();
    assert_eq!(seen, before);
}

#[tokio::test]
async fn sessions_are_walked_both_ways_in_both_orders() {
    let server = TestServer::start().await;
    let (agent, environment) = (server.agent().await, server.environment().await);
    let create =
        async || id(&server.make("/v1/sessions", json!({"agent": agent, "environment_id": environment})).await);
    let mut all = Vec::new();
    for _ in 0..8 {
        all.push(create().await);
    }
    for order in ["asc", "desc"] {
        let expected: Vec<_> = if order == "asc" { all.clone() } else { all.iter().rev().cloned().collect() };
        let page_at =
            async |cursor: &str| server.get(&format!("/v1/sessions?limit=3&order={order}{cursor}")).await.ok();
        let mut page = page_at("").await;
        assert!(page["prev_page"].is_null());
        let mut forth = vec![ids(&page)];
        while let Some(next) = page["next_page"].as_str() {
            page = page_at(&format!("&page={next}")).await;
            forth.push(ids(&page));
        }
        let seen: Vec<_> = forth.iter().flatten().cloned().collect();
        assert_eq!(seen[..expected.len()], expected);
        for earlier in forth.iter().rev().skip(1) {
            let prev = page["prev_page"].as_str().unwrap().to_owned();
            page = page_at(&format!("&page={prev}")).await;
            assert_eq!(ids(&page), *earlier);
        }
        let other = if order == "asc" { "desc" } else { "asc" };
        let next = page["next_page"].as_str().unwrap();
        let told = server.get(&format!("/v1/sessions?order={other}&page={next}")).await;
        told.refused(400, "invalid_request_error");
        // What comes later lies behind an ascending walk and before a descending one.
        all.push(create().await);
    }
}

#[tokio::test]
async fn sessions_are_filtered() {
    let server = TestServer::start().await;
    let (first, second) = (server.session().await, server.session().await);
    let agent = server.get(&format!("/v1/sessions/{first}")).await.ok()["agent"]["id"].as_str().unwrap().to_owned();
    let list = async |query: &str| ids(&server.get(&format!("/v1/sessions?{query}")).await.ok());
    assert_eq!(list(&format!("agent_id={agent}")).await, std::slice::from_ref(&first));
    assert_eq!(list(&format!("agent_id={agent}&agent_version=2")).await, [""; 0]);
    server.make(&format!("/v1/sessions/{first}/archive"), json!({})).await;
    assert_eq!(list("").await, std::slice::from_ref(&second));
    assert_eq!(list("include_archived=true").await, [second.clone(), first.clone()]);
    assert_eq!(list("include_archived=true&statuses[]=terminated").await, [first]);
    assert_eq!(list("statuses[]=idle&statuses[]=idle&statuses[]=running").await, [second]);
    assert_eq!(list("created_at[lt]=2020-01-01T00:00:00Z").await, [""; 0]);
}

#[tokio::test]
async fn events_are_listed_as_stored_in_pages() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let path = format!("/v1/sessions/{session}/events");
    let sent = server.make(&path, message("hello")).await;
    assert_eq!(sent["data"][0]["type"], "user.message");
    assert!(sent["data"][0]["processed_at"].is_null());
    server.wait_until_idle(&session).await;

    let whole = server.get(&path).await.ok();
    assert!(whole["next_page"].is_null());
    let whole = ids(&whole);
    assert_eq!(whole[0], id(&sent["data"][0]));
    assert_eq!(whole.iter().collect::<HashSet<_>>().len(), whole.len());
    for (order, limit) in [("asc", 2), ("desc", 3)] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("{path}?order={order}&limit={limit}{cursor}")).await.ok();
            seen.extend(ids(&page));
            match page["next_page"].as_str() {
                Some(next) => cursor = format!("&page={next}"),
                None => break,
            }
        }
        if order == "desc" {
            seen.reverse();
        }
        assert_eq!(seen, whole);
    }
    let messages = server.get(&format!("{path}?types[]=agent.message&types[]=nonsense")).await.ok();
    assert!(messages["data"].as_array().unwrap().iter().all(|event| event["type"] == "agent.message"));
    assert_eq!(messages["data"].as_array().unwrap().len(), 1);

    let thread = server.get(&format!("/v1/sessions/{session}/threads")).await.ok();
    assert_eq!(thread["data"].as_array().unwrap().len(), 1);
    assert_eq!(thread["data"][0]["status"], "idle");
    assert!(thread["data"][0]["stats"].is_object() && thread["data"][0]["usage"].is_object());
    let thread = id(&thread["data"][0]);
    assert_eq!(ids(&server.get(&format!("/v1/sessions/{session}/threads/{thread}/events")).await.ok()), whole);
    assert_eq!(ids(&server.get(&format!("/v1/sessions/{session}/threads?statuses[]=running")).await.ok()), [""; 0]);
}

#[tokio::test]
async fn models_are_listed_in_windows() {
    let server = TestServer::start().await;
    let all = ids(&server.get("/v1/models?limit=1000").await.ok());
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/models?limit=1{after}")).await.ok();
        seen.extend(ids(&page));
        assert_eq!(page["first_id"], page["last_id"]);
        if page["has_more"] == false {
            break;
        }
        after = format!("&after_id={}", page["last_id"].as_str().unwrap().replace('/', "%2F"));
    }
    assert_eq!(seen, all);
    for path in ["/v1/models/rehearsal%2Fecho", "/v1/models/rehearsal/echo"] {
        assert_eq!(server.get(path).await.ok()["id"], "rehearsal/echo");
    }
    assert_eq!(ids(&server.get("/v1/models?lifecycle[]=retired").await.ok()), [""; 0]);
}
