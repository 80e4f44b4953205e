"""A message arrives and the agent answers: every event, in order, on the stream and in the list."""

from daybreak_sdk_tests.talk import ids, of_type, text_of, types

TURN = [
    "user.message",
    "session.status_running",
    "session.thread_status_running",
    "span.model_request_start",
    "agent.message",
    "span.model_request_end",
    "session.thread_status_idle",
    "session.usage",
    "session.status_idle",
]


def settled(delivered) -> list:
    """A stream without the first, unprocessed delivery of queued events."""
    return [event for event in delivered if event.processed_at]


def test_a_turn_without_tools_is_told_in_order(stage):
    talk = stage.talk("parrot")
    with talk.live() as live:
        [sent] = talk.say("good morning")
        delivered = live.wait_for("session.status_idle")
    log = talk.events()
    assert types(log) == TURN
    assert settled(delivered) == log
    assert text_of(log[4]) == "good morning"
    assert log[0].id == sent.id
    assert log[5].model_request_start_id == log[3].id
    assert log[5].is_error in (False, None)
    assert log[6].stop_reason.type == log[8].stop_reason.type == "end_turn"


def test_a_queued_message_is_delivered_again_under_its_id_once_it_is_taken(stage):
    talk = stage.talk("patience")
    talk.begin("take your time")
    with talk.live() as live:
        [queued] = talk.say("hello")
        assert queued.processed_at is None
        first = live.wait_for("user.message")[-1]
        assert (first.id, first.processed_at) == (queued.id, None)
        assert talk.events()[-1] == first
        talk.interrupt()
        delivered = live.wait_for("session.status_idle", count=2)
    deliveries = [event for event in delivered if event.id == queued.id]
    assert len(deliveries) == 2
    assert deliveries[1].processed_at is not None
    assert deliveries[1].content == queued.content


def test_usage_adds_up_over_turns(stage):
    talk = stage.talk("parrot")
    for word in ("one", "two", "three"):
        talk.ask(word)
    log = talk.events()
    spans = [event.model_usage for event in of_type(log, "span.model_request_end")]
    assert len(spans) == 3
    told = of_type(log, "session.usage")[-1].usage
    session = talk.retrieve()
    for counter in ("input_tokens", "output_tokens"):
        total = sum(getattr(span, counter) for span in spans)
        assert total > 0
        assert getattr(told, counter) == total
        assert getattr(session.usage, counter) == total
    assert session.status == "idle"


def test_a_session_reads_running_until_it_is_idle(stage):
    talk = stage.talk("patience")
    talk.say("hello")
    assert talk.retrieve().status == "running"
    talk.wait_until_idle()
    assert talk.retrieve().status == "idle"


def test_thinking_is_marked_and_never_shown(stage):
    talk = stage.talk("hands")
    talk.ask("three at once")
    [thinking] = of_type(talk.events(), "agent.thinking")
    assert thinking.to_dict().keys() == {"id", "type", "processed_at"}
    assert "Three things are to be done." not in str(talk.events())


def test_a_new_turn_follows_an_old_one_in_the_same_log(stage):
    talk = stage.talk("parrot")
    talk.ask("one")
    before = talk.events()
    talk.ask("two")
    after = talk.events()
    assert after[: len(before)] == before
    assert types(after) == TURN * 2
    assert len(set(ids(after))) == len(after)


def test_a_refusal_says_why(stage):
    talk = stage.talk("overload")
    talk.say("refuse")
    log = talk.wait_until_idle()
    assert log[-1].stop_reason.type == "refusal"
    assert (log[-1].stop_details.category, log[-1].stop_details.explanation) == ("cyber", "Not that.")
    assert talk.ask("hello") == "hello"
