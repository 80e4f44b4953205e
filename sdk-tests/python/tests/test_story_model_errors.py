"""The model's provider fails, for a while or for good."""

import pytest

from daybreak_sdk_tests.talk import of_type, text_of, types


def test_an_overloaded_model_is_asked_again_until_it_answers(stage):
    talk = stage.talk("overload")
    with talk.live() as live:
        talk.say("twice")
        delivered = live.wait_for("session.status_idle", timeout_s=30)
    log = talk.events()
    failed_attempt = [
        "span.model_request_start",
        "span.model_request_end",
        "session.error",
        "session.status_rescheduled",
        "session.thread_status_rescheduled",
        "session.status_running",
        "session.thread_status_running",
    ]
    assert types(log) == [
        "user.message",
        "session.status_running",
        "session.thread_status_running",
        *failed_attempt,
        *failed_attempt,
        "span.model_request_start",
        "agent.message",
        "span.model_request_end",
        "session.thread_status_idle",
        "session.usage",
        "session.status_idle",
    ]
    assert [event for event in delivered if event.processed_at] == log
    for error in of_type(log, "session.error"):
        assert (error.error.type, error.error.retry_status.type) == ("model_overloaded_error", "retrying")
    assert [event.is_error for event in of_type(log, "span.model_request_end")][:2] == [True, True]
    assert text_of(of_type(log, "agent.message")[0]) == "At the third attempt."
    assert log[-1].stop_reason.type == "end_turn"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("529", "model_overloaded_error"),
        ("429", "model_rate_limited_error"),
        ("500", "model_request_failed_error"),
    ],
)
def test_a_model_that_never_recovers_exhausts_the_retries(stage, status, error):
    talk = stage.talk("overload")
    talk.say(status)
    log = talk.wait_until_idle(timeout_s=60)
    errors = [event.error for event in of_type(log, "session.error")]
    assert {entry.type for entry in errors} == {error}
    assert len(errors) > 1
    assert [entry.retry_status.type for entry in errors] == ["retrying"] * (len(errors) - 1) + ["exhausted"]
    assert (
        len(of_type(log, "span.model_request_start"))
        == len(of_type(log, "span.model_request_end"))
        == len(errors)
    )
    assert types(log)[-4:] == [
        "session.error",
        "session.thread_status_idle",
        "session.usage",
        "session.status_idle",
    ]
    assert log[-1].stop_reason.type == log[-3].stop_reason.type == "retries_exhausted"
    assert talk.ask("hello") == "hello"


@pytest.mark.parametrize(
    ("status", "error"),
    [("400", "model_request_failed_error"), ("401", "model_request_failed_error"), ("402", "billing_error")],
)
def test_a_request_that_the_provider_refuses_is_not_repeated(stage, status, error):
    talk = stage.talk("overload")
    talk.say(status)
    log = talk.wait_until_idle()
    [told] = of_type(log, "session.error")
    assert (told.error.type, told.error.retry_status.type) == (error, "exhausted")
    assert told.error.message
    assert len(of_type(log, "span.model_request_start")) == 1
    assert of_type(log, "session.status_rescheduled") == []
    assert log[-1].stop_reason.type == "retries_exhausted"
    assert talk.ask("hello") == "hello"
