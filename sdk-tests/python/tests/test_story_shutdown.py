"""SIGTERM: the server finishes what it can, stops cleanly, and goes on after a restart."""

import time

from daybreak_sdk_tests.talk import ids, of_type, text_of

SLOW_S = 30


def test_it_stops_while_a_model_is_being_asked_and_goes_on_afterwards(own_server, own_stage):
    talk = own_stage.talk("patience")
    [sent] = talk.begin("hello")
    own_server.stop()
    own_server.start()
    log = talk.wait_until_idle()
    assert ids(of_type(log, "user.message")) == [sent.id]
    assert [text_of(event) for event in of_type(log, "agent.message")] == ["hello"]


def test_it_does_not_wait_for_a_slow_tool(own_server, own_stage):
    talk = own_stage.talk("hands")
    talk.say(f"bash: sleep {SLOW_S}")
    talk.wait_for("agent.tool_use")
    started = time.monotonic()
    own_server.stop()
    assert time.monotonic() - started < SLOW_S
    own_server.start()
    talk.wait_until_idle()
    [result] = talk.results().values()
    assert result.is_error


def test_it_ends_open_streams_and_loses_nothing_acknowledged(own_server, own_stage):
    talk = own_stage.talk("parrot")
    talk.ask("hello")
    with talk.live() as live:
        [sent] = talk.say("one more")
        own_server.stop()
        live.wait_for_end()
    own_server.start()
    log = talk.wait_until_idle()
    assert sent.id in ids(log)
    assert text_of(of_type(log, "agent.message")[-1]) == "one more"
