"""Fields whose feature this server does not have yet: refused by name, never ignored.

An entry leaves this file on the day its feature arrives.
"""

import pytest
from anthropic import BadRequestError

from daybreak_sdk_tests.refusal import refused
from daybreak_sdk_tests.stage import TOOLSET
from daybreak_sdk_tests.talk import lasting, message

MCP_SERVER = {"type": "url", "name": "books", "url": "https://mcp.example.com/"}
CUSTOM_TOOL = {
    "type": "custom",
    "name": "lend",
    "description": "Lends a book",
    "input_schema": {"type": "object"},
}
RUBRIC = {"type": "text", "content": "Good."}


def toolset(**config) -> dict:
    return {"tools": [TOOLSET | {"configs": [config]}]}


# Agents

LATER_IN_AN_AGENT = [
    ("mcp_servers", {"mcp_servers": [MCP_SERVER]}),
    ("tools", {"tools": [{"type": "mcp_toolset", "mcp_server_name": "books"}]}),
    ("tools", {"tools": [CUSTOM_TOOL]}),
    ("skills", {"skills": [{"type": "custom", "skill_id": "skill_01a"}]}),
    ("multiagent", {"multiagent": {"type": "coordinator", "agents": [{"type": "self"}]}}),
    ("multiagent", {"multiagent": {"type": "multiagent_20261001"}}),
    ("execution_identity", {"execution_identity": {"type": "aws_role", "role_arn": "arn:aws:iam::1:role/r"}}),
    ("permission_policy", toolset(name="bash", permission_policy={"type": "always_ask"})),
    ("permission_policy", toolset(name="bash", permission_policy={"type": "auto"})),
    (
        "permission_policy",
        {"tools": [TOOLSET | {"default_config": {"permission_policy": {"type": "always_ask"}}}]},
    ),
    ("web_fetch", toolset(name="web_fetch", enabled=True)),
    ("web_search", toolset(name="web_search", enabled=True)),
    ("web_fetch", toolset(name="web_fetch")),
    ("allowed_domains", toolset(name="web_fetch", allowed_domains=["example.com"])),
    ("inference_geo", {"model": {"id": "rehearsal/parrot", "inference_geo": "us"}}),
    ("speed", {"model": {"id": "rehearsal/parrot", "speed": "fast"}}),
]


@pytest.mark.parametrize(("named", "fields"), LATER_IN_AN_AGENT)
def test_an_agent_is_refused_what_is_not_there_yet(client, agent, named, fields):
    with refused(BadRequestError, named):
        client.beta.agents.create(**({"name": "Early", "model": "rehearsal/parrot"} | fields))
    with refused(BadRequestError, named):
        client.beta.agents.update(agent.id, **fields)
    assert client.beta.agents.retrieve(agent.id) == agent


@pytest.mark.parametrize(
    "fields",
    [
        {"mcp_servers": [], "skills": [], "multiagent": None, "execution_identity": None},
        {"mcp_servers": None, "skills": None, "tools": None, "metadata": None},
        toolset(name="web_fetch", enabled=False),
        {"tools": [TOOLSET | {"default_config": {"enabled": False}, "configs": [{"name": "web_fetch"}]}]},
        toolset(name="web_fetch", enabled=False, allowed_domains=None, url_sources=None),
        toolset(name="bash", permission_policy=None),
        {"model": {"id": "rehearsal/parrot", "inference_geo": None, "speed": None, "effort": None}},
    ],
)
def test_an_agent_takes_the_empty_forms(client, agent, fields):
    created = client.beta.agents.create(**({"name": "Early", "model": "rehearsal/parrot"} | fields))
    assert (created.mcp_servers, created.skills, created.multiagent) == ([], [], None)
    client.beta.agents.update(agent.id, **fields)


# Environments

LATER_IN_AN_ENVIRONMENT = [
    *(
        (f"packages.{manager}", {"packages": {manager: ["x"]}})
        for manager in ("apt", "cargo", "gem", "go", "npm", "pip")
    ),
    ("allowed_hosts", {"networking": {"type": "limited", "allowed_hosts": ["example.com"]}}),
    ("allow_mcp_servers", {"networking": {"type": "limited", "allow_mcp_servers": True}}),
    ("allow_package_managers", {"networking": {"type": "limited", "allow_package_managers": True}}),
]


@pytest.mark.parametrize(("named", "config"), LATER_IN_AN_ENVIRONMENT)
def test_an_environment_is_refused_what_is_not_there_yet(client, named, config):
    with refused(BadRequestError, named):
        client.beta.environments.create(name="Early", config={"type": "cloud"} | config)
    environment = client.beta.environments.create(name="Early")
    with refused(BadRequestError, named):
        client.beta.environments.update(environment.id, config={"type": "cloud"} | config)
    assert client.beta.environments.retrieve(environment.id) == environment


