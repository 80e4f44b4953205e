"""Sessions: their life from creation to deletion, and the lists they stand in."""

import pytest
from anthropic import BadRequestError, ConflictError, NotFoundError

from daybreak_sdk_tests.refusal import refused
from daybreak_sdk_tests.talk import INTERRUPT, Talk, ids, lasting, message, of_type, types


@pytest.fixture
def session(stage):
    return stage.session("parrot", title="Morning", metadata={"team": "north"})


@pytest.fixture
def busy(stage):
    """A session whose model takes its time."""
    talk = stage.talk("patience")
    talk.begin("take your time")
    yield talk
    talk.interrupt()
    talk.wait_until_idle()


# Create and retrieve


def test_a_new_session_is_idle_with_every_field_resolved(client, stage):
    session = stage.session("parrot")
    assert session.status == "idle"
    assert (session.title, session.archived_at, session.budget, session.deployment_id) == (
        None,
        None,
        None,
        None,
    )
    assert (session.metadata, session.resources, session.vault_ids, session.outcome_evaluations) == (
        {},
        [],
        [],
        [],
    )
    assert session.environment_id == stage.environment_id
    assert lasting(client.beta.sessions.retrieve(session.id)) == lasting(session)


def test_a_session_keeps_a_snapshot_of_its_agent(stage, agent):
    session = stage.session(agent=agent.id)
    kept = agent.to_dict()
    for key in ("metadata", "created_at", "updated_at", "archived_at"):
        del kept[key]
    assert session.agent.to_dict() == kept


def test_a_session_pins_the_version_it_was_created_with(client, stage, agent):
    before = stage.session(agent=agent.id)
    client.beta.agents.update(agent.id, system="Be brief.")
    assert client.beta.sessions.retrieve(before.id).agent.version == 1
    assert stage.session(agent=agent.id).agent.version == 2
    assert stage.session(agent={"type": "agent", "id": agent.id}).agent.version == 2
    pinned = stage.session(agent={"type": "agent", "id": agent.id, "version": 1})
    assert (pinned.agent.version, pinned.agent.system) == (1, None)


@pytest.mark.parametrize(
    "agent",
    ["agent_01Unknown", {"type": "agent", "id": "agent_01Unknown"}, {"type": "agent", "id": "not an id"}],
)
def test_an_unknown_agent_is_refused(stage, agent):
    with refused((BadRequestError, NotFoundError), "agent"):
        stage.session(agent=agent)


def test_an_unknown_version_is_refused(stage, agent):
    with refused((BadRequestError, NotFoundError), "version"):
        stage.session(agent={"type": "agent", "id": agent.id, "version": 7})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metadata", {f"k{n}": "v" for n in range(17)}),
        ("metadata", {"k" * 65: "v"}),
        ("metadata", {"k": "v" * 513}),
        ("title", "t" * 10_000),
        ("agent", {"type": "somebody"}),
        ("resources", [{"type": "folder"}]),
    ],
)
def test_a_bad_field_is_refused_by_name(stage, field, value):
    with refused(BadRequestError, field):
        stage.session(**{field: value})


def test_an_unknown_session_is_not_found(client):
    with refused(NotFoundError, "sesn_01Unknown"):
        client.beta.sessions.retrieve("sesn_01Unknown")


# Initial events


def test_initial_events_are_stored_in_order_and_set_the_session_to_work(client, stage):
    session = stage.session("parrot", initial_events=[message("first"), message("second")])
    assert session.status == "running"
    log = Talk(client, session.id).wait_until_idle()
    said = [event.content[0].text for event in of_type(log, "user.message")]
    assert said == ["first", "second"]


def test_no_initial_events_leave_the_session_idle(stage):
    assert stage.session("parrot", initial_events=[]).status == "idle"


@pytest.mark.parametrize(
    "events",
    [
        [message("fine"), INTERRUPT],
        [{"type": "agent.message", "content": []}],
        [{"type": "user.message", "content": []}],
        [message("again")] * 51,
    ],
    ids=["an interrupt", "an agent's event", "an empty message", "51 events"],
)
def test_bad_initial_events_create_no_session(client, stage, agent, events):
    with refused(BadRequestError, "initial_events"):
        stage.session(agent=agent.id, initial_events=events)
    assert client.beta.sessions.list(agent_id=agent.id).data == []


def test_fifty_initial_events_are_taken(client, stage):
    session = stage.session("parrot", initial_events=[message(f"number {n}") for n in range(50)])
    listed = client.beta.sessions.events.list(session.id, types=["user.message"])
    assert [event.content[0].text for event in listed] == [f"number {n}" for n in range(50)]


