"""Messages that arrive while the agent is at work wait their turn."""

from daybreak_sdk_tests.talk import ids, of_type, text_of, types


def test_messages_sent_meanwhile_are_taken_in_order(stage):
    talk = stage.talk("patience")
    sent = talk.begin("zero")
    for word in ("one", "two", "three"):
        sent += talk.say(word)
    waiting = talk.events()[-3:]
    assert [event.id for event in waiting] == ids(sent[1:])
    assert [event.processed_at for event in waiting] == [None] * 3
    log = talk.wait_until_idle(timeout_s=30)
    said = of_type(log, "user.message")
    assert ids(said) == ids(sent)
    times = [event.processed_at for event in said]
    assert None not in times
    assert times == sorted(times)
    assert text_of(of_type(log, "agent.message")[0]) == "zero"
    assert text_of(of_type(log, "agent.message")[-1]) == "three"


def test_a_message_that_waits_through_tool_calls_is_answered_after_them(stage):
    talk = stage.talk("hands")
    talk.say("bash: sleep 0.7; echo first done")
    talk.wait_for("agent.tool_use")
    talk.say("second")
    log = talk.wait_until_idle()
    answers = [text_of(event).strip() for event in of_type(log, "agent.message")]
    assert answers[-1] == "second"
    assert len(of_type(log, "agent.tool_result")) == 1


def test_many_messages_at_once_are_all_taken(stage):
    talk = stage.talk("parrot")
    sent = [event for n in range(30) for event in talk.say(f"number {n}")]
    log = talk.wait_until_idle()
    assert ids(of_type(log, "user.message")) == ids(sent)
    assert text_of(of_type(log, "agent.message")[-1]) == "number 29"


def test_a_session_goes_idle_once_its_queue_is_empty(stage):
    talk = stage.talk("parrot")
    talk.say("one", "two", "three")
    log = talk.wait_until_idle()
    assert types(log)[-3:] == ["session.thread_status_idle", "session.usage", "session.status_idle"]
    assert talk.retrieve().status == "idle"