def test_a_self_hosted_environment_is_refused(client):
    with refused(BadRequestError, "self_hosted"):
        client.beta.environments.create(name="Early", config={"type": "self_hosted"})


def test_an_environment_takes_the_empty_forms(client):
    packages = {"apt": [], "pip": None}
    for config in (
        None,
        {"type": "cloud", "packages": packages},
        {"type": "cloud", "packages": None, "networking": None},
    ):
        assert client.beta.environments.create(name="Early", config=config).config.packages.pip == []


# Sessions

LATER_IN_A_SESSION = [
    ("vault_ids", {"vault_ids": ["vlt_01a"]}),
    ("budget", {"budget": {"type": "limit", "max_list_cost": {"amount": "100", "currency": "USD"}}}),
    ("github_repository", {"resources": [{"type": "github_repository", "url": "https://github.com/a/b"}]}),
    ("memory_store", {"resources": [{"type": "memory_store", "memory_store_id": "memstore_01a"}]}),
    (
        "user.define_outcome",
        {"initial_events": [{"type": "user.define_outcome", "description": "d", "rubric": RUBRIC}]},
    ),
]


@pytest.mark.parametrize(("named", "fields"), LATER_IN_A_SESSION)
def test_a_session_is_refused_what_is_not_there_yet(client, stage, agent, named, fields):
    with refused(BadRequestError, named):
        stage.session(agent=agent.id, **fields)
    assert client.beta.sessions.list(agent_id=agent.id).data == []


def test_an_agent_with_overrides_is_refused(stage, agent):
    with refused(BadRequestError, "agent_with_overrides"):
        stage.session(agent={"type": "agent_with_overrides", "id": agent.id, "system": "Be brief."})


def test_a_session_takes_the_empty_forms(stage):
    session = stage.session("parrot", vault_ids=[], budget=None, resources=[], initial_events=[])
    assert (session.vault_ids, session.budget, session.resources) == ([], None, [])


@pytest.mark.parametrize(
    ("named", "fields"),
    [
        ("vault_ids", {"vault_ids": ["vlt_01a"]}),
        ("budget", {"budget": {"type": "limit", "max_list_cost": {"amount": "100", "currency": "USD"}}}),
        ("agent", {"agent": {"tools": [TOOLSET]}}),
    ],
)
def test_an_update_of_a_session_is_refused_what_is_not_there_yet(client, stage, named, fields):
    session = stage.session("parrot")
    with refused(BadRequestError, named):
        client.beta.sessions.update(session.id, title="Half done", **fields)
    assert lasting(client.beta.sessions.retrieve(session.id)) == lasting(session)


def test_a_resource_added_later_is_a_file(stage, wire):
    session = stage.session("parrot")
    answer = wire.post(
        f"/v1/sessions/{session.id}/resources",
        json={"type": "memory_store", "memory_store_id": "memstore_01a"},
    )
    assert answer.status_code == 400
    assert "memory_store" in answer.json()["error"]["message"]


# Events


@pytest.mark.parametrize(
    "event",
    [
        {"type": "user.define_outcome", "description": "d", "rubric": RUBRIC},
        {"type": "user.tool_confirmation", "tool_use_id": "sevt_01a", "result": "allow"},
        {"type": "user.custom_tool_result", "custom_tool_use_id": "sevt_01a"},
        {"type": "user.tool_result", "tool_use_id": "sevt_01a"},
        {"type": "system.message", "content": [{"type": "text", "text": "Be brief."}]},
    ],
    ids=lambda event: event["type"],
)
def test_an_event_is_refused_that_nothing_waits_for_yet(stage, event):
    talk = stage.talk("parrot")
    with refused(BadRequestError, event["type"]):
        talk.send(message("fine"), event)
    assert talk.events() == []


def test_previews_are_refused_on_both_kinds_of_stream(stage):
    talk = stage.talk("parrot")
    [thread] = talk.client.beta.sessions.threads.list(talk.id)
    with refused(BadRequestError, "event_deltas"):
        talk.client.beta.sessions.events.stream(talk.id, event_deltas=["agent.message"])
    with refused(BadRequestError, "event_deltas"):
        talk.client.beta.sessions.threads.events.stream(
            thread.id, session_id=talk.id, event_deltas=["agent.message"]
        )


def test_a_stream_takes_an_empty_list_of_previews(stage):
    with stage.talk("parrot").live(event_deltas=[]) as live:
        assert live.events == []
