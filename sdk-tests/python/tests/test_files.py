"""Files: uploads, and what sessions leave behind."""

import contextlib
import datetime
import sqlite3

import pytest
from anthropic import BadRequestError, NotFoundError
from anthropic.types.file_expired_error import FileExpiredError
from anthropic.types.file_not_downloadable_error import FileNotDownloadableError

from daybreak_sdk_tests.refusal import refused
from daybreak_sdk_tests.talk import ids

HOUR_S = 3_600
NINETY_DAYS_S = 7_776_000


# Upload


def test_an_upload_has_every_field(client, upload):
    file = upload(b"hello\n", name="note.txt", mime="text/plain")
    assert (file.filename, file.mime_type, file.size_bytes) == ("note.txt", "text/plain", 6)
    assert (file.downloadable, file.expires_at, file.scope) == (False, None, None)
    assert client.beta.files.retrieve_metadata(file.id) == file


def test_the_general_endpoints_serve_the_same_file(client):
    """`client.files` sends no beta header."""
    file = client.files.upload(file=("note.txt", b"hello\n", "text/plain"))
    seen = client.files.retrieve_metadata(file.id)
    assert (seen.id, seen.size_bytes) == (file.id, 6)
    assert file.id in ids(client.files.list(limit=1))
    assert client.files.delete(file.id).type == "file_deleted"


def test_an_empty_file_is_a_file(upload):
    assert upload(b"").size_bytes == 0


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("folder/deep/report.txt", "report.txt"),
        ("/etc/report.txt", "report.txt"),
        ("Bericht für März.txt", "Bericht für März.txt"),
        ("n" * 251 + ".txt", "n" * 251 + ".txt"),
    ],
)
def test_the_last_part_of_a_name_is_kept(upload, sent, kept):
    assert upload(name=sent).filename == kept


@pytest.mark.parametrize("name", ["a<b", "a>b", "a:b", "a|b", "a?b", "a*b", "n" * 256])
def test_a_bad_name_is_refused(upload, name):
    with refused(BadRequestError, "name"):
        upload(name=name)


@pytest.mark.parametrize(
    ("mime", "extension"), [("text/plain", ".txt"), ("application/pdf", ".pdf"), ("image/png", ".png")]
)
def test_a_file_without_a_name_is_called_unnamed(wire, mime, extension):
    body = (
        b'--b\r\ncontent-disposition: form-data; name="file"; filename=""\r\ncontent-type: '
        + mime.encode()
        + b"\r\n\r\nx\r\n--b--\r\n"
    )
    answer = wire.post("/v1/files", content=body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["filename"] == f"unnamed{extension}"


@pytest.mark.parametrize("seconds", [HOUR_S, NINETY_DAYS_S])
def test_a_file_may_expire(upload, seconds):
    file = upload(expires_in_seconds=seconds)
    assert file.expires_at - file.created_at == datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [HOUR_S - 1, NINETY_DAYS_S + 1, 0, -1])
def test_a_file_may_not_expire_too_soon_or_too_late(upload, seconds):
    with refused(BadRequestError, "expires_in_seconds", str(HOUR_S), str(NINETY_DAYS_S)):
        upload(expires_in_seconds=seconds)


def test_an_expired_file_can_be_read_about_but_not_used(own_server, own_client, own_stage):
    file = own_client.beta.files.upload(file=("note.txt", b"hello\n"), expires_in_seconds=HOUR_S)
    own_server.stop()
    with contextlib.closing(sqlite3.connect(next(own_server.data_dir.glob("*.db")))) as database, database:
        # The wait, made short: an hour passes for this one file.
        database.execute("UPDATE files SET expires_at = 1 WHERE id = ?", (file.id,))
    own_server.start()
    assert own_client.beta.files.retrieve_metadata(file.id).expires_at < datetime.datetime.now(datetime.UTC)
    assert file.id in ids(own_client.beta.files.list())
    with refused(FileExpiredError, code="file_expired"):
        own_client.beta.files.download(file.id)
    with pytest.raises((BadRequestError, NotFoundError), match="expired"):
        own_stage.session(resources=[{"type": "file", "file_id": file.id}])
    assert own_client.beta.files.delete(file.id).id == file.id


def test_a_form_without_a_file_is_refused(wire):
    answer = wire.post("/v1/files", files={"expires_in_seconds": (None, "3600")})
    assert answer.status_code == 400, answer.text
    assert "file" in answer.json()["error"]["message"]


# Retrieve, download, delete


def test_an_upload_cannot_be_downloaded(client, upload):
    with refused(FileNotDownloadableError, code="file_not_downloadable"):
        client.beta.files.download(upload().id)


def test_an_unknown_file_is_not_found(client):
    for call in (client.beta.files.retrieve_metadata, client.beta.files.download, client.beta.files.delete):
        with refused(NotFoundError, "file_01Unknown"):
            call("file_01Unknown")


def test_a_deleted_file_is_gone(client, upload):
    file = upload()
    deleted = client.beta.files.delete(file.id)
    assert (deleted.id, deleted.type) == (file.id, "file_deleted")
    for call in (client.beta.files.retrieve_metadata, client.beta.files.download, client.beta.files.delete):
        with refused(NotFoundError, file.id):
            call(file.id)
    assert file.id not in ids(client.beta.files.list(limit=100))


# List


def test_files_are_listed_newest_first_over_pages(client, upload):
    made = [upload(name=f"{n}.txt") for n in range(5)]
    page = client.beta.files.list(limit=2)
    assert page.next_page.startswith("page_")
    second = client.beta.files.list(limit=2, page=page.next_page)
    assert ids(page.data) + ids(second.data) == ids(reversed(made[1:]))


def test_files_are_listed_by_their_ids(client, upload):
    first, second, gone = upload(), upload(), upload()
    client.beta.files.delete(gone.id)
    page = client.beta.files.list(ids=[first.id, second.id, gone.id, "file_01Unknown"])
    assert sorted(ids(page.data)) == sorted([first.id, second.id])
    assert page.next_page is None


def test_a_list_of_ids_takes_no_page_and_at_most_a_hundred(client, upload):
    file = upload()
    with refused(BadRequestError, "ids"):
        client.beta.files.list(ids=[file.id], limit=1)
    with refused(BadRequestError, "ids"):
        client.beta.files.list(ids=[f"file_01n{n}" for n in range(101)])
    assert client.beta.files.list(ids=[f"file_01n{n}" for n in range(100)]).data == []


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_limit_out_of_range_is_refused(client, limit):
    with refused(BadRequestError, "limit", "1000"):
        client.beta.files.list(limit=limit)


def test_files_are_listed_by_the_session_they_belong_to(client, stage, upload):
    resource = {"type": "file", "file_id": upload().id}
    session = stage.session("parrot", resources=[resource])
    assert ids(client.beta.files.list(scope_id=session.id)) == [session.resources[0].file_id]
    assert client.beta.files.list(scope_id=stage.session("parrot").id).data == []
