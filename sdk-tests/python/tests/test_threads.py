"""Threads: until there is delegation, every session has one."""

import pytest
from anthropic import BadRequestError, NotFoundError

from daybreak_sdk_tests.refusal import refused
from daybreak_sdk_tests.talk import Live, ids, of_type, types


@pytest.fixture
def talk(stage):
    return stage.talk("parrot")


@pytest.fixture
def threads(client):
    return client.beta.sessions.threads


@pytest.fixture
def primary(talk, threads):
    [thread] = threads.list(talk.id)
    return thread


def test_a_new_session_has_one_idle_thread(talk, threads, primary):
    assert (primary.session_id, primary.status) == (talk.id, "idle")
    assert (primary.parent_thread_id, primary.workflow_run_id, primary.archived_at) == (None, None, None)
    assert (primary.stats, primary.usage) == (None, None)
    assert threads.retrieve(primary.id, session_id=talk.id) == primary


def test_a_thread_shows_the_agent_that_it_runs(talk, primary):
    kept = talk.retrieve().agent.to_dict()
    del kept["multiagent"]
    assert primary.agent.to_dict() == kept


def test_a_thread_that_has_worked_tells_its_times_and_tokens(talk, threads, primary):
    talk.ask("hello")
    thread = threads.retrieve(primary.id, session_id=talk.id)
    assert thread.status == "idle"
    assert thread.stats.active_seconds > 0
    assert thread.stats.duration_seconds >= thread.stats.active_seconds
    assert thread.usage.output_tokens > 0
    session = talk.retrieve()
    assert session.usage.output_tokens == thread.usage.output_tokens
    assert session.stats.active_seconds > 0


def test_a_thread_has_the_events_of_its_session(talk, threads, primary):
    """There is but one thread, so nothing that the agent did can belong to another."""
    talk.ask("hello")
    listed = list(threads.events.list(primary.id, session_id=talk.id))
    assert done_by_the_agent(listed) == done_by_the_agent(talk.events())
    assert ids(threads.events.list(primary.id, session_id=talk.id, limit=2)) == ids(listed)


def done_by_the_agent(events) -> list:
    return [event for event in events if not event.type.startswith("session.")]


def test_the_events_of_a_thread_name_it_and_its_agent(talk, primary):
    talk.ask("hello")
    about_threads = [event for event in talk.events() if event.type.startswith("session.thread_")]
    assert types(about_threads) == ["session.thread_status_running", "session.thread_status_idle"]
    for event in about_threads:
        assert (event.session_thread_id, event.agent_name) == (primary.id, "parrot")


def test_a_thread_may_be_streamed(talk, threads, primary):
    with Live(lambda: threads.events.stream(primary.id, session_id=talk.id)) as live:
        talk.say("hello")
        delivered = live.wait_for("session.thread_status_idle")
    [message] = of_type(delivered, "agent.message")
    assert message.content[0].text == "hello"


def test_the_stream_of_a_thread_has_one_path_only(talk, primary, wire):
    answer = wire.get(f"/v1/sessions/{talk.id}/threads/{primary.id}/events/stream")
    assert answer.status_code == 404


def test_threads_are_filtered_by_status(talk, threads, primary):
    assert ids(threads.list(talk.id, statuses=["idle"])) == [primary.id]
    assert ids(threads.list(talk.id, statuses=["idle", "running"])) == [primary.id]
    assert ids(threads.list(talk.id, statuses=["running", "rescheduling", "terminated"])) == []
    with refused(BadRequestError, "statuses"):
        threads.list(talk.id, statuses=["asleep"])


def test_a_thread_runs_while_its_session_does(stage, threads):
    busy = stage.talk("patience")
    busy.begin("take your time")
    assert [thread.status for thread in threads.list(busy.id)] == ["running"]
    busy.interrupt()
    busy.wait_until_idle()
    assert [thread.status for thread in threads.list(busy.id)] == ["idle"]


def test_the_primary_thread_cannot_be_archived(talk, threads, primary):
    with refused(BadRequestError, "primary"):
        threads.archive(primary.id, session_id=talk.id)
    assert threads.retrieve(primary.id, session_id=talk.id).archived_at is None


def test_the_thread_of_an_archived_session_is_terminated(client, talk, threads, primary):
    client.beta.sessions.archive(talk.id)
    assert threads.retrieve(primary.id, session_id=talk.id).status == "terminated"


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_limit_out_of_range_is_refused(talk, threads, primary, limit):
    with refused(BadRequestError, "limit", "1000"):
        threads.list(talk.id, limit=limit)
    with refused(BadRequestError, "limit", "1000"):
        threads.events.list(primary.id, session_id=talk.id, limit=limit)


def test_an_unknown_thread_is_not_found(stage, talk, threads, primary):
    for call in (threads.retrieve, threads.archive, threads.events.list, threads.events.stream):
        with refused(NotFoundError, "sthr_01Unknown"):
            call("sthr_01Unknown", session_id=talk.id)
        with refused(NotFoundError, primary.id):
            call(primary.id, session_id=stage.session().id)
