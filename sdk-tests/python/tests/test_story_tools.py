"""The agent works with its tools, in its sandbox."""

import base64

import pytest

from daybreak_sdk_tests.pixel import PNG
from daybreak_sdk_tests.stage import TOOLSET
from daybreak_sdk_tests.talk import Talk, ids, of_type, text_of, types, wait_until

TURN_WITH_ONE_TOOL = [
    "user.message",
    "session.status_running",
    "session.thread_status_running",
    "span.model_request_start",
    "agent.tool_use",
    "span.model_request_end",
    "agent.tool_result",
    "span.model_request_start",
    "agent.message",
    "span.model_request_end",
    "session.thread_status_idle",
    "session.usage",
    "session.status_idle",
]


@pytest.fixture
def talk(stage):
    return stage.talk("hands")


def results(talk: Talk) -> list[tuple[str, bool]]:
    """Text and failure of every tool result, in the order of the calls."""
    found = talk.results()
    return [
        (text_of(found[use.id]), bool(found[use.id].is_error))
        for use in of_type(talk.events(), "agent.tool_use")
    ]


def test_a_turn_with_a_tool_is_told_in_order(talk):
    with talk.live() as live:
        assert talk.ask("bash: echo $((6 * 7))").strip() == "42"
        delivered = live.wait_for("session.status_idle")
    log = talk.events()
    assert types(log) == TURN_WITH_ONE_TOOL
    assert [event for event in delivered if event.processed_at] == log
    use, result = log[4], log[6]
    assert (use.name, use.input) == ("bash", {"command": "echo $((6 * 7))"})
    assert (use.evaluated_permission, use.evaluation.type) == ("allow", "always_allow")
    assert (result.tool_use_id, bool(result.is_error)) == (use.id, False)


def test_every_tool_of_the_sandbox_works(talk):
    talk.ask("the tour")
    wrote, edited, read, found, matched, shown = results(talk)
    assert wrote == ("wrote 14 bytes to notes/plan.txt", False)
    assert edited == ("edited notes/plan.txt (1 replacement(s))", False)
    assert read == ("zwei\nthree\n", False) or read == ("zwei\nthree", False)
    assert found == ("/workspace/notes/plan.txt", False)
    assert "plan.txt:2:zwei" in matched[0]
    assert shown == ("one\nzwei\nthree\n/workspace\n", False) or shown == (
        "one\nzwei\nthree\n/workspace",
        False,
    )
    names = [use.name for use in of_type(talk.events(), "agent.tool_use")]
    assert names == ["write", "edit", "read", "glob", "grep", "bash"]


def test_several_calls_of_one_reply_run_in_order_and_each_gets_its_result(talk):
    talk.ask("three at once")
    log = talk.events()
    uses = of_type(log, "agent.tool_use")
    assert len(uses) == 3
    assert [event.tool_use_id for event in of_type(log, "agent.tool_result")] == ids(uses)
    first, second, third = results(talk)
    assert (first[1], second[1], third[1]) == (False, True, False)
    assert third[0].split() == ["first", "second", "third"]
    assert len(of_type(log, "span.model_request_start")) == 2


def test_the_shell_and_the_files_stay_between_turns(talk):
    talk.ask("bash: cd /tmp && export COLOUR=blue && echo kept > /workspace/kept")
    assert talk.ask("bash: pwd; echo $COLOUR; cat /workspace/kept").split() == ["/tmp", "blue", "kept"]


def test_every_round_of_a_long_turn_is_kept(talk):
    talk.ask("ten rounds")
    assert [int(text) for text, _ in results(talk)] == list(range(1, 11))


def test_output_that_is_empty_is_said_to_be(talk):
    assert talk.ask("bash: true") == "(no output)"


def test_a_command_that_fails_is_an_error_with_its_output(talk):
    talk.ask("bash: echo oh no >&2; exit 3")
    [(text, failed)] = results(talk)
    assert failed
    assert "oh no" in text


def test_a_command_that_takes_too_long_ends_the_shell_until_it_is_restarted(talk):
    talk.ask("impatience")
    late, too_soon, restarted, in_time = results(talk)
    assert late[1]
    assert "timed out after 0.3s" in late[0]
    assert too_soon == ("bash: bash session terminated; restart required", True)
    assert restarted == ("bash session restarted", False)
    assert (in_time[0].strip(), in_time[1]) == ("in time", False)


def test_output_without_end_is_cut_to_its_last_part(talk):
    text = talk.ask("bash: yes | head -c 3000000; echo the end")
    assert text.startswith("[output truncated]")
    assert text.strip().endswith("the end")
    assert len(text) < 110 * 1024


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (r"printf '\xff\xfe ok'", "\ufffd\ufffd ok"),
        (r"printf 'a\0b'", "a\0b"),
        (r"printf '\u2028 \u2029 \"\\'", '\u2028 \u2029 "\\'),
        (r"printf '\e[31mred\e[0m'", "red"),
        (r"printf 'one\r\ntwo\n\n'", "one\r\ntwo"),
    ],
    ids=["no text", "a zero byte", "separators and quotes", "colours", "line ends"],
)
def test_any_bytes_of_a_command_reach_the_log_as_text(talk, command, shown):
    assert talk.ask(f"bash: {command}").rstrip("\n") == shown


