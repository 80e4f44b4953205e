"""A client wants the agent to stop."""

import time

import pytest

from daybreak_sdk_tests.talk import INTERRUPT, message, of_type, text_of, types

STOP_WITHIN_S = 2
# Long enough for a command to have begun after its call was announced.
UNDER_WAY_S = 0.3


def stop(talk) -> list:
    started = time.monotonic()
    talk.interrupt()
    log = talk.wait_until_idle()
    assert time.monotonic() - started < STOP_WITHIN_S
    return log


def test_an_interrupt_stops_a_model_call(stage):
    talk = stage.talk("patience")
    talk.begin("take your time")
    log = stop(talk)
    assert types(log)[-5:] == [
        "user.interrupt",
        "span.model_request_end",
        "session.thread_status_idle",
        "session.usage",
        "session.status_idle",
    ]
    assert log[-1].stop_reason.type == log[-3].stop_reason.type == "end_turn"
    assert of_type(log, "agent.message") == []
    assert talk.ask("hello") == "hello"


@pytest.mark.parametrize("command", ["sleep 30", "trap '' INT TERM; sleep 30", "sleep 30 & wait"])
def test_an_interrupt_stops_a_tool(stage, command):
    talk = stage.talk("hands")
    talk.say(f"bash: {command}")
    [use] = talk.wait_for("agent.tool_use")
    time.sleep(UNDER_WAY_S)
    log = stop(talk)
    [result] = of_type(log, "agent.tool_result")
    assert (result.tool_use_id, result.is_error) == (use.id, True)
    assert log[-1].stop_reason.type == "end_turn"
    assert len(of_type(log, "span.model_request_start")) == 1
    assert talk.ask("bash: echo still alive").strip().endswith("still alive")
    assert "sleep" not in talk.ask("bash: ps -e")


def test_an_interrupt_answers_the_calls_that_had_not_begun(stage):
    talk = stage.talk("hands")
    talk.say("a slow pair")
    talk.wait_for("agent.tool_use", count=2)
    results = of_type(stop(talk), "agent.tool_result")
    assert [result.is_error for result in results] == [True, True]


def test_a_message_behind_an_interrupt_starts_a_new_turn(stage):
    talk = stage.talk("patience")
    talk.begin("take your time")
    talk.send(INTERRUPT, message("hello"))
    log = talk.wait_until_idle()
    assert text_of(of_type(log, "agent.message")[-1]) == "hello"
    reasons = [event.stop_reason.type for event in of_type(log, "session.status_idle")]
    assert reasons == ["end_turn", "end_turn"]


def test_an_interrupt_jumps_the_queue(stage):
    talk = stage.talk("patience")
    talk.begin("take your time")
    talk.say("hello")
    talk.interrupt()
    log = talk.wait_for("session.status_idle", count=2) and talk.events()
    order = types(of_type(log, "user.message", "user.interrupt"))
    assert order == ["user.message", "user.interrupt", "user.message"]
    assert text_of(of_type(log, "agent.message")[-1]) == "hello"
