"""The test machinery itself: a strict client must notice what a forgiving one would swallow."""

import json

import anthropic
import anthropic.pagination
import anthropic.types.beta.sessions
import httpx2
import pytest
from anthropic.types.beta.sessions import BetaManagedAgentsSessionEvent

from daybreak_sdk_tests import schema
from daybreak_sdk_tests.strict import Ledger, StrictAnthropic

ENVIRONMENT = {
    "id": "env_1",
    "type": "environment",
    "name": "lab",
    "description": None,
    "config": {
        "type": "cloud",
        "networking": {"type": "unrestricted"},
        "packages": {"type": "packages", "apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": []},
    },
    "metadata": {},
    "scope": "organization",
    "created_at": "2026-04-03T18:24:10.412001Z",
    "updated_at": "2026-04-03T18:24:10Z",
    "archived_at": None,
}

IDLE = {
    "id": "sevt_1",
    "type": "session.status_idle",
    "stop_reason": {"type": "end_turn"},
    "stop_details": None,
    "processed_at": "2026-04-03T18:24:10Z",
}


class Served:
    """A strict client whose server is a function."""

    def __init__(self, answer):
        self.ledger = Ledger()
        self.client = StrictAnthropic(
            base_url="http://served",
            api_key="sk-test",
            ledger=self.ledger,
            transport=httpx2.MockTransport(lambda _: answer),
        )

    def retrieve(self) -> list[str]:
        self.client.beta.environments.retrieve("env_1")
        return self.ledger.take()

    def stream(self) -> list[str]:
        list(self.client.beta.sessions.events.stream("sesn_1"))
        return self.ledger.take()


def json_answer(body, status=200, headers=None) -> httpx2.Response:
    return httpx2.Response(status, json=body, headers={"request-id": "req_1"} | (headers or {}))


def sse_answer(*frames: str) -> httpx2.Response:
    headers = {"request-id": "req_1", "content-type": "text/event-stream"}
    return httpx2.Response(200, text="".join(frames), headers=headers)


def frame(body: dict, name: str | None = None) -> str:
    return f"event: {name or body['type']}\ndata: {json.dumps(body)}\n\n"


def without(body: dict, key: str) -> dict:
    return {name: value for name, value in body.items() if name != key}


def with_packages(**packages) -> dict:
    config = ENVIRONMENT["config"]
    return ENVIRONMENT | {"config": config | {"packages": config["packages"] | packages}}


def test_a_good_answer_passes():
    assert Served(json_answer(ENVIRONMENT)).retrieve() == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (ENVIRONMENT | {"naem": "lab"}, "'naem' was unexpected"),
        (with_packages(brew=[]), "'brew' was unexpected"),
        (without(ENVIRONMENT, "description"), "'description' is a required property"),
        (ENVIRONMENT | {"scope": None}, "$.scope"),
        (ENVIRONMENT | {"id": "agent_1"}, "$.id"),
    ],
    ids=[
        "an extra key",
        "an extra key deep down",
        "a nullable key left out",
        "a null that must be absent",
        "a foreign id",
    ],
)
def test_what_the_sdk_forgives_is_noticed(body, named):
    entries = Served(json_answer(body)).retrieve()
    assert len(entries) == 1
    assert named in entries[0]
    assert "GET /v1/environments/env_1" in entries[0]


@pytest.mark.parametrize(
    "body",
    [
        without(ENVIRONMENT, "name"),
        ENVIRONMENT | {"config": {"type": "cloud"}},
        ENVIRONMENT | {"metadata": {"n": 1}},
    ],
    ids=["a missing key", "a missing key deep down", "a wrong type"],
)
def test_what_the_sdk_refuses_in_strict_mode_is_noticed_too(body):
    served = Served(json_answer(body))
    with pytest.raises(anthropic.APIResponseValidationError):
        served.retrieve()
    assert served.ledger.take()


