"""Environments: what the sandboxes of sessions are like."""

import pytest
from anthropic import BadRequestError, ConflictError, NotFoundError
from anthropic.types.beta.beta_environment_archived_error import BetaEnvironmentArchivedError
from anthropic.types.beta.beta_invalid_config_type_change_error import BetaInvalidConfigTypeChangeError
from anthropic.types.beta.beta_invalid_metadata_error import BetaInvalidMetadataError

from daybreak_sdk_tests.refusal import refused
from daybreak_sdk_tests.schema import RFC_3339_UTC
from daybreak_sdk_tests.talk import ids

NO_PACKAGES = {"type": "packages", "apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": []}
UNRESTRICTED = {"type": "unrestricted"}
LIMITED = {
    "type": "limited",
    "allowed_hosts": [],
    "allow_mcp_servers": False,
    "allow_package_managers": False,
}


@pytest.fixture
def environment(client):
    return client.beta.environments.create(name="Lab", metadata={"team": "north"})


def config_of(environment) -> dict:
    return environment.config.to_dict()


# Create and retrieve


def test_a_new_environment_is_a_cloud_with_every_member_resolved(client):
    environment = client.beta.environments.create(name="Lab")
    assert config_of(environment) == {"type": "cloud", "networking": UNRESTRICTED, "packages": NO_PACKAGES}
    assert (environment.description, environment.archived_at, environment.metadata) == (None, None, {})
    assert environment.scope == "organization"
    assert client.beta.environments.retrieve(environment.id) == environment


def test_the_times_of_an_environment_are_rfc_3339(environment):
    """The SDK declares them as plain strings, so nothing else checks them."""
    assert RFC_3339_UTC.fullmatch(environment.created_at)
    assert RFC_3339_UTC.fullmatch(environment.updated_at)


@pytest.mark.parametrize(
    "config",
    [
        None,
        {"type": "cloud"},
        {"type": "cloud", "networking": UNRESTRICTED, "packages": {"type": "packages", "pip": []}},
    ],
)
def test_what_a_config_leaves_out_has_a_default(client, config):
    environment = client.beta.environments.create(name="Lab", config=config)
    assert config_of(environment) == {"type": "cloud", "networking": UNRESTRICTED, "packages": NO_PACKAGES}


@pytest.mark.parametrize("networking", [{"type": "limited"}, LIMITED])
def test_networking_may_be_limited_to_no_host_at_all(client, networking):
    environment = client.beta.environments.create(
        name="Lab", config={"type": "cloud", "networking": networking}
    )
    assert config_of(environment)["networking"] == LIMITED


def test_two_environments_may_share_a_name(client, environment):
    assert client.beta.environments.create(name=environment.name).id != environment.id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("config", {"type": "basement"}),
        ("config", {"type": "cloud", "networking": {"type": "telepathy"}}),
        ("config", {"type": "cloud", "gpu": True}),
        ("config", {"type": "cloud", "packages": {"brew": []}}),
        ("scope", "account"),
    ],
)
def test_a_bad_field_is_refused_by_name(client, field, value):
    with refused(BadRequestError, field):
        client.beta.environments.create(**({"name": "Lab"} | {field: value}))


@pytest.mark.parametrize(
    "metadata",
    [{f"k{n}": "v" for n in range(17)}, {"k" * 65: "v"}, {"k": "v" * 513}],
    ids=["pairs", "key", "value"],
)
def test_bad_metadata_has_an_error_of_its_own(client, environment, metadata):
    with refused(BetaInvalidMetadataError, "metadata", code="invalid_metadata"):
        client.beta.environments.create(name="Lab", metadata=metadata)
    with refused(BetaInvalidMetadataError, "metadata", code="invalid_metadata"):
        client.beta.environments.update(environment.id, metadata=metadata)


def test_an_unknown_environment_is_not_found(client, stage):
    with refused(NotFoundError, "env_01Unknown"):
        client.beta.environments.retrieve("env_01Unknown")
    with refused(NotFoundError, "env_01Unknown"):
        stage.session(environment_id="env_01Unknown")


# Update


