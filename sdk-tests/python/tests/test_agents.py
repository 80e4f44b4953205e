"""Agents and their versions."""

import datetime
from concurrent.futures import ThreadPoolExecutor

import pytest
from anthropic import BadRequestError, ConflictError, NotFoundError

from daybreak_sdk_tests.refusal import refused
from daybreak_sdk_tests.stage import TOOLSET
from daybreak_sdk_tests.talk import ids

ALLOW = {"type": "always_allow"}


def same_but(agent, **changes) -> dict:
    return agent.to_dict() | changes


def new_agent(client, **fields):
    return client.beta.agents.create(**({"name": "Test agent", "model": "rehearsal/parrot"} | fields))


# Create and retrieve


def test_a_new_agent_is_version_one_with_every_field_resolved(client):
    agent = client.beta.agents.create(name="Librarian", model="rehearsal/parrot")
    assert agent.version == 1
    assert agent.name == "Librarian"
    assert (agent.description, agent.system, agent.multiagent, agent.archived_at) == (None, None, None, None)
    assert (agent.tools, agent.mcp_servers, agent.skills, agent.metadata) == ([], [], [], {})
    assert agent.execution_identity.type == "service_account"
    assert (agent.model.id, agent.model.speed) == ("rehearsal/parrot", "standard")
    assert agent.created_at == agent.updated_at


def test_an_agent_reads_back_as_it_was_created(client):
    agent = client.beta.agents.create(
        name="Librarian",
        model={"id": "rehearsal/parrot", "effort": "low"},
        description="Finds books",
        system="You find books.",
        tools=[TOOLSET],
        metadata={"team": "north"},
    )
    assert client.beta.agents.retrieve(agent.id) == agent
    assert (agent.description, agent.system, agent.metadata) == (
        "Finds books",
        "You find books.",
        {"team": "north"},
    )


@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
def test_effort_is_a_word_or_an_object_and_reads_back_as_an_object(client, effort):
    for given in (effort, {"type": effort}):
        agent = new_agent(client, model={"id": "rehearsal/parrot", "effort": given})
        assert agent.model.effort.type == effort


def test_a_bare_toolset_is_resolved_in_full(client):
    [toolset] = new_agent(client, tools=[TOOLSET]).to_dict()["tools"]
    assert toolset == TOOLSET | {
        "default_config": {"enabled": True, "permission_policy": ALLOW},
        "configs": [],
    }


def test_a_tool_inherits_what_its_config_leaves_out(client):
    tools = [
        TOOLSET
        | {
            "default_config": {"enabled": False},
            "configs": [{"name": "read", "enabled": True}, {"name": "bash", "type": "bash"}],
        }
    ]
    [toolset] = new_agent(client, tools=tools).to_dict()["tools"]
    assert toolset["default_config"] == {"enabled": False, "permission_policy": ALLOW}
    assert toolset["configs"] == [
        {"type": "read", "name": "read", "enabled": True, "permission_policy": ALLOW},
        {"type": "bash", "name": "bash", "enabled": False, "permission_policy": ALLOW},
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "n" * 256),
        ("description", "d" * 2048),
        ("system", "é" * 100_000),
        ("metadata", {f"k{n}": "v" for n in range(16)}),
        ("metadata", {"k" * 64: "v" * 512}),
    ],
)
def test_a_field_may_be_as_long_as_its_limit(client, field, value):
    agent = new_agent(client, **{field: value})
    assert getattr(agent, field) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "n" * 257),
        ("description", "d" * 2049),
        ("system", "s" * 100_001),
        ("metadata", {f"k{n}": "v" for n in range(17)}),
        ("metadata", {"k" * 65: "v"}),
        ("metadata", {"k": "v" * 513}),
        ("metadata", {"k": 1}),
        ("model", ""),
        ("model", {"id": "rehearsal/parrot", "effort": "extreme"}),
        ("model", {"id": "rehearsal/parrot", "speed": "warp"}),
        ("tools", [{"type": "toolbox"}]),
        ("tools", [TOOLSET, TOOLSET]),
        ("tools", [TOOLSET | {"configs": [{"name": "hammer"}]}]),
        ("tools", [TOOLSET | {"configs": [{"name": "bash"}, {"name": "bash"}]}]),
        ("tools", [TOOLSET | {"configs": [{"name": "bash", "type": "read"}]}]),
    ],
)
def test_a_bad_field_is_refused_by_name(client, field, value):
    with refused(BadRequestError, field):
        new_agent(client, **{field: value})