def test_a_picture_is_read_as_a_picture(stage, upload):
    resource = {"type": "file", "file_id": upload(PNG, "dot.png", "image/png").id, "mount_path": "dot.png"}
    talk = stage.talk("hands", resources=[resource])
    talk.say("read: /mnt/session/uploads/dot.png")
    [result] = of_type(talk.wait_until_idle(), "agent.tool_result")
    [block] = result.content
    assert (block.type, block.source.type, block.source.media_type) == ("image", "base64", "image/png")
    assert base64.b64decode(block.source.data) == PNG


@pytest.mark.parametrize("path", ["/etc/passwd", "/workspace/../etc/passwd", "/proc/self/environ"])
def test_the_file_tools_stay_where_they_belong(talk, path):
    talk.ask(f"read: {path}")
    talk.ask(f"write: {path}: changed")
    talk.ask(f"bash: ln -sf {path} /workspace/link")
    talk.ask("read: /workspace/link")
    assert [failed for _, failed in results(talk)] == [True, True, False, True]


@pytest.mark.parametrize("name", ["hammer", "web_search"])
def test_a_tool_that_does_not_exist_is_an_error_and_the_turn_goes_on(talk, name):
    talk.ask(f"nothing: {name}")
    [(text, failed)] = results(talk)
    assert failed
    assert name in text
    assert types(talk.events())[-1] == "session.status_idle"


def test_a_tool_that_is_turned_off_does_not_run(client, stage):
    toolset = TOOLSET | {"configs": [{"name": "bash", "enabled": False}]}
    agent = client.beta.agents.create(name="No shell", model="rehearsal/hands", tools=[toolset])
    talk = stage.talk(agent=agent.id)
    talk.ask("bash: echo ran > /workspace/ran")
    [use] = of_type(talk.events(), "agent.tool_use")
    assert use.evaluated_permission == "deny"
    assert use.evaluation is None
    assert [failed for _, failed in results(talk)] == [True]
    assert "no such file" in talk.ask("read: /workspace/ran")


def test_two_sessions_do_not_share_a_sandbox(stage):
    one, other = stage.talk("hands"), stage.talk("hands")
    one.ask("write: /workspace/mine: secret")
    other.ask("read: /workspace/mine")
    assert [failed for _, failed in results(other)] == [True]


def test_a_tool_sees_nothing_of_the_server(talk, server):
    seen = talk.ask(f"bash: env; ls -a {server.data_dir}; cat /proc/1/environ; ls /proc")
    assert "DAYBREAK" not in seen
    assert str(server.data_dir) not in seen.replace(f"cannot access '{server.data_dir}'", "")


# Files in and out


def test_an_output_is_a_downloadable_file_within_a_second_of_idle(client, talk):
    talk.ask(
        "bash: mkdir -p /mnt/session/outputs/deep && printf 'a,b\\n1,2\\n' > /mnt/session/outputs/table.csv"
    )
    [file] = wait_until(lambda: client.beta.files.list(scope_id=talk.id).data, "the output", timeout_s=1)
    assert (file.filename, file.size_bytes, file.downloadable) == ("table.csv", 8, True)
    assert (file.scope.type, file.scope.id) == ("session", talk.id)
    download = client.beta.files.download(file.id)
    assert download.read() == b"a,b\n1,2\n"
    assert download.headers["content-type"].startswith(file.mime_type)
    assert "table.csv" in download.headers["content-disposition"]


def test_an_output_that_is_written_again_is_a_new_file_with_the_new_bytes(client, talk):
    def newest() -> bytes:
        listed = client.beta.files.list(scope_id=talk.id).data
        return client.beta.files.download(listed[0].id).read() if listed else b""

    for text in ("one", "two two"):
        talk.ask(f"write: /mnt/session/outputs/report.txt: {text}")
        wait_until(lambda text=text: newest() == text.encode(), text, timeout_s=2)


def test_outputs_go_with_their_session(client, talk):
    talk.ask("write: /mnt/session/outputs/report.txt: gone tomorrow")
    [file] = wait_until(lambda: client.beta.files.list(scope_id=talk.id).data, "the output", timeout_s=2)
    client.beta.sessions.delete(talk.id)
    assert file.id not in ids(client.beta.files.list(limit=100))


def test_a_mounted_file_is_readable_at_its_path_and_nowhere_writable(stage, upload):
    file = upload(b"from outside\n", name="in.txt")
    resource = {"type": "file", "file_id": file.id, "mount_path": "data/in.txt"}
    talk = stage.talk("hands", resources=[resource])
    path = talk.retrieve().resources[0].mount_path
    assert talk.ask(f"read: {path}").strip() == "from outside"
    assert talk.ask(f"bash: cat {path}").strip() == "from outside"
    attempts = [
        f"bash: echo changed > {path}",
        f"bash: rm -f {path}",
        f"bash: mv {path} /tmp/",
        f"bash: touch $(dirname {path})/new",
        f"write: {path}: changed",
    ]
    for attempt in attempts:
        talk.ask(attempt)
    assert [failed for _, failed in results(talk)] == [False, False] + [True] * len(attempts)
    assert talk.ask(f"bash: cat {path}").strip() == "from outside"


def test_a_file_may_be_mounted_into_a_session_at_work(client, stage, upload):
    talk = stage.talk("hands")
    talk.ask("bash: true")
    file = upload(b"late\n", name="late.txt")
    resource = client.beta.sessions.resources.add(
        talk.id, type="file", file_id=file.id, mount_path="late.txt"
    )
    assert talk.ask(f"bash: cat {resource.mount_path}").strip() == "late"
    client.beta.sessions.resources.delete(resource.id, session_id=talk.id)
    talk.ask(f"bash: cat {resource.mount_path}")
    assert results(talk)[-1][1]
