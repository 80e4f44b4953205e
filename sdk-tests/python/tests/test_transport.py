"""What holds for every request: keys, headers, betas, bodies, queries, errors."""

import contextlib
import http.client
import json
import time

import anthropic
import httpx2
import pytest
from anthropic import AuthenticationError, BadRequestError, NotFoundError, PermissionDeniedError

from daybreak_sdk_tests.refusal import refused
from daybreak_sdk_tests.server import API_KEY
from daybreak_sdk_tests.strict import StrictAnthropic

BETA = "managed-agents-2026-04-01"
FOREIGN_WORKSPACE = "wrkspc_01SomebodyElse"
AGENT = {"name": "Test agent", "model": "rehearsal/parrot"}

# One path of every resource under the beta.
BETA_PATHS = [
    "/v1/agents",
    "/v1/environments",
    "/v1/sessions",
    "/v1/agents/agent_01a",
    "/v1/sessions/sesn_01a/events",
]


def told(answer) -> tuple[int, str, str]:
    """An error's status, type and message."""
    error = answer.json()["error"]
    return answer.status_code, error["type"], error["message"]


# Keys


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": API_KEY},
        {"x-api-key": None, "authorization": f"Bearer {API_KEY}"},
        {"x-api-key": API_KEY, "authorization": "Bearer sk-wrong"},
    ],
    ids=["x-api-key", "bearer", "x-api-key goes first"],
)
def test_a_key_may_come_in_either_header(wire, headers):
    assert wire.get("/v1/agents", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": None},
        {"x-api-key": ""},
        {"x-api-key": "sk-wrong"},
        {"x-api-key": API_KEY + "0"},
        {"x-api-key": API_KEY[:-1]},
        {"x-api-key": None, "authorization": "Bearer sk-wrong"},
        {"x-api-key": None, "authorization": f"Basic {API_KEY}"},
        {"x-api-key": None, "authorization": API_KEY},
    ],
    ids=["none", "empty", "wrong", "longer", "shorter", "wrong bearer", "basic", "bare"],
)
@pytest.mark.parametrize(
    "path", ["/v1/agents", "/v1/files", "/v1/models", "/v1/sessions/sesn_01a/events/stream"]
)
def test_without_a_good_key_nothing_is_told(wire, headers, path):
    status, kind, message = told(wire.get(path, headers=headers))
    assert (status, kind) == (401, "authentication_error")
    assert API_KEY not in message


def test_the_sdk_raises_its_own_error_for_a_wrong_key(server, ledger):
    stranger = StrictAnthropic(base_url=server.base_url, api_key="sk-wrong", ledger=ledger)
    with refused(AuthenticationError):
        stranger.beta.agents.list()


def test_a_key_opens_its_own_workspace_only(client):
    mine = client.beta.agents.with_raw_response.list(limit=1).headers["anthropic-workspace-id"]
    assert mine.startswith("wrkspc_")
    assert client.beta.agents.list(limit=1, workspace_id=mine)
    for call in (client.beta.agents.list, client.beta.files.list, client.beta.models.list):
        with refused(PermissionDeniedError):
            call(workspace_id=FOREIGN_WORKSPACE)


def test_an_answer_names_its_workspace_and_organization(wire):
    headers = wire.get("/v1/agents").headers
    assert headers["anthropic-workspace-id"].startswith("wrkspc_")
    assert headers["anthropic-organization-id"]


# Betas and versions


@pytest.mark.parametrize("path", BETA_PATHS)
@pytest.mark.parametrize("beta", [None, "files-api-2025-04-14"], ids=["none", "another"])
def test_without_its_beta_a_path_does_not_exist(wire, path, beta):
    status, kind, _ = told(wire.get(path, headers={"anthropic-beta": beta}))
    assert (status, kind) == (404, "not_found_error")


@pytest.mark.parametrize("path", ["/v1/files", "/v1/models"])
def test_files_and_models_need_no_beta(wire, path):
    assert wire.get(path, headers={"anthropic-beta": None}).status_code == 200


def test_the_old_beta_of_files_is_taken_and_its_way_of_paging_is_not(wire):
    headers = {"anthropic-beta": "files-api-2025-04-14"}
    answer = wire.get("/v1/files", headers=headers)
    assert (answer.status_code, answer.json().keys()) == (200, {"data", "next_page"})
    status, kind, message = told(wire.get("/v1/files?after_id=file_01a", headers=headers))
    assert (status, kind) == (400, "invalid_request_error")
    assert "after_id" in message


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/files", "/v1/models"])
def test_an_unknown_beta_is_refused_by_name(wire, path):
    headers = {"anthropic-beta": f"{BETA},time-travel-2027-01-01"}
    status, kind, message = told(wire.get(path, headers=headers))
    assert (status, kind) == (400, "invalid_request_error")
    assert "time-travel-2027-01-01" in message
    assert "anthropic-beta" in message


