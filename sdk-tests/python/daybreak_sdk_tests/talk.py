"""A session to talk to, and a live view of its stream."""

import contextlib
import socket
import threading
import time

from daybreak_sdk_tests.strict import StrictAnthropic

POLL_S = 0.05
WAIT_S = 15


def wait_until(condition, what: str, timeout_s: float = WAIT_S):
    """Polls until `condition` gives something true, and gives that back."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s"
        time.sleep(POLL_S)


def message(text: str) -> dict:
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


INTERRUPT = {"type": "user.interrupt"}


def types(events) -> list[str]:
    return [event.type for event in events]


def ids(events) -> list[str]:
    return [event.id for event in events]


def of_type(events, *wanted: str) -> list:
    return [event for event in events if event.type in wanted]


def text_of(event) -> str:
    return "".join(block.text for block in event.content or [] if block.type == "text")


def lasting(session) -> dict:
    """What of a session does not change by the mere passing of time."""
    return session.to_dict() | {"stats": None}


def check_idle_log(log):
    """What holds of the log of every idle session, whatever happened to it."""
    assert len(set(ids(log))) == len(log), "an event stands twice"
    assert all(event.processed_at for event in log), "something still waits"
    starts = ids(of_type(log, "span.model_request_start"))
    ends = [event.model_request_start_id for event in of_type(log, "span.model_request_end")]
    assert ends == starts, "a model request does not have exactly one end"
    uses = ids(of_type(log, "agent.tool_use"))
    answered = [event.tool_use_id for event in of_type(log, "agent.tool_result")]
    assert answered == uses, "a tool call does not have exactly one result"


class Talk:
    """One session under test."""

    def __init__(self, client: StrictAnthropic, session_id: str):
        self.client = client
        self.id = session_id
        self._last_sent: str | None = None

    def send(self, *events: dict) -> list:
        stored = self.client.beta.sessions.events.send(self.id, events=list(events)).data
        self._last_sent = stored[-1].id
        return stored

    def say(self, *texts: str) -> list:
        return self.send(*map(message, texts))

    def begin(self, text: str) -> list:
        """Says something and waits until the model is being asked."""
        stored = self.say(text)
        self.wait_for("span.model_request_start")
        return stored

    def interrupt(self):
        return self.send(INTERRUPT)[0]

    def ask(self, text: str) -> str:
        """Says something, waits for the end of the turn, and gives what the agent said last."""
        self.say(text)
        return text_of(of_type(self.wait_until_idle(), "agent.message")[-1])

    def retrieve(self):
        return self.client.beta.sessions.retrieve(self.id)

    def events(self, **filters) -> list:
        """The whole log, over all pages."""
        return list(self.client.beta.sessions.events.list(self.id, **filters))

    def wait_for(self, type_: str, count: int = 1, timeout_s: float = WAIT_S) -> list:
        """Waits until the log holds `count` events of a type."""
        return wait_until(
            lambda: (found := of_type(self.events(), type_)) and len(found) >= count and found,
            f"{count} times {type_}",
            timeout_s,
        )

    def wait_until_idle(self, timeout_s: float = WAIT_S) -> list:
        """Waits until everything sent so far is done, and gives the log."""
        return wait_until(self._log_if_idle, "idle", timeout_s)

    def _log_if_idle(self) -> list | None:
        events = self.events()
        after = types(events)
        if self._last_sent is not None:
            after = after[ids(events).index(self._last_sent) :]
        if not after or after[-1] != "session.status_idle":
            return None
        check_idle_log(events)
        return events

    def results(self) -> dict[str, object]:
        """The results of tool calls, by the id of the call."""
        return {event.tool_use_id: event for event in of_type(self.events(), "agent.tool_result")}

    def live(self, **options) -> "Live":
        return Live(lambda: self.client.beta.sessions.events.stream(self.id, **options))


class Live:
    """Everything a stream delivers, collected in a thread from the moment the stream is open."""

    def __init__(self, open_stream):
        self._open = open_stream
        self._changed = threading.Condition()
        self._delivered: list = []
        self._ended = False
        self._error: Exception | None = None

    def __enter__(self) -> "Live":
        self._stream = self._open()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()
        return self

    def _collect(self):
        try:
            for event in self._stream:
                with self._changed:
                    self._delivered.append(event)
                    self._changed.notify_all()
        except Exception as error:
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def __exit__(self, *_):
        # Why not close: closing a socket does not wake a thread that reads from it, shutting it down does.
        wire = self._stream.response.extensions["network_stream"].get_extra_info("socket")
        with contextlib.suppress(OSError):
            wire.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the stream cannot be cut"

    @property
    def events(self) -> list:
        with self._changed:
            return list(self._delivered)

    def wait_for(self, type_: str, count: int = 1, timeout_s: float = WAIT_S) -> list:
        """Waits for the `count`-th event of a type, and gives everything up to then."""
        return self._wait(
            lambda: len(of_type(self._delivered, type_)) >= count, f"{count} times {type_}", timeout_s
        )

    def wait_for_end(self, timeout_s: float = WAIT_S) -> list:
        """Waits until the server closes the stream, and gives everything it delivered."""
        return self._wait(lambda: self._ended, "the end of the stream", timeout_s)

    def _wait(self, condition, what: str, timeout_s: float) -> list:
        with self._changed:
            fine = self._changed.wait_for(condition, timeout_s)
            assert fine, (
                f"{what}: not within {timeout_s} s; delivered: {types(self._delivered)}; error: {self._error}"
            )
            return list(self._delivered)