def test_an_unknown_model_is_refused_with_a_list_of_those_that_can_be_used(client):
    with refused(BadRequestError, "rehearsal/nowhere", "rehearsal/parrot"):
        new_agent(client, model="rehearsal/nowhere")


def test_an_unknown_agent_is_not_found(client):
    with refused(NotFoundError, "agent_01Unknown"):
        client.beta.agents.retrieve("agent_01Unknown")


# Update and versions


def test_an_update_makes_the_next_version_and_keeps_what_it_does_not_name(client, agent):
    updated = client.beta.agents.update(agent.id, name="Archivist")
    assert updated.to_dict() == same_but(agent, name="Archivist", version=2, updated_at=updated.updated_at)
    assert updated.updated_at > agent.updated_at
    assert client.beta.agents.retrieve(agent.id) == updated


def test_an_update_that_changes_nothing_keeps_the_version(client, agent):
    assert client.beta.agents.update(agent.id) == agent
    assert client.beta.agents.update(agent.id, name=agent.name, tools=[], metadata={}) == agent


def test_every_old_version_stays_retrievable(client, agent):
    updated = client.beta.agents.update(agent.id, system="Be brief.")
    assert client.beta.agents.retrieve(agent.id, version=1) == agent
    assert client.beta.agents.retrieve(agent.id, version=2) == updated
    with refused(NotFoundError):
        client.beta.agents.retrieve(agent.id, version=3)
    with refused(BadRequestError, "version"):
        client.beta.agents.retrieve(agent.id, version=0)


def test_versions_are_listed_newest_first_over_pages(client, agent):
    for n in range(4):
        client.beta.agents.update(agent.id, name=f"Name {n}")
    page = client.beta.agents.versions.list(agent.id, limit=2)
    assert [entry.version for entry in page.data] == [5, 4]
    assert [entry.version for entry in page] == [5, 4, 3, 2, 1]
    assert list(page)[-1] == agent


def test_a_version_lock_that_fits_lets_the_update_through(client, agent):
    assert client.beta.agents.update(agent.id, version=1, name="Locked").version == 2


@pytest.mark.parametrize("change", [{"name": "Another"}, {}], ids=["a change", "no change"])
def test_a_stale_version_lock_is_a_conflict_that_is_not_to_be_retried(client, agent, change):
    current = client.beta.agents.update(agent.id, name="Moved on")
    with refused(ConflictError) as caught:
        client.beta.agents.update(agent.id, version=1, **change)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert client.beta.agents.retrieve(agent.id) == current


def test_of_many_updates_that_hold_one_lock_one_gets_through(client, agent):
    def update(n: int) -> int | None:
        try:
            return client.beta.agents.update(agent.id, version=1, name=f"Name {n}").version
        except ConflictError:
            return None

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(update, range(8)))
    assert sorted(outcomes, key=str) == [2] + [None] * 7
    assert client.beta.agents.retrieve(agent.id).name == f"Name {outcomes.index(2)}"


def test_metadata_is_patched_key_by_key(client, agent):
    client.beta.agents.update(agent.id, metadata={"keep": "1", "change": "1", "drop": "1"})
    updated = client.beta.agents.update(
        agent.id, metadata={"change": "2", "drop": None, "absent": None, "empty": ""}
    )
    assert updated.metadata == {"keep": "1", "change": "2", "empty": ""}
    assert updated.version == 3


def test_a_metadata_patch_is_judged_by_its_result(client):
    agent = new_agent(client, metadata={f"k{n}": "v" for n in range(16)})
    with refused(BadRequestError, "metadata"):
        client.beta.agents.update(agent.id, metadata={"k16": "v"})
    assert len(client.beta.agents.update(agent.id, metadata={"k16": "v", "k0": None}).metadata) == 16


@pytest.mark.parametrize("nothing", ["", None], ids=["empty", "null"])
@pytest.mark.parametrize("field", ["description", "system"])
def test_a_text_is_cleared_by_an_empty_one_or_null(client, field, nothing):
    agent = new_agent(client, **{field: "something"})
    updated = client.beta.agents.update(agent.id, **{field: nothing})
    assert getattr(updated, field) is None
    assert updated.version == 2


