"""What README.md tells a newcomer to type does what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

from daybreak_sdk_tests.server import API_KEY

REPOSITORY = Path(__file__).resolve().parents[3]
ADDRESS = "http://127.0.0.1:8787"


def snippet() -> str:
    [block] = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    return block


def test_the_ten_lines_of_python_run_a_tool(server, tmp_path):
    script = tmp_path / "snippet.py"
    assert ADDRESS in snippet()
    script.write_text(snippet().replace(ADDRESS, server.base_url))
    ran = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"DAYBREAK_API_KEY": API_KEY},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert "agent.tool_result Linux" in ran.stdout
    assert ran.stdout.rstrip().endswith("session.status_idle")


def test_the_demo_prints_the_same_lines():
    assert snippet() == (REPOSITORY / "xtask/src/snippet.py").read_text()
