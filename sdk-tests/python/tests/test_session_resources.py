"""Files mounted into a session."""

import pytest
from anthropic import BadRequestError, NotFoundError

from daybreak_sdk_tests.refusal import refused
from daybreak_sdk_tests.talk import ids

UPLOADS = "/mnt/session/uploads"


@pytest.fixture
def session(stage):
    return stage.session("parrot")


def file_resource(file, mount_path: str | None = None) -> dict:
    return {"type": "file", "file_id": file.id} | ({"mount_path": mount_path} if mount_path else {})


def test_a_session_may_start_with_files(client, stage, upload):
    first, second = upload(name="a.txt"), upload(name="b.txt")
    session = stage.session("parrot", resources=[file_resource(first), file_resource(second, "in/b.txt")])
    assert [resource.mount_path for resource in session.resources] == [
        f"{UPLOADS}/{first.id}",
        f"{UPLOADS}/in/b.txt",
    ]
    assert list(client.beta.sessions.resources.list(session.id)) == session.resources
    assert client.beta.sessions.retrieve(session.id).resources == session.resources


def test_a_mounted_file_is_a_copy_that_belongs_to_the_session(client, session, upload):
    file = upload(b"original\n", name="report.txt")
    resource = client.beta.sessions.resources.add(session.id, **file_resource(file))
    assert resource.file_id != file.id
    copy = client.beta.files.retrieve_metadata(resource.file_id)
    assert (copy.scope.type, copy.scope.id) == ("session", session.id)
    assert (copy.filename, copy.size_bytes, copy.mime_type) == (
        file.filename,
        file.size_bytes,
        file.mime_type,
    )
    assert client.beta.files.retrieve_metadata(file.id) == file
    client.beta.files.delete(file.id)
    assert client.beta.files.retrieve_metadata(copy.id) == copy


@pytest.mark.parametrize(
    ("given", "mounted"),
    [
        ("data.csv", f"{UPLOADS}/data.csv"),
        ("/deep/down/data.csv", f"{UPLOADS}/deep/down/data.csv"),
        (f"{UPLOADS}/data.csv", f"{UPLOADS}/data.csv"),
    ],
)
def test_a_mount_path_is_rooted_below_the_uploads(client, session, upload, given, mounted):
    resource = client.beta.sessions.resources.add(session.id, **file_resource(upload(), given))
    assert resource.mount_path == mounted


@pytest.mark.parametrize("path", ["../escape", "a/../../b", "/", "a/./b", "a\u0000b", "a" * 5000])
def test_a_mount_path_that_leads_elsewhere_is_refused(client, session, upload, path):
    with refused(BadRequestError, "mount_path"):
        client.beta.sessions.resources.add(session.id, **file_resource(upload(), path))


def test_two_files_cannot_share_a_mount_path(client, session, upload, stage):
    client.beta.sessions.resources.add(session.id, **file_resource(upload(), "same.txt"))
    for path in ("same.txt", "same.txt/below"):
        with refused(BadRequestError, "mount_path"):
            client.beta.sessions.resources.add(session.id, **file_resource(upload(), path))
    with refused(BadRequestError, "mount_path"):
        stage.session(
            "parrot", resources=[file_resource(upload(), "same.txt"), file_resource(upload(), "same.txt")]
        )


def test_a_resource_reads_back_as_it_was_added(client, session, upload):
    added = client.beta.sessions.resources.add(session.id, **file_resource(upload()))
    assert client.beta.sessions.resources.retrieve(added.id, session_id=session.id) == added


def test_resources_are_listed_over_pages(client, session, upload):
    added = [
        client.beta.sessions.resources.add(session.id, **file_resource(upload(), f"{n}.txt"))
        for n in range(5)
    ]
    everything = client.beta.sessions.resources.list(session.id)
    assert everything.next_page is None
    assert sorted(ids(everything)) == sorted(ids(added))
    page = client.beta.sessions.resources.list(session.id, limit=2)
    assert len(page.data) == 2
    assert ids(page) == ids(everything)
    for limit in (0, 1001):
        with refused(BadRequestError, "limit"):
            client.beta.sessions.resources.list(session.id, limit=limit)


def test_a_deleted_resource_is_gone_with_its_copy(client, session, upload):
    file = upload()
    added = client.beta.sessions.resources.add(session.id, **file_resource(file))
    deleted = client.beta.sessions.resources.delete(added.id, session_id=session.id)
    assert (deleted.id, deleted.type) == (added.id, "session_resource_deleted")
    for call in (client.beta.sessions.resources.retrieve, client.beta.sessions.resources.delete):
        with refused(NotFoundError, added.id):
            call(added.id, session_id=session.id)
    assert list(client.beta.sessions.resources.list(session.id)) == []
    with refused(NotFoundError, added.file_id):
        client.beta.files.retrieve_metadata(added.file_id)
    assert client.beta.files.retrieve_metadata(file.id) == file


def test_a_resource_belongs_to_one_session(client, session, stage, upload):
    added = client.beta.sessions.resources.add(session.id, **file_resource(upload()))
    other = stage.session("parrot")
    with refused(NotFoundError, added.id):
        client.beta.sessions.resources.retrieve(added.id, session_id=other.id)


def test_an_unknown_file_is_refused_and_creates_no_session(client, stage, session, agent):
    resource = {"type": "file", "file_id": "file_01Unknown"}
    with refused((BadRequestError, NotFoundError), "file_01Unknown"):
        client.beta.sessions.resources.add(session.id, **resource)
    with refused((BadRequestError, NotFoundError), "file_01Unknown"):
        stage.session(agent=agent.id, resources=[resource])
    assert client.beta.sessions.list(agent_id=agent.id).data == []


def test_a_file_resource_has_nothing_to_update(client, session, upload):
    added = client.beta.sessions.resources.add(session.id, **file_resource(upload()))
    with refused(BadRequestError):
        client.beta.sessions.resources.update(added.id, session_id=session.id, authorization_token="t")


def test_deleting_a_session_deletes_its_copies_and_no_upload(client, session, upload):
    file = upload()
    added = client.beta.sessions.resources.add(session.id, **file_resource(file))
    client.beta.sessions.delete(session.id)
    with refused(NotFoundError, added.file_id):
        client.beta.files.retrieve_metadata(added.file_id)
    assert client.beta.files.retrieve_metadata(file.id) == file
