//! The fold and the decisions, driven by a model and tools that answer whatever a generator says.

use crate::model::{ModelError, ModelErrorKind, ModelReply, ModelUsage, ReplyBlock, ReplyKind, Stop};
use crate::record::{Draft, Private, Record, RecordBody};
use crate::state::{Phase, State};
use crate::step::{self, Act, ThreadName, TurnLimits};
use daybreak_api::content::ContentBlock;
use daybreak_api::event::{EvaluatedPermission, Evaluation, Event, EventBody, StopReason};
use daybreak_api::id::{Id, Kind};
use daybreak_api::session::Status;
use daybreak_api::time::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A log in memory and a runner over it that can be killed between any two appends.
struct Story {
    log: Vec<Record>,
    live: State,
    pending: Vec<Draft>,
    seen: i64,
    now: i64,
    ids: u128,
    limits: TurnLimits,
}

/// What the world answers to one act.
#[derive(Debug, Clone)]
enum Answer {
    Text,
    Calls(usize),
    Overloaded,
    Refused,
    Interrupted,
    Crash,
}

impl Story {
    fn new() -> Self {
        let limits = TurnLimits { tool_rounds_max: 5, model_attempts_max: 3, ..TurnLimits::default() };
        Self { log: Vec::new(), live: State::default(), pending: Vec::new(), seen: 0, now: 0, ids: 0, limits }
    }

    fn thread() -> ThreadName {
        ThreadName { id: Id::new(Kind::Thread, uuid_of(0)), agent: "a".to_owned() }
    }

    fn id(&mut self) -> Id {
        self.ids += 1;
        Id::new(Kind::Event, uuid_of(self.ids))
    }

    fn write(&mut self, drafts: Vec<Draft>) {
        let at = Timestamp::from_micros(self.now);
        for draft in drafts {
            let seq = self.log.len() as i64 + 1;
            self.log.push(Record { seq, at, body: draft.body(at) });
        }
    }

    fn send(&mut self, body: EventBody) {
        let id = self.id();
        self.write(vec![Draft::Event(id, body)]);
    }

    fn say(&mut self, text: &str) {
        self.send(EventBody::UserMessage { content: vec![ContentBlock::text(text)] });
    }

    fn note(&mut self, drafts: Vec<Draft>) {
        let at = Timestamp::from_micros(self.now);
        for draft in &drafts {
            self.live.apply(None, at, draft.body(at));
        }
        self.pending.extend(drafts);
    }

    fn flush(&mut self) {
        for record in self.log[usize::try_from(self.seen).unwrap()..].iter().cloned() {
            self.live.apply(Some(record.seq), record.at, record.body);
        }
        let drafts = std::mem::take(&mut self.pending);
        self.write(drafts);
        self.seen = self.log.len() as i64;
    }

    fn crash(&mut self) {
        self.pending.clear();
        self.live = fold(&self.log);
        self.seen = self.log.len() as i64;
        let mut ids = self.ids;
        let drafts = step::recovery(&self.live, &mut next_id(&mut ids));
        self.ids = ids;
        self.note(drafts);
    }

    /// Runs to rest or until the answers are used up; what it returns is the act that found none.
    fn run(&mut self, answers: &mut impl Iterator<Item = Answer>) -> Option<Act> {
        for _ in 0..10_000 {
            // What is pending happens at one time, as in the engine.
            self.now += i64::from(self.pending.is_empty());
            let mut ids = self.ids;
            let (drafts, act) = step::decide(
                &self.live,
                &Self::thread(),
                &self.limits,
                Timestamp::from_micros(self.now),
                &mut next_id(&mut ids),
            );
            self.ids = ids;
            self.note(drafts);
            match act {
                Act::Again => {}
                Act::Wait { until } => {
                    self.flush();
                    self.now = self.now.max(until.micros());
                }
                Act::Rest => {
                    self.flush();
                    if self.live.queue.is_empty() {
                        return None;
                    }
                }
                Act::Ask { .. } | Act::Run(_) => {
                    self.flush();
                    if self.live.is_interrupted() {
                        continue;
                    }
                    let Some(answer) = answers.next() else { return Some(act) };
                    self.perform(&act, &answer);
                }
            }
        }
        panic!("the story does not come to rest");
    }