# Update


def test_an_update_keeps_what_it_does_not_name(client, session):
    updated = client.beta.sessions.update(session.id, title="Evening")
    assert (updated.title, updated.metadata) == ("Evening", {"team": "north"})
    assert lasting(client.beta.sessions.retrieve(session.id)) == lasting(updated)


def test_null_clears_the_title(client, session):
    assert client.beta.sessions.update(session.id, title=None).title is None
    assert client.beta.sessions.retrieve(session.id).title is None


def test_metadata_is_patched_key_by_key(client, session):
    updated = client.beta.sessions.update(session.id, metadata={"team": "south", "user_id": "u1"})
    assert updated.metadata == {"team": "south", "user_id": "u1"}
    assert client.beta.sessions.update(session.id, metadata={"team": None}).metadata == {"user_id": "u1"}


def test_an_update_tells_in_the_log_what_it_changed_and_nothing_else(client, session):
    client.beta.sessions.update(session.id, title="Evening")
    client.beta.sessions.update(session.id, title="Evening")
    client.beta.sessions.update(session.id, metadata={"user_id": "u1"})
    client.beta.sessions.update(session.id, title=None)
    updates = of_type(Talk(client, session.id).events(), "session.updated")
    said = [event.to_dict() for event in updates]
    for entry in said:
        del entry["id"], entry["type"], entry["processed_at"]
    assert said == [{"title": "Evening"}, {"metadata": {"team": "north", "user_id": "u1"}}, {"title": None}]


def test_a_running_session_may_be_renamed(client, busy):
    assert client.beta.sessions.update(busy.id, title="Meanwhile").title == "Meanwhile"


# List


def test_sessions_are_listed_newest_first_and_pages_lead_both_ways(client, stage, agent):
    made = [stage.session(agent=agent.id).id for _ in range(5)][::-1]
    listing = {"agent_id": agent.id, "limit": 2}
    first = client.beta.sessions.list(**listing)
    second = client.beta.sessions.list(**listing, page=first.next_page)
    third = client.beta.sessions.list(**listing, page=second.next_page)
    assert [ids(page.data) for page in (first, second, third)] == [made[:2], made[2:4], made[4:]]
    assert first.prev_page is None
    assert third.next_page is None
    back = client.beta.sessions.list(**listing, page=third.prev_page)
    assert ids(back.data) == made[2:4]
    start = client.beta.sessions.list(**listing, page=back.prev_page)
    assert ids(start.data) == made[:2]
    assert start.prev_page is None
    assert ids(client.beta.sessions.list(**listing, page=start.next_page).data) == made[2:4]
    assert ids(client.beta.sessions.list(**listing)) == made


def test_sessions_may_be_listed_oldest_first(client, stage, agent):
    made = [stage.session(agent=agent.id).id for _ in range(3)]
    assert ids(client.beta.sessions.list(agent_id=agent.id, order="asc", limit=2)) == made
    assert ids(client.beta.sessions.list(agent_id=agent.id, order="desc")) == made[::-1]


def test_sessions_are_filtered_by_agent_and_version(client, stage, agent):
    old = stage.session(agent=agent.id).id
    client.beta.agents.update(agent.id, name="Renamed")
    new = stage.session(agent=agent.id).id
    assert ids(client.beta.sessions.list(agent_id=agent.id)) == [new, old]
    assert ids(client.beta.sessions.list(agent_id=agent.id, agent_version=1)) == [old]
    assert ids(client.beta.sessions.list(agent_id=agent.id, agent_version=2)) == [new]
    with refused(BadRequestError, "agent_version"):
        client.beta.sessions.list(agent_version=1)


def test_sessions_are_filtered_by_status(client, stage, busy):
    agent_id = stage.agent_id("patience")
    idle = stage.session("patience").id
    ended = client.beta.sessions.archive(stage.session("patience").id).id

    def listed(*statuses: str) -> list[str]:
        return ids(
            client.beta.sessions.list(agent_id=agent_id, statuses=list(statuses), include_archived=True)
        )

    assert busy.id in listed("running")
    assert idle not in listed("running")
    assert {idle, ended} <= set(listed("idle", "terminated"))
    assert idle not in listed("terminated")
    with refused(BadRequestError, "statuses"):
        listed("asleep")


