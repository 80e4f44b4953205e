"""Session events: sending, listing, streaming."""

import base64
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from anthropic import BadRequestError, NotFoundError

from daybreak_sdk_tests.pixel import PNG
from daybreak_sdk_tests.refusal import refused
from daybreak_sdk_tests.talk import INTERRUPT, ids, message, of_type, types


@pytest.fixture(scope="module")
def told(stage):
    """A session with three turns behind it. Nobody may send to it."""
    talk = stage.talk("parrot")
    for word in ("one", "two", "three"):
        talk.ask(word)
    return talk


# Send


def test_sent_events_come_back_stored_in_the_order_of_the_request(stage):
    talk = stage.talk("parrot")
    stored = talk.say("first", "second")
    assert [event.content[0].text for event in stored] == ["first", "second"]
    assert len(set(ids(stored))) == 2
    log = talk.wait_until_idle()
    assert [event.id for event in of_type(log, "user.message")] == ids(stored)


def test_content_is_echoed_as_it_was_sent(stage):
    talk = stage.talk("parrot")
    content = [
        {"type": "text", "text": 'Look: \u2028 "quoted" \\ 🌅'},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()},
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "a,b\n1,2\n"},
            "title": "table",
            "context": "from the archive",
        },
    ]
    [stored] = talk.send({"type": "user.message", "content": content})
    assert stored.to_dict()["content"] == content
    [listed] = of_type(talk.wait_until_idle(), "user.message")
    assert listed.to_dict()["content"] == content


def test_an_uploaded_file_may_be_part_of_a_message(stage, upload):
    talk = stage.talk("parrot")
    document = {"type": "document", "source": {"type": "file", "file_id": upload().id}}
    talk.send({"type": "user.message", "content": [{"type": "text", "text": "Read this."}, document]})
    [listed] = of_type(talk.wait_until_idle(), "user.message")
    assert listed.content[1].source.file_id == document["source"]["file_id"]


def test_an_unknown_file_in_a_message_is_refused(stage):
    talk = stage.talk("parrot")
    source = {"type": "file", "file_id": "file_01Unknown"}
    with refused((BadRequestError, NotFoundError), "file_01Unknown"):
        talk.send({"type": "user.message", "content": [{"type": "document", "source": source}]})


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "agent.message", "content": [{"type": "text", "text": "I am the agent"}]},
        {"type": "user.whisper", "content": []},
        {"content": [{"type": "text", "text": "no type"}]},
        {"type": "user.message"},
        {"type": "user.message", "content": []},
        {"type": "user.message", "content": "a string"},
        {"type": "user.message", "content": [{"type": "text", "text": ""}]},
        {"type": "user.message", "content": [{"type": "text"}]},
        {"type": "user.message", "content": [{"type": "redacted"}]},
        {
            "type": "user.message",
            "content": [{"type": "image", "source": {"type": "base64", "media_type": "a/b", "data": ""}}],
        },
        {
            "type": "user.message",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "not base64"}}
            ],
        },
        {
            "type": "user.message",
            "content": [
                {"type": "document", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
            ],
        },
        {
            "type": "user.message",
            "content": [{"type": "document", "source": {"type": "text", "media_type": "text/csv", "data": "a"}}],
        },
        {
            "type": "user.message",
            "content": [{"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}}],
        },
        {"type": "user.message", "content": [{"type": "text", "text": "x"}], "id": "sevt_1"},
    ],
)
def test_one_bad_event_refuses_the_whole_request(stage, bad):
    talk = stage.talk("parrot")
    with refused(BadRequestError, "events.1"):
        talk.send(message("fine"), bad)
    assert talk.events() == []
    assert talk.retrieve().status == "idle"


def test_a_request_needs_at_least_one_event(stage):
    with refused(BadRequestError, "events"):
        stage.client.beta.sessions.events.send(stage.session().id, events=[])


def test_a_request_holds_at_most_a_thousand_events(stage):
    talk = stage.talk()
    with refused(BadRequestError, "1000"):
        talk.send(*[message("x")] * 1001)
    assert talk.events() == []


def test_what_many_clients_send_at_once_is_kept_once_and_in_each_ones_order(stage):
    talk = stage.talk()

    def speak(who: int) -> list[str]:
        return [talk.say(f"{who}: {n}")[0].id for n in range(10)]

    with ThreadPoolExecutor(6) as pool:
        sent = list(pool.map(speak, range(6)))
    talk.ask("the last")
    log = ids(of_type(talk.events(), "user.message"))
    assert len(log) == len(set(log)) == 61
    for own in sent:
        assert [id_ for id_ in log if id_ in own] == own


def test_an_interrupt_of_an_unknown_thread_is_refused(stage):
    talk = stage.talk()
    with refused((BadRequestError, NotFoundError), "sthr_01Unknown"):
        talk.send(INTERRUPT | {"session_thread_id": "sthr_01Unknown"})
    assert talk.events() == []


def test_an_interrupt_of_an_idle_session_is_no_work(stage):
    talk = stage.talk("parrot")
    talk.ask("hello")
    talk.interrupt()
    assert talk.ask("still there?") == "still there?"
    assert len(of_type(talk.events(), "agent.message")) == 2


# List


def test_a_log_is_listed_in_order(told):
    events = told.events()
    times = [event.processed_at for event in events]
    assert times == sorted(times)
    assert len(set(ids(events))) == len(events)


def test_a_log_may_be_listed_backwards(told):
    assert ids(told.events(order="desc")) == ids(reversed(told.events()))
    assert ids(told.events(order="asc")) == ids(told.events())


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 4])
def test_pages_join_without_gap_or_overlap(told, order, limit):
    page = told.client.beta.sessions.events.list(told.id, limit=limit, order=order)
    assert len(page.data) == limit
    assert ids(page) == ids(told.events(order=order))