@pytest.mark.parametrize("betas", [f"{BETA},{BETA}", f"{BETA} ,  files-api-2025-04-14"])
def test_betas_come_as_a_list(wire, betas):
    assert wire.get("/v1/agents", headers={"anthropic-beta": betas}).status_code == 200


def test_the_beta_of_the_query_string_is_ignored(wire):
    assert wire.get("/v1/agents", params={"beta": "true"}).status_code == 200
    assert wire.post("/v1/agents?beta=true", json=AGENT).status_code == 200


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21", None])
def test_every_version_of_the_api_is_welcome(wire, version):
    assert wire.get("/v1/agents", headers={"anthropic-version": version}).status_code == 200


@pytest.mark.parametrize("accept", ["application/json", "text/html", "*/*", None])
def test_accept_is_not_negotiated(wire, accept):
    assert wire.get("/v1/agents", headers={"accept": accept}).headers["content-type"] == "application/json"


# Errors


@pytest.mark.parametrize(
    ("error", "kind", "call"),
    [
        (
            BadRequestError,
            "invalid_request_error",
            lambda client: client.beta.agents.create(name="", model="rehearsal/parrot"),
        ),
        (NotFoundError, "not_found_error", lambda client: client.beta.agents.retrieve("agent_01Unknown")),
        (
            PermissionDeniedError,
            "permission_error",
            lambda client: client.beta.agents.list(workspace_id=FOREIGN_WORKSPACE),
        ),
    ],
)
def test_an_error_carries_its_type_and_the_id_of_its_request(client, error, kind, call):
    with refused(error) as caught:
        call(client)
    assert type(caught.value) is error
    assert caught.value.type == kind
    assert caught.value.request_id == caught.value.body["request_id"]


def test_retries_are_left_to_the_client_where_they_may_help(server, ledger):
    """The same call twice is the same error: a 4xx says nothing that makes the SDK try again."""
    patient = StrictAnthropic(base_url=server.base_url, api_key=API_KEY, ledger=ledger, max_retries=2)
    with pytest.raises(anthropic.NotFoundError) as caught:
        patient.beta.agents.retrieve("agent_01Unknown")
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v1/agents/agent_01a/nothing", "/v1", "/v2/agents", "/v1/agents/"]
)
def test_an_unknown_path_is_not_found(wire, path):
    status, kind, _ = told(wire.get(path))
    assert (status, kind) == (404, "not_found_error")


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", "/v1/agents/agent_01a"), ("PUT", "/v1/files"), ("DELETE", "/v1/agents/agent_01a")],
)
def test_a_method_that_a_path_does_not_have_is_refused(wire, method, path):
    status, kind, _ = told(wire.request(method, path))
    assert (status, kind) in {(405, "invalid_request_error"), (404, "not_found_error")}


@pytest.mark.parametrize(
    "bad",
    ["1", "agent-01a", "sesn_01a", "agent_", "agent_%00", "agent_..%2F..", "agent_" + "a" * 500, "agent_é"],
)
def test_a_malformed_id_is_not_found(wire, bad):
    for path in (f"/v1/agents/{bad}", f"/v1/agents/{bad}/versions"):
        status, kind, _ = told(wire.get(path))
        assert (status, kind) == (404, "not_found_error"), path


# Bodies


def test_a_post_without_a_body_may_call_itself_json(wire, client, stage):
    headers = {"content-type": "application/json"}
    agent = client.beta.agents.create(**AGENT)
    environment = client.beta.environments.create(name="Lab")
    session = stage.session("parrot")
    for path in (f"agents/{agent.id}", f"environments/{environment.id}", f"sessions/{session.id}"):
        assert wire.post(f"/v1/{path}/archive", headers=headers).status_code == 200, path


@pytest.mark.parametrize(
    "body", ["", "{", "{}}", "nul", '{"name": "a", "model": }', "\ufeff{}", '{"a": 1, }', "'a'"]
)
def test_a_body_that_is_no_json_is_refused(wire, body):
    status, kind, _ = told(
        wire.post("/v1/agents", content=body.encode(), headers={"content-type": "application/json"})
    )
    assert (status, kind) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe{}",
        b'{"name": "\xff", "model": "rehearsal/parrot"}',
        b'{"name": "\\ud800", "model": "rehearsal/parrot"}',
    ],
)
def test_a_body_that_is_no_text_is_refused(wire, body):
    status, kind, _ = told(
        wire.post("/v1/agents", content=body, headers={"content-type": "application/json"})
    )
    assert (status, kind) == (400, "invalid_request_error")


@pytest.mark.parametrize("body", [[], "text", 1, None, True])
def test_a_body_that_is_no_object_is_refused(wire, body):
    status, kind, _ = told(
        wire.post("/v1/agents", content=json.dumps(body), headers={"content-type": "application/json"})
    )
    assert (status, kind) == (400, "invalid_request_error")