def test_sessions_are_filtered_by_the_time_of_their_creation(client, stage, agent):
    first, second, third = (stage.session(agent=agent.id) for _ in range(3))
    at = second.created_at
    for bound, expected in [
        ({"created_at_gt": at}, [third.id]),
        ({"created_at_gte": at}, [third.id, second.id]),
        ({"created_at_lt": at}, [first.id]),
        ({"created_at_lte": at}, [second.id, first.id]),
        ({"created_at_lte": "9999-12-31T23:59:59.999999Z"}, [third.id, second.id, first.id]),
        ({"created_at_gt": first.created_at, "created_at_lt": third.created_at}, [second.id]),
    ]:
        assert ids(client.beta.sessions.list(agent_id=agent.id, **bound)) == expected, bound


def test_a_cursor_is_good_for_one_order_only(client, stage, agent):
    for _ in range(3):
        stage.session(agent=agent.id)
    cursor = client.beta.sessions.list(agent_id=agent.id, limit=1).next_page
    with refused(BadRequestError, "page"):
        client.beta.sessions.list(agent_id=agent.id, limit=1, order="asc", page=cursor)


def test_a_cursor_outlives_a_change_of_filters_but_not_one_that_excludes_its_place(client, stage, agent):
    made = [stage.session(agent=agent.id) for _ in range(4)]
    cursor = client.beta.sessions.list(agent_id=agent.id, limit=2).next_page
    listed = client.beta.sessions.list(agent_id=agent.id, limit=2, page=cursor, statuses=["idle"])
    assert ids(listed.data) == ids([made[1], made[0]])
    with refused(BadRequestError, "page"):
        client.beta.sessions.list(agent_id=agent.id, limit=2, page=cursor, created_at_lt=made[0].created_at)


# Archive


def test_an_archived_session_is_terminated_readable_and_out_of_the_list(client, session):
    archived = client.beta.sessions.archive(session.id)
    assert archived.status == "terminated"
    assert archived.archived_at is not None
    assert client.beta.sessions.retrieve(session.id) == archived
    assert client.beta.sessions.archive(session.id) == archived
    assert session.id not in ids(client.beta.sessions.list(limit=100))
    assert session.id in ids(client.beta.sessions.list(limit=100, include_archived=True))


def test_archiving_ends_the_log_and_the_stream(stage):
    talk = stage.talk("parrot")
    talk.ask("hello")
    with talk.live() as live:
        talk.client.beta.sessions.archive(talk.id)
        ending = ["session.thread_status_terminated", "session.status_terminated"]
        assert types(live.wait_for_end()) == ending
    assert types(talk.events())[-2:] == ending


def test_an_archived_session_takes_no_event_and_no_update(client, session):
    client.beta.sessions.archive(session.id)
    with refused(ConflictError) as caught:
        client.beta.sessions.events.send(session.id, events=[message("too late")])
    assert caught.value.response.headers["x-should-retry"] == "false"
    with refused(BadRequestError, "ended"):
        client.beta.sessions.update(session.id, title="Too late")


@pytest.mark.parametrize("end", ["archive", "delete"])
def test_a_running_session_is_neither_archived_nor_deleted(client, stage, end):
    talk = stage.talk("patience")
    talk.begin("take your time")
    with refused(BadRequestError, "interrupt"):
        getattr(client.beta.sessions, end)(talk.id)
    assert talk.retrieve().status == "running"
    talk.interrupt()
    talk.wait_until_idle()
    getattr(client.beta.sessions, end)(talk.id)


# Delete


def test_a_deleted_session_is_gone(client, session, stage):
    deleted = client.beta.sessions.delete(session.id)
    assert (deleted.id, deleted.type) == (session.id, "session_deleted")
    sessions = client.beta.sessions
    for call in (
        lambda: sessions.retrieve(session.id),
        lambda: sessions.update(session.id, title="Too late"),
        lambda: sessions.archive(session.id),
        lambda: sessions.delete(session.id),
        lambda: sessions.events.list(session.id),
        lambda: sessions.events.send(session.id, events=[message("too late")]),
        lambda: sessions.events.stream(session.id),
        lambda: sessions.threads.list(session.id),
        lambda: sessions.resources.list(session.id),
    ):
        with refused(NotFoundError, session.id):
            call()
    assert session.id not in ids(sessions.list(limit=100, include_archived=True))
    assert client.beta.agents.retrieve(stage.agent_id("parrot"))


def test_an_archived_session_may_be_deleted(client, session):
    client.beta.sessions.archive(session.id)
    assert client.beta.sessions.delete(session.id).id == session.id


def test_deleting_ends_every_open_stream(client, session):
    talk = Talk(client, session.id)
    with talk.live() as one, talk.live() as other:
        client.beta.sessions.delete(session.id)
        for live in (one, other):
            assert types(live.wait_for_end())[-1] == "session.deleted"