def test_an_update_keeps_what_it_does_not_name(client, environment):
    updated = client.beta.environments.update(environment.id, name="Workshop")
    assert updated.to_dict() == environment.to_dict() | {"name": "Workshop", "updated_at": updated.updated_at}
    assert client.beta.environments.update(environment.id, name=None).name == "Workshop"
    assert client.beta.environments.retrieve(environment.id).name == "Workshop"


def test_a_description_may_be_set_emptied_and_cleared(client, environment):
    for description in ("For experiments", "", None):
        updated = client.beta.environments.update(environment.id, description=description)
        assert updated.description == description


def test_metadata_is_patched_and_an_empty_value_deletes(client, environment):
    updated = client.beta.environments.update(environment.id, metadata={"keep": "1", "a": "1", "b": "1"})
    assert updated.metadata == {"team": "north", "keep": "1", "a": "1", "b": "1"}
    updated = client.beta.environments.update(environment.id, metadata={"a": None, "b": "", "team": "south"})
    assert updated.metadata == {"keep": "1", "team": "south"}


def test_a_config_is_merged_into_the_one_that_is_there(client):
    config = {"type": "cloud", "networking": LIMITED}
    environment = client.beta.environments.create(name="Lab", config=config)
    for change in (
        {"type": "cloud"},
        {"type": "cloud", "packages": {"pip": []}},
        {"type": "cloud", "networking": {"type": "limited"}},
    ):
        updated = client.beta.environments.update(environment.id, config=change)
        assert config_of(updated) == config_of(environment)
    freed = client.beta.environments.update(
        environment.id, config={"type": "cloud", "networking": UNRESTRICTED}
    )
    assert config_of(freed)["networking"] == UNRESTRICTED


def test_the_type_of_a_config_cannot_change(client, environment):
    with refused(BetaInvalidConfigTypeChangeError, "type", code="invalid_config_type_change"):
        client.beta.environments.update(environment.id, config={"type": "self_hosted"})


# List, archive, delete


def test_environments_are_listed_newest_first_over_pages(client):
    made = [client.beta.environments.create(name=f"Listed {n}") for n in range(5)]
    page = client.beta.environments.list(limit=2)
    assert len(page.data) == 2
    assert ids(page)[:5] == ids(reversed(made))


def test_an_archived_environment_stays_readable_and_leaves_the_list(client, environment):
    archived = client.beta.environments.archive(environment.id)
    assert RFC_3339_UTC.fullmatch(archived.archived_at)
    assert client.beta.environments.retrieve(environment.id) == archived
    assert environment.id not in ids(client.beta.environments.list(limit=100))
    assert environment.id in ids(client.beta.environments.list(limit=100, include_archived=True))
    assert client.beta.environments.archive(environment.id) == archived


def test_an_archived_environment_takes_no_update_and_no_session(client, environment, stage):
    client.beta.environments.archive(environment.id)
    with refused(BetaEnvironmentArchivedError, "archived", code="environment_archived"):
        client.beta.environments.update(environment.id, name="Too late")
    with pytest.raises(BadRequestError, match="archived"):
        stage.session(environment_id=environment.id)


def test_a_session_outlives_the_archiving_of_its_environment(client, environment, stage):
    talk = stage.talk("parrot", environment_id=environment.id)
    client.beta.environments.archive(environment.id)
    assert talk.ask("hello")


def test_an_environment_in_use_is_not_deleted(client, environment, stage):
    session = stage.session(environment_id=environment.id)
    with refused(ConflictError) as caught:
        client.beta.environments.delete(environment.id)
    assert caught.value.response.headers["x-should-retry"] == "false"
    client.beta.sessions.delete(session.id)
    assert client.beta.environments.delete(environment.id).id == environment.id


def test_a_deleted_environment_is_gone(client, environment):
    deleted = client.beta.environments.delete(environment.id)
    assert (deleted.id, deleted.type) == (environment.id, "environment_deleted")
    for call in (
        client.beta.environments.retrieve,
        client.beta.environments.delete,
        client.beta.environments.archive,
    ):
        with refused(NotFoundError, environment.id):
            call(environment.id)
    assert environment.id not in ids(client.beta.environments.list(limit=100, include_archived=True))