    fn perform(&mut self, act: &Act, answer: &Answer) {
        let mut ids = self.ids;
        let at = Timestamp::from_micros(self.now);
        let drafts = match (act, answer) {
            (_, Answer::Crash) => {
                self.crash();
                return;
            }
            (_, Answer::Interrupted) => {
                self.send(EventBody::UserInterrupt { session_thread_id: None });
                self.flush();
                return;
            }
            (Act::Run(call), _) => step::ran(call, vec![ContentBlock::text("ok")], false, &mut next_id(&mut ids)),
            (Act::Ask { request }, Answer::Overloaded | Answer::Refused) => {
                let error = ModelError {
                    kind: ModelErrorKind::Overloaded,
                    message: "busy".to_owned(),
                    retryable: matches!(answer, Answer::Overloaded),
                    retry_after_ms: None,
                };
                step::failed(&self.live, &Self::thread(), &self.limits, request, &error, at, &mut next_id(&mut ids))
            }
            (Act::Ask { request }, _) => {
                let calls = if let Answer::Calls(calls) = answer { *calls } else { 0 };
                let allow = |_: &str| (EvaluatedPermission::Allow, Some(Evaluation::AlwaysAllow));
                step::replied(request, "p", reply(calls), allow, &mut next_id(&mut ids))
            }
            _ => unreachable!("only acts with an outcome are performed"),
        };
        self.ids = ids.max(self.ids);
        self.note(drafts);
    }

    fn events(&self) -> Vec<&Event> {
        let event = |record: &'_ Record| matches!(record.body, RecordBody::Event(_));
        self.log
            .iter()
            .filter(|record| event(record))
            .filter_map(|record| if let RecordBody::Event(event) = &record.body { Some(event) } else { None })
            .collect()
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.events().iter().map(|event| event.body.kind()).collect()
    }
}

fn uuid_of(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

fn next_id(ids: &mut u128) -> impl FnMut() -> Id + '_ {
    || {
        *ids += 1;
        Id::new(Kind::Event, uuid_of(*ids))
    }
}

fn reply(calls: usize) -> ModelReply {
    let raw = |json: &str| serde_json::value::RawValue::from_string(json.to_owned()).unwrap();
    let mut blocks = vec![ReplyBlock { kind: ReplyKind::Text { text: "hello".to_owned() }, raw: raw("{}") }];
    blocks.extend((0..calls).map(|index| ReplyBlock {
        kind: ReplyKind::ToolUse {
            id: format!("toolu_{index}"),
            name: "bash".to_owned(),
            input: Ok(serde_json::Map::new()),
        },
        raw: raw("{}"),
    }));
    let stop = if calls == 0 { Stop::EndTurn } else { Stop::ToolUse };
    ModelReply { blocks, stop, usage: ModelUsage { input_tokens: 1, output_tokens: 2, ..ModelUsage::default() } }
}

fn fold(log: &[Record]) -> State {
    let mut state = State::default();
    for record in log {
        state.apply(Some(record.seq), record.at, record.body.clone());
    }
    state
}

#[test]
fn a_turn_with_a_tool_call_tells_its_story_in_the_contracts_order() {
    let mut story = Story::new();
    story.say("hi");
    assert_eq!(story.run(&mut [Answer::Calls(1), Answer::Text, Answer::Text].into_iter()), None);
    assert_eq!(
        story.kinds(),
        [
            "user.message",
            "session.status_running",
            "session.thread_status_running",
            "span.model_request_start",
            "agent.message",
            "agent.tool_use",
            "span.model_request_end",
            "agent.tool_result",
            "span.model_request_start",
            "agent.message",
            "span.model_request_end",
            "session.thread_status_idle",
            "session.usage",
            "session.status_idle",
        ]
    );
    assert_eq!(story.live.status(), Status::Idle);
    assert_eq!((story.live.usage.input_tokens, story.live.usage.output_tokens), (2, 4));
}

#[test]
fn a_crash_in_a_tool_call_gives_it_one_error_result_and_the_model_goes_on() {
    let mut story = Story::new();
    story.say("hi");
    story.run(&mut [Answer::Calls(2), Answer::Crash, Answer::Text].into_iter());
    let results: Vec<_> = story
        .events()
        .into_iter()
        .filter_map(|event| match &event.body {
            EventBody::AgentToolResult { content, is_error, .. } => {
                Some((content[0].as_text().unwrap().to_owned(), *is_error))
            }
            _ => None,
        })
        .collect();
    assert_eq!(results, vec![(step::INTERRUPTED_BY_RESTART.to_owned(), true); 2]);
    assert_eq!(story.kinds().last(), Some(&"session.status_idle"));
}

#[test]
fn a_crash_in_a_model_request_closes_it_and_asks_again() {
    let mut story = Story::new();
    story.say("hi");
    story.run(&mut [Answer::Crash, Answer::Text].into_iter());
    let ends: Vec<_> = story
        .events()
        .into_iter()
        .filter_map(|event| match &event.body {
            EventBody::ModelRequestEnd { is_error, .. } => *is_error,
            _ => None,
        })
        .collect();
    assert_eq!(ends, [true, false]);
}