@pytest.mark.parametrize("nothing", [[], None], ids=["empty", "null"])
def test_tools_are_cleared_by_an_empty_list_or_null(client, nothing):
    agent = new_agent(client, tools=[TOOLSET])
    assert client.beta.agents.update(agent.id, tools=nothing).tools == []


def test_tools_are_replaced_as_a_whole(client):
    agent = new_agent(client, tools=[TOOLSET | {"configs": [{"name": "bash", "enabled": False}]}])
    updated = client.beta.agents.update(agent.id, tools=[TOOLSET | {"configs": [{"name": "read"}]}])
    assert [config.name for config in updated.tools[0].configs] == ["read"]


def test_effort_stays_while_the_model_does(client):
    agent = new_agent(client, model={"id": "rehearsal/parrot", "effort": "low"})
    assert client.beta.agents.update(agent.id, model="rehearsal/parrot").version == 1
    default = new_agent(client, model="rehearsal/patience").model
    assert client.beta.agents.update(agent.id, model="rehearsal/patience").model == default


@pytest.mark.parametrize("field", ["name", "model"])
def test_what_every_agent_has_cannot_be_emptied(client, agent, field):
    with refused(BadRequestError, field):
        client.beta.agents.update(agent.id, **{field: ""})


def test_the_identity_may_be_reset(client, agent):
    assert client.beta.agents.update(agent.id, execution_identity=None) == agent
    assert client.beta.agents.update(agent.id, execution_identity={"type": "service_account"}) == agent


def test_an_update_that_is_refused_changes_nothing(client, agent):
    with refused(BadRequestError, "description"):
        client.beta.agents.update(agent.id, name="Half done", description="d" * 2049)
    assert client.beta.agents.retrieve(agent.id) == agent


# List


def test_agents_are_listed_newest_first_over_pages(client):
    made = [new_agent(client, name=f"Listed {n}") for n in range(5)]
    page = client.beta.agents.list(limit=2, created_at_gte=made[0].created_at)
    assert len(page.data) == 2
    assert ids(page) == ids(reversed(made))


def test_a_list_shows_the_latest_version(client, agent):
    updated = client.beta.agents.update(agent.id, name="Latest")
    assert next(iter(client.beta.agents.list(limit=1))) == updated


def test_agents_are_filtered_by_the_time_of_their_creation(client):
    first, second, third = (new_agent(client, name=f"Timed {n}") for n in range(3))
    between = client.beta.agents.list(created_at_gte=second.created_at, created_at_lte=second.created_at)
    assert ids(between) == [second.id]
    tokyo = datetime.timezone(datetime.timedelta(hours=9))
    later = client.beta.agents.list(created_at_gte=second.created_at.astimezone(tokyo))
    assert ids(later) == [third.id, second.id]
    assert first.id not in ids(later)


# Archive


def test_an_archived_agent_stays_readable_and_leaves_the_list(client, agent):
    archived = client.beta.agents.archive(agent.id)
    assert archived.archived_at is not None
    assert client.beta.agents.retrieve(agent.id) == archived
    recent = {"created_at_gte": agent.created_at}
    assert agent.id not in ids(client.beta.agents.list(**recent))
    assert agent.id in ids(client.beta.agents.list(include_archived=True, **recent))
    assert ids(client.beta.agents.versions.list(agent.id)) == [agent.id]


def test_archiving_twice_is_as_good_as_once(client, agent):
    archived = client.beta.agents.archive(agent.id)
    assert client.beta.agents.archive(agent.id) == archived


def test_an_archived_agent_takes_no_update_and_no_session(client, agent, stage):
    client.beta.agents.archive(agent.id)
    with refused(BadRequestError, "archived"):
        client.beta.agents.update(agent.id, name="Too late")
    with refused(BadRequestError, "archived"):
        stage.session(agent=agent.id)


def test_a_session_outlives_its_agent(client, agent, stage):
    session = stage.session(agent=agent.id)
    client.beta.agents.archive(agent.id)
    assert client.beta.sessions.retrieve(session.id).status == "idle"
