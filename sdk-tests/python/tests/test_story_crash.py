"""The server is killed and started again: what it said it had, it still has, and no work is done twice."""

import itertools
import random
import threading
import time

import anthropic

from daybreak_sdk_tests.talk import ids, lasting, of_type, text_of

# Long enough for the quick first half of a command, far too short for its slow second half.
ONE_MARK_S = 0.8
KILLS = 8
KILL_WITHIN_S = 0.3


def restart(server):
    server.kill()
    server.start()


def test_killed_while_idle_it_has_everything(own_server, own_client, own_stage):
    talk = own_stage.talk("parrot", title="Kept", metadata={"k": "v"})
    talk.ask("before")
    file = own_client.beta.files.upload(file=("note.txt", b"hello\n", "text/plain"))
    session, log = lasting(talk.retrieve()), talk.events()
    agents, environments = list(own_client.beta.agents.list()), list(own_client.beta.environments.list())
    restart(own_server)
    assert lasting(talk.retrieve()) == session
    assert talk.events() == log
    assert list(own_client.beta.agents.list()) == agents
    assert list(own_client.beta.environments.list()) == environments
    assert own_client.beta.files.retrieve_metadata(file.id) == file
    assert talk.ask("after") == "after"


def test_killed_while_idle_the_sandbox_keeps_its_files_and_says_that_the_shell_is_new(own_server, own_stage):
    talk = own_stage.talk("hands")
    talk.ask("bash: cd /tmp; echo kept > /workspace/kept")
    restart(own_server)
    answer = talk.ask("bash: pwd; cat /workspace/kept")
    assert "/workspace" in answer
    assert "kept" in answer
    assert len(answer.split()) > 2, "nothing was said about the lost shell"


def test_killed_during_a_model_call_it_asks_again(own_server, own_stage):
    talk = own_stage.talk("patience")
    [sent] = talk.begin("hello")
    restart(own_server)
    log = talk.wait_until_idle()
    assert [event.is_error for event in of_type(log, "span.model_request_end")] == [True, False]
    assert ids(of_type(log, "user.message")) == [sent.id]
    assert [text_of(event) for event in of_type(log, "agent.message")] == ["hello"]


def test_killed_during_a_tool_call_it_says_so_once_and_does_not_run_it_again(own_server, own_stage):
    talk = own_stage.talk("hands")
    talk.say("careful: echo once >> /workspace/marks; sleep 30")
    [use] = talk.wait_for("agent.tool_use")
    time.sleep(ONE_MARK_S)
    restart(own_server)
    log = talk.wait_until_idle()
    interrupted = talk.results()[use.id]
    assert interrupted.is_error
    assert "interrupted" in text_of(interrupted).lower()
    assert text_of(of_type(log, "agent.message")[-1]).split().count("once") == 1


def test_killed_between_two_calls_of_one_reply_it_answers_both(own_server, own_stage):
    talk = own_stage.talk("hands")
    talk.say("a slow pair")
    talk.wait_for("agent.tool_use", count=2)
    time.sleep(ONE_MARK_S)
    restart(own_server)
    talk.wait_until_idle()
    assert len(talk.results()) == 2


def test_killed_with_messages_waiting_it_takes_them_all_in_order(own_server, own_stage):
    talk = own_stage.talk("patience")
    sent = talk.begin("zero")
    sent += talk.say("one") + talk.say("two")
    restart(own_server)
    log = talk.wait_until_idle(timeout_s=30)
    assert ids(of_type(log, "user.message")) == ids(sent)
    assert text_of(of_type(log, "agent.message")[-1]) == "two"


def test_killed_during_an_interrupt_it_still_stops(own_server, own_stage):
    talk = own_stage.talk("patience")
    talk.begin("take your time")
    talk.interrupt()
    restart(own_server)
    log = talk.wait_until_idle()
    assert log[-1].stop_reason.type == "end_turn"
    assert of_type(log, "agent.message") == []


def test_killed_over_and_over_nothing_that_was_acknowledged_or_streamed_is_lost_or_doubled(
    own_server, own_stage
):
    """Retries are off, so a doubled event would be the server's."""
    chance = random.Random(7)
    talk = own_stage.talk("parrot")
    acknowledged: list[str] = []
    streamed: list[str] = []
    numbers = itertools.count()
    for _ in range(KILLS):
        speaker = threading.Thread(target=speak_until_it_breaks, args=(talk, numbers, acknowledged))
        with talk.live() as live:
            speaker.start()
            time.sleep(chance.random() * KILL_WITHIN_S)
            own_server.kill()
            speaker.join()
            streamed += [event.id for event in live.wait_for_end() if event.processed_at]
        own_server.start()
    assert acknowledged
    acknowledged += ids(talk.say("the last"))
    log = talk.wait_until_idle(timeout_s=30)
    assert kept_of(acknowledged, of_type(log, "user.message")) == acknowledged
    assert kept_of(streamed, log) == streamed
    texts = [text_of(event) for event in of_type(log, "user.message")]
    assert len(set(texts)) == len(texts), "a message stands twice in the log"
    assert text_of(of_type(log, "agent.message")[-1]) == "the last"


def kept_of(wanted: list[str], log) -> list[str]:
    """Those events of the log that are wanted, in the log's order."""
    return [id_ for id_ in ids(log) if id_ in set(wanted)]


def speak_until_it_breaks(talk, numbers, acknowledged: list[str]):
    try:
        while True:
            acknowledged += ids(talk.say(f"number {next(numbers)}"))
    except anthropic.APIConnectionError:
        pass
