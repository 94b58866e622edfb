"""Helpers of the integration tests: where the programs are, and processes that surely end.

SCOOP_BIN names the folder of the programs; the default is build/bin, then build-dev/bin.
"""

import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def bin_folder():
    named = os.environ.get("SCOOP_BIN")
    candidates = [pathlib.Path(named)] if named else [ROOT / "build/bin", ROOT / "build-dev/bin"]
    for folder in candidates:
        if folder.is_dir():
            return folder
    pytest.exit(f"no programs in {', '.join(map(str, candidates))}: build first", 2)


def wait_until(condition, seconds=10, what="the condition"):
    """Poll until condition() is true and return its value; fail after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    pytest.fail(f"{what} did not come true within {seconds} s")


class Process:
    """A program under test. Its stderr is collected as text in `log`."""

    def __init__(self, arguments, environment=None, **options):
        self.popen = subprocess.Popen(
            [str(a) for a in arguments],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            **options,
        )
        self.lines = []
        self.output = []
        self.readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.popen.stderr, self.lines), (self.popen.stdout, self.output))
        ]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(stream, lines):
        for line in stream:
            lines.append(line)

    @property
    def pid(self):
        return self.popen.pid

    @property
    def log(self):
        return "".join(self.lines)

    def signal(self, number):
        self.popen.send_signal(number)

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def wait(self, seconds=10):
        """Exit code; fails when the process is still there after so many seconds."""
        try:
            code = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.popen.args} did not end within {seconds} s; its log:\n{self.log}")
        for reader in self.readers:
            reader.join(5)
        return code

    def stop(self, seconds=10):
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait_for_log(self, text, seconds=10):
        wait_until(lambda: text in self.log, seconds, f'"{text}" in the log of {self.popen.args}')

    def close(self):
        """End it whatever it does; say so when a sanitizer found something."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.kill()
            self.popen.wait()
        for reader in self.readers:
            reader.join(5)
        assert "Sanitizer" not in self.log, self.log
        assert "runtime error:" not in self.log, self.log


def children(pid):
    """Process ids of the living children of a process, oldest first."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(entry.name))
    return sorted(found)


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def programs():
    return bin_folder()


@pytest.fixture
def start():
    """start(arguments, environment) -> Process; all are ended after the test."""
    started = []

    def run(arguments, environment=None, **options):
        started.append(Process(arguments, environment, **options))
        return started[-1]

    yield run
    for process in reversed(started):
        process.close()
