"""A client whose connection breaks again and again sees the log, whole and in order."""

import random
import threading
import time

import pytest

from daybreak_sdk_tests.talk import Talk, ids, wait_until

MESSAGES = 25
CONNECTED_S = 0.15


class Follower:
    """What a careful client does: open the stream, list what was before, drop what it has seen."""

    def __init__(self, talk: Talk, chance: random.Random):
        self._talk = talk
        self._chance = chance
        self.seen: list[str] = []

    def follow_until(self, done):
        finished = False
        while not finished:
            finished = done()
            self._connect_for(self._chance.random() * CONNECTED_S)

    def _connect_for(self, seconds: float):
        with self._talk.live() as live:
            self._see(self._talk.events())
            time.sleep(seconds)
            delivered = live.events
        forms = [(event.id, event.processed_at is None) for event in delivered]
        assert len(set(forms)) == len(forms), "something came twice on one connection"
        self._see(delivered)

    def _see(self, events):
        self.seen += [event.id for event in events if event.processed_at and event.id not in self.seen]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_lost_doubled_or_out_of_order(stage, seed):
    talk = stage.talk("parrot")
    chance = random.Random(seed)
    pauses = [chance.random() * 0.05 for _ in range(MESSAGES)]

    def speak():
        for pause in pauses:
            talk.say(f"after {pause} s")
            time.sleep(pause)

    speaker = threading.Thread(target=speak)
    speaker.start()
    follower = Follower(talk, chance)
    follower.follow_until(lambda: not speaker.is_alive() and talk.retrieve().status == "idle")
    log = talk.wait_until_idle()
    assert follower.seen == ids(log)


def test_a_stream_that_nobody_reads_holds_nobody_up(stage):
    talk = stage.talk("parrot")
    with talk.client.beta.sessions.events.stream(talk.id):
        for n in range(20):
            talk.say(f"{n} " + "x" * 20_000)
        talk.wait_until_idle()


def test_a_stream_opened_in_the_middle_of_a_turn_misses_nothing_of_the_rest(stage):
    talk = stage.talk("hands")
    talk.say("ten rounds")
    talk.wait_for("agent.tool_use", count=2)
    with talk.live() as live:
        listed = talk.events()
        delivered = live.wait_for("session.status_idle")
    joined = ids(listed) + [id_ for id_ in ids(delivered) if id_ not in set(ids(listed))]
    assert wait_until(lambda: ids(talk.events()) == joined, "the joined log")