def test_a_body_nested_without_end_is_refused(wire):
    body = b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    status, kind, _ = told(
        wire.post("/v1/agents", content=body, headers={"content-type": "application/json"})
    )
    assert (status, kind) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/agents", AGENT),
        ("/v1/environments", {"name": "Lab"}),
        ("/v1/sessions", {}),
    ],
)
def test_an_unknown_key_is_refused_by_name(wire, stage, path, body):
    if path == "/v1/sessions":
        body = {"agent": stage.agent_id("parrot"), "environment_id": stage.environment_id}
    assert wire.post(path, json=body).status_code == 200
    status, kind, message = told(wire.post(path, json=body | {"colour": "red"}))
    assert (status, kind) == (400, "invalid_request_error")
    assert "colour" in message


def test_a_required_key_is_asked_for_by_name(wire):
    for missing in ("name", "model"):
        body = {key: value for key, value in AGENT.items() if key != missing}
        status, _, message = told(wire.post("/v1/agents", json=body))
        assert status == 400
        assert missing in message


def test_a_body_may_be_32_mb_long_and_not_longer(wire):
    limit = 32 * 1024 * 1024
    frame = json.dumps(AGENT | {"system": ""})
    for length, expected in [
        (limit, (400, "invalid_request_error")),
        (limit + 1, (413, "request_too_large")),
    ]:
        body = json.dumps(AGENT | {"system": "s" * (length - len(frame))})
        assert len(body) == length
        answer = wire.post("/v1/agents", content=body, headers={"content-type": "application/json"})
        assert told(answer)[:2] == expected


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-encoding": "klingon"}, "request_body_encoding_unsupported"),
        ({"content-type": "application/json; charset=klingon"}, "unsupported_charset"),
    ],
)
def test_a_body_in_a_form_that_cannot_be_read_has_an_error_of_its_own(wire, headers, code):
    answer = wire.post(
        "/v1/agents", content=json.dumps(AGENT), headers={"content-type": "application/json"} | headers
    )
    assert told(answer)[:2] == (400, "invalid_request_error")
    assert answer.json()["error"]["details"]["error_code"] == code


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/agents", {"x-api-key": "sk-wrong"}),
        ("/v1/agents", {"anthropic-beta": ""}),
        ("/v1/agents?limit=x", {}),
        ("/v1/agents", {"content-encoding": "klingon"}),
        ("/v1/files", {}),
        ("/v1/nothing", {}),
    ],
)
def test_a_refusal_before_the_body_was_read_does_not_break_the_next_request(server, path, headers):
    """A connection that ends must say so, or the client sends its next request into the void."""
    headers = {"x-api-key": API_KEY, "anthropic-beta": BETA, "content-type": "application/json"} | headers
    with contextlib.closing(
        http.client.HTTPConnection(server.base_url.removeprefix("http://"), timeout=5)
    ) as connection:
        connection.request("POST", path, body=b"x" * 300_000, headers=headers)
        answer = connection.getresponse()
        assert 400 <= answer.status < 500
        answer.read()
        if answer.will_close:
            return
        time.sleep(0.05)
        connection.auto_open = 0
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 200


# Queries


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", "1.5", "", "99999999999999999999"])
@pytest.mark.parametrize("path", ["/v1/agents", "/v1/environments", "/v1/sessions"])
def test_a_limit_out_of_range_is_refused(wire, path, limit):
    status, kind, message = told(wire.get(path, params={"limit": limit}))
    assert (status, kind) == (400, "invalid_request_error")
    assert "limit" in message


@pytest.mark.parametrize("noun", ["agents", "environments", "sessions", "files"])
def test_a_page_holds_twenty_unless_asked_for_more(wire, client, stage, upload, noun):
    make = {
        "agents": lambda: client.beta.agents.create(**AGENT),
        "environments": lambda: client.beta.environments.create(name="Lab"),
        "sessions": stage.session,
        "files": upload,
    }[noun]
    for _ in range(21):
        make()
    assert len(wire.get(f"/v1/{noun}").json()["data"]) == 20
    assert len(wire.get(f"/v1/{noun}", params={"limit": 21}).json()["data"]) == 21


@pytest.mark.parametrize("page", ["nonsense", "page_", "%00", "page_" + "A" * 5000, "eyJhIjoxfQ"])
@pytest.mark.parametrize("path", ["/v1/agents", "/v1/environments", "/v1/sessions", "/v1/files"])
def test_a_cursor_that_is_none_is_refused(wire, path, page):
    status, kind, message = told(wire.get(path, params={"page": page}))
    assert (status, kind) == (400, "invalid_request_error")
    assert "page" in message


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/sessions"])
def test_a_time_that_is_none_is_refused(wire, path):
    status, kind, message = told(wire.get(path, params={"created_at[gte]": "yesterday"}))
    assert (status, kind) == (400, "invalid_request_error")
    assert "created_at" in message


def test_a_flag_that_is_none_is_refused(wire):
    status, _, message = told(wire.get("/v1/agents", params={"include_archived": "perhaps"}))
    assert status == 400
    assert "include_archived" in message


# Outside the API


def test_readiness_needs_no_key(server):
    assert httpx2.get(f"{server.base_url}/readyz").status_code == 200
