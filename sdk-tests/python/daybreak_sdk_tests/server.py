"""The served binary: started, killed, started again."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx2

READY_S = 20
DRAIN_S = 20
# What the tests set: a server that is told to stop while a tool sleeps shall not keep them waiting.
CONFIG = "shutdown_grace_s = 3\n"
API_KEY = "sk-test-5f1c2d9a7e3b4860"
SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"

# What the server may read of the caller's environment. No provider's key: nothing here may leave the machine.
_ENV_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "RUST_BACKTRACE", "RUST_LOG")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """One `daybreak serve` on one data directory. The address survives a restart, as it does for a client."""

    def __init__(self, binary: Path, directory: Path, env: dict[str, str] | None = None):
        directory.mkdir(parents=True, exist_ok=True)
        self._binary = binary
        self.data_dir = directory / "data"
        self._log_path = directory / "log"
        self._config_path = directory / "daybreak.toml"
        self._config_path.write_text(CONFIG)
        self._env = {name: os.environ[name] for name in _ENV_PASSED_ON if name in os.environ}
        self._env |= {"DAYBREAK_API_KEY": API_KEY, "DAYBREAK_SCENARIOS": str(SCENARIOS)} | (env or {})
        self._port = _free_port()
        self._process: subprocess.Popen | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def log(self) -> str:
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    def start(self) -> "Server":
        assert self._process is None, "the server is running already"
        arguments = [
            "--listen",
            f"127.0.0.1:{self._port}",
            "--data-dir",
            self.data_dir,
            "--config",
            self._config_path,
        ]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "serve", *arguments],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready()
        return self

    def _wait_until_ready(self):
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            code = self._process.poll()
            assert code is None, f"the server ended with {code} before it was ready\n{self.log()}"
            try:
                if httpx2.get(f"{self.base_url}/readyz", timeout=1).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"the server was not ready after {READY_S} s\n{self.log()}")

    def kill(self):
        """SIGKILL: whatever was not on disk is gone."""
        self._process.kill()
        self._process.wait()
        self._process = None

    def ask_to_stop(self):
        self._process.send_signal(signal.SIGTERM)

    def wait_for_exit(self):
        """Waits for a server that was asked to stop, and checks how it went."""
        try:
            code = self._process.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"the server did not stop within {DRAIN_S} s of SIGTERM\n{self.log()}"
            ) from None
        self._process = None
        assert code == 0, f"the server stopped with {code}\n{self.log()}"
        self.check_log()

    def stop(self):
        self.ask_to_stop()
        self.wait_for_exit()

    def check_log(self):
        assert "panicked" not in self.log(), self.log()
        assert API_KEY not in self.log(), "the API key stands in the log"

    def close(self):
        """Stops a server that still runs; does nothing for one that was killed."""
        if self._process is not None:
            self.stop()
