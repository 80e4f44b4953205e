"""Fixtures: the served binary, the strict client, and objects to start from."""

import os
from pathlib import Path

import pytest

from daybreak_sdk_tests.server import API_KEY, Server
from daybreak_sdk_tests.stage import Stage
from daybreak_sdk_tests.strict import Ledger, StrictAnthropic, Wire


@pytest.fixture(scope="session")
def binary() -> Path:
    path = os.environ.get("DAYBREAK_BIN")
    assert path, "DAYBREAK_BIN must name the daybreak binary"
    return Path(path).resolve(strict=True)


@pytest.fixture(scope="session")
def server(binary, tmp_path_factory):
    """The server that most tests share. It must stop cleanly at the end."""
    server = Server(binary, tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_server(binary, tmp_path):
    """A server that a test may kill and start again."""
    server = Server(binary, tmp_path / "server")
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture(autouse=True)
def strict(ledger):
    """Fails a test in which any answer broke the contract."""
    ledger.take()
    yield
    entries = ledger.take()
    assert not entries, f"{len(entries)} contract violation(s)\n" + "\n".join(entries[:20])


@pytest.fixture(scope="session")
def client(server, ledger) -> StrictAnthropic:
    return StrictAnthropic(base_url=server.base_url, api_key=API_KEY, ledger=ledger)


@pytest.fixture
def own_client(own_server, ledger) -> StrictAnthropic:
    return StrictAnthropic(base_url=own_server.base_url, api_key=API_KEY, ledger=ledger)


@pytest.fixture(scope="session")
def wire(server, ledger):
    wire = Wire(base_url=server.base_url, api_key=API_KEY, ledger=ledger)
    yield wire
    wire.close()


@pytest.fixture(scope="session")
def stage(client) -> Stage:
    return Stage(client)


@pytest.fixture
def own_stage(own_client) -> Stage:
    return Stage(own_client)


@pytest.fixture
def agent(client):
    """An agent of this test's own, to be changed at will."""
    return client.beta.agents.create(name="Test agent", model="rehearsal/parrot")


@pytest.fixture
def upload(client):
    """Uploads bytes and gives the file."""

    def upload(content: bytes = b"hello\n", name: str = "note.txt", mime: str = "text/plain", **options):
        return client.beta.files.upload(file=(name, content, mime), **options)

    return upload


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Shows the end of the server's log under a test that failed."""
    report = yield
    if report.failed:
        for name in ("server", "own_server"):
            if isinstance(server := item.funcargs.get(name), Server):
                report.sections.append((f"log of {name}", "\n".join(server.log().splitlines()[-40:])))
    return report


def pytest_make_parametrize_id(val):
    """Names a case by its value, shortened: some values are 100 000 characters long."""
    text = val if isinstance(val, str) else repr(val) if isinstance(val, dict | list | tuple) else None
    return None if text is None else (text if len(text) <= 60 else text[:57] + "...")