def test_a_log_is_filtered_by_type(told):
    events = told.events(types=["user.message", "agent.message"])
    assert types(events) == ["user.message", "agent.message"] * 3
    assert ids(events) == ids(of_type(told.events(), "user.message", "agent.message"))
    paged = told.events(types=["user.message"], limit=2, order="desc")
    assert [event.content[0].text for event in paged] == ["three", "two", "one"]


def test_a_log_is_filtered_by_time(told):
    everything = told.events()
    middle = of_type(everything, "user.message")[1].processed_at
    for bound, kept in [
        ({"created_at_gt": middle}, lambda event: event.processed_at > middle),
        ({"created_at_gte": middle}, lambda event: event.processed_at >= middle),
        ({"created_at_lt": middle}, lambda event: event.processed_at < middle),
        ({"created_at_lte": middle}, lambda event: event.processed_at <= middle),
    ]:
        assert ids(told.events(**bound)) == ids(filter(kept, everything)), bound


def test_a_cursor_is_good_for_one_order_only(told):
    cursor = told.client.beta.sessions.events.list(told.id, limit=2).next_page
    with refused(BadRequestError, "page"):
        told.events(limit=2, order="desc", page=cursor)


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_limit_out_of_range_is_refused(told, limit):
    with refused(BadRequestError, "limit", "1000"):
        told.events(limit=limit)


def test_an_order_that_is_none_is_refused(told):
    with refused(BadRequestError, "order"):
        told.events(order="sideways")


def test_a_new_session_has_an_empty_log(stage):
    assert stage.talk("parrot").events() == []


# Stream


def test_a_stream_delivers_what_happens_after_it_was_opened(stage):
    talk = stage.talk("parrot")
    talk.ask("before")
    with talk.live() as live:
        assert live.events == []
        [sent] = talk.say("after")
        delivered = live.wait_for("session.status_idle")
    assert sent.id in ids(delivered)
    assert "before" not in [
        event.content[0].text for event in of_type(delivered, "user.message", "agent.message")
    ]


def test_many_streams_see_the_same(stage):
    talk = stage.talk("parrot")
    with talk.live() as one, talk.live() as other, talk.live() as third:
        talk.say("hello")
        seen = [
            [(event.id, event.processed_at) for event in live.wait_for("session.status_idle")]
            for live in (one, other, third)
        ]
    settled = [[pair for pair in pairs if pair[1]] for pairs in seen]
    assert settled[0] == settled[1] == settled[2]


def test_a_stream_answers_at_once_and_stays_open_while_nothing_happens(stage):
    talk = stage.talk("parrot")
    with talk.live() as live:
        assert live.events == []
        talk.client.beta.sessions.update(talk.id, title="Something happens")
        assert types(live.wait_for("session.updated")) == ["session.updated"]


def test_a_stream_on_which_nothing_happens_is_kept_alive(stage, wire):
    """Clients give up on a connection that is silent for long; the SDKs skip frames named ping."""
    session = stage.session()
    with wire.stream(f"/v1/sessions/{session.id}/events/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        frame = list(itertools.islice(answer.iter_lines(), 2))
    assert frame == ["event: ping", 'data: {"type":"ping"}']


def test_an_interrupt_may_name_the_thread(stage):
    talk = stage.talk("patience")
    [thread] = talk.client.beta.sessions.threads.list(talk.id)
    talk.begin("take your time")
    talk.send(INTERRUPT | {"session_thread_id": thread.id})
    log = talk.wait_until_idle()
    assert log[-1].stop_reason.type == "end_turn"
    assert of_type(log, "user.interrupt")[0].processed_at