def test_a_key_that_stands_twice_is_noticed():
    text = json.dumps(ENVIRONMENT)[:-1] + ', "name": "lab"}'
    answer = httpx2.Response(
        200, text=text, headers={"request-id": "req_1", "content-type": "application/json"}
    )
    assert "stands twice" in Served(answer).retrieve()[0]


def test_an_answer_without_a_request_id_is_noticed():
    answer = httpx2.Response(200, json=ENVIRONMENT)
    assert "request-id header" in Served(answer).retrieve()[0]


def test_a_request_id_used_twice_is_noticed():
    served = Served(json_answer(ENVIRONMENT))
    assert served.retrieve() == []
    assert "was used before" in served.retrieve()[0]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"type": "error", "error": {"type": "not_found_error", "message": "m"}}),
        (404, {"type": "error", "error": {"type": "not_found_error", "message": "m"}, "request_id": "req_2"}),
        (
            404,
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "m"},
                "request_id": "req_1",
            },
        ),
        (404, {"type": "error", "error": {"type": "not_found_error", "message": ""}, "request_id": "req_1"}),
        (
            404,
            {
                "type": "error",
                "error": {"type": "not_found_error", "message": "m", "code": 1},
                "request_id": "req_1",
            },
        ),
        (500, {"type": "error", "error": {"type": "api_error", "message": "m"}, "request_id": "req_1"}),
    ],
    ids=[
        "no request id",
        "another's request id",
        "a type of another status",
        "no message",
        "an extra key",
        "a 5xx",
    ],
)
def test_a_bad_error_is_noticed(status, body):
    served = Served(json_answer(body, status))
    with pytest.raises(anthropic.APIStatusError):
        served.retrieve()
    assert served.ledger.take()


def test_a_good_error_passes():
    body = {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "m",
            "details": {"error_code": "environment_archived"},
        },
        "request_id": "req_1",
    }
    served = Served(json_answer(body, 400))
    with pytest.raises(anthropic.BadRequestError):
        served.retrieve()
    assert served.ledger.take() == []


def test_good_frames_pass_and_pings_are_skipped():
    assert Served(sse_answer(": hello\n\n", frame({"type": "ping"}), frame(IDLE))).stream() == []


@pytest.mark.parametrize(
    "bad",
    [
        f"data: {json.dumps(IDLE)}\n\n",
        frame(IDLE, name="session.idle"),
        frame(IDLE | {"seq": 7}),
        frame(without(IDLE, "stop_details")),
        frame(IDLE | {"processed_at": "2026-04-03 18:24"}),
        frame(IDLE | {"id": "evt_1"}),
    ],
    ids=["no name", "another name", "an extra key", "a missing key", "a time that is none", "a foreign id"],
)
def test_a_bad_frame_is_noticed(bad):
    served = Served(sse_answer(frame(IDLE), bad))
    try:
        entries = served.stream()
    except anthropic.APIResponseValidationError:
        entries = served.ledger.take()
    assert len(entries) == 1


def test_a_union_is_judged_by_the_variant_that_its_type_names():
    assert schema.problems(BetaManagedAgentsSessionEvent, IDLE) == []
    wrong = IDLE | {"stop_reason": {"type": "end_turn", "event_ids": []}}
    [problem] = schema.problems(BetaManagedAgentsSessionEvent, wrong)
    assert problem.startswith("$.stop_reason: Additional properties are not allowed ('event_ids'")
    [problem] = schema.problems(BetaManagedAgentsSessionEvent, IDLE | {"type": "session.idle"})
    assert "'session.idle' is no type of this union" in problem


def test_the_tables_name_models_and_keys_that_exist():
    """An entry for a model that the SDK has renamed would check nothing, silently."""
    homes = (anthropic.types.beta, anthropic.types.beta.sessions, anthropic.pagination)
    models = {name: model for home in homes for name, model in vars(home).items()}
    for table in (schema.NEVER_NULL, schema.ALWAYS_PRESENT):
        for name, keys in table.items():
            assert keys <= models[name].model_fields.keys(), name
    assert schema.ID_PREFIX.keys() <= models.keys()