#[test]
fn failures_are_retried_and_then_given_up() {
    let mut story = Story::new();
    story.say("hi");
    story.run(&mut [Answer::Overloaded, Answer::Overloaded, Answer::Overloaded].into_iter());
    let kinds = story.kinds();
    assert_eq!(kinds.iter().filter(|kind| **kind == "session.error").count(), 3);
    assert_eq!(kinds.iter().filter(|kind| **kind == "session.status_rescheduled").count(), 2);
    let stop = story.events().into_iter().rev().find_map(|event| match &event.body {
        EventBody::StatusIdle { stop_reason, .. } => Some(*stop_reason),
        _ => None,
    });
    assert_eq!(stop, Some(StopReason::RetriesExhausted));
    story.say("again");
    story.run(&mut [Answer::Text].into_iter());
    assert_eq!(story.live.phase, Phase::Idle, "the session is usable afterwards");
}

#[test]
fn a_refusal_that_no_retry_changes_ends_the_turn_at_once() {
    let mut story = Story::new();
    story.say("hi");
    story.run(&mut [Answer::Refused].into_iter());
    assert!(!story.kinds().contains(&"session.status_rescheduled"));
}

#[test]
fn messages_that_waited_together_are_taken_together_and_stay_apart() {
    let mut story = Story::new();
    story.say("one");
    story.say("two");
    assert!(story.run(&mut std::iter::empty()).is_some());
    assert_eq!(story.live.transcript.messages("p").len(), 2);
    story.run(&mut [Answer::Calls(2), Answer::Text, Answer::Text, Answer::Text].into_iter());
    let sizes: Vec<usize> = story.live.transcript.messages("p").iter().map(|message| message.content.len()).collect();
    assert_eq!(sizes, [1, 1, 3, 2, 1], "both results are in one message");
}

#[test]
fn endless_tool_calls_are_stopped() {
    let mut story = Story::new();
    story.say("hi");
    let mut answers = std::iter::repeat(Answer::Calls(1));
    assert_eq!(story.run(&mut answers), None);
    assert!(story.kinds().contains(&"session.error"));
    assert_eq!(story.live.tool_rounds, story.limits.tool_rounds_max);
}

#[test]
fn an_interrupt_jumps_the_queue_and_what_waited_behind_it_starts_a_new_turn() {
    let mut story = Story::new();
    story.say("first");
    assert!(story.run(&mut std::iter::empty()).is_some());
    story.say("second");
    story.send(EventBody::UserInterrupt { session_thread_id: None });
    story.flush();
    story.run(&mut [Answer::Text].into_iter());
    let after: Vec<_> = story.kinds().into_iter().skip_while(|kind| *kind != "user.interrupt").collect();
    assert_eq!(
        after[..6],
        [
            "user.interrupt",
            "span.model_request_end",
            "session.thread_status_idle",
            "session.usage",
            "session.status_idle",
            "session.status_running",
        ]
    );
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        3 => Just(Answer::Text),
        4 => (1_usize..4).prop_map(Answer::Calls),
        1 => Just(Answer::Overloaded),
        1 => Just(Answer::Refused),
        1 => Just(Answer::Interrupted),
        1 => Just(Answer::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Whatever answers, crashes and messages come in whatever order: the live state is the fold of the log, every
    /// request has one end, every call one result, every queued event is taken once, and the session rests.
    #[test]
    fn every_story_adds_up(script in prop::collection::vec((answer(), any::<bool>()), 1..40)) {
        let mut story = Story::new();
        story.say("go");
        for (answer, more) in script {
            if more {
                story.say("more");
            }
            story.flush();
            story.run(&mut std::iter::once(answer));
        }
        let mut quiet = std::iter::repeat(Answer::Text);
        prop_assert!(story.run(&mut quiet).is_none());
        story.flush();
        let folded = fold(&story.log);
        prop_assert_eq!(&folded.phase, &story.live.phase);
        prop_assert_eq!(&folded.usage, &story.live.usage);
        prop_assert_eq!(folded.queue.len(), 0);
        prop_assert_eq!(format!("{:?}", folded.transcript.messages("p")), format!("{:?}", story.live.transcript.messages("p")));
        prop_assert_eq!(folded.status(), Status::Idle);

        let mut open: BTreeMap<String, u32> = BTreeMap::new();
        for event in story.events() {
            match &event.body {
                EventBody::AgentToolUse { .. } | EventBody::ModelRequestStart {} => {
                    open.insert(event.id.to_string(), 0);
                }
                EventBody::AgentToolResult { tool_use_id: of, .. }
                | EventBody::ModelRequestEnd { model_request_start_id: of, .. } => {
                    *open.get_mut(of.as_str()).expect("an end follows its start") += 1;
                }
                _ => {}
            }
        }
        prop_assert!(open.values().all(|ends| *ends == 1), "every start has one end");

        let mut taken: BTreeMap<i64, u32> = BTreeMap::new();
        for record in &story.log {
            match &record.body {
                RecordBody::Event(event) if event.body.is_queued() => {
                    taken.insert(record.seq, 0);
                }
                RecordBody::Private(Private::Taken { seq }) => *taken.get_mut(seq).expect("only what waits is taken") += 1,
                _ => {}
            }
        }
        prop_assert!(taken.values().all(|times| *times == 1), "every queued event is taken once");
    }
}
