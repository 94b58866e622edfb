"""Fixtures of all tests with real processes; see programs.py for the helpers."""

import pathlib
import shutil
import subprocess
import tempfile

import pytest

from fake_broker import FakeBroker
from programs import Program, run


@pytest.fixture
def start():
    """start(name, *arguments, env=None, ready="listening", user=None, stdin=...): ends with the test.

    `ready` is the event to wait for, None: do not wait. A program that is still there is stopped by
    SIGTERM; one that leaves processes behind, or that does not stop, fails the test.
    """
    programs = []

    def start_one(name, *arguments, env=None, ready="listening", **more):
        program = Program(name, *arguments, env=env, **more)
        programs.append(program)
        return program.ready(ready) if ready else program

    yield start_one
    problems = []
    for program in reversed(programs):
        try:
            left = program.end()
        except subprocess.TimeoutExpired:
            program.process.kill()
            problems.append(f"{program.name} did not stop on SIGTERM")
            left = program.end()
        if left:
            problems.append(f"{program.name} left {left}")
        for line in program.events:
            if "Sanitizer" in line or "runtime error:" in line:
                problems.append(f"{program.name}: {line}")
    assert not problems, problems


@pytest.fixture
def private():
    """Where private clusters put their folders; a short path, because those of sockets are bounded."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sct"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def scoop(private):
    """scoop(*arguments) -> the finished process."""

    def finished(*arguments, text="", env=None, timeout=60):
        return run("scoop", *arguments, env={"XDG_RUNTIME_DIR": str(private), **(env or {})}, stdin=text,
                   timeout=timeout)

    return finished


@pytest.fixture
def started(start, private):
    """started(*arguments) -> Program under way."""

    def begun(*arguments):
        return start("scoop", *arguments, env={"XDG_RUNTIME_DIR": str(private)}, ready=None)

    return begun


class Cluster:
    def __init__(self, start, folder, *options):
        folder.mkdir(mode=0o700)
        self.start = start
        self.url = f"ipc://{folder}/client"
        self.place = f"{folder}/client"
        self.workers = f"ipc://{folder}/worker"
        start("scoop-broker", "--client-listen", self.url, "--worker-listen", self.workers,
              *options)

    def start_worker(self, slots, *options):
        return self.start("scoop-worker", "run", "--broker", self.workers, "--slots", slots, *options, ready=None)


@pytest.fixture
def cluster(start, tmp_path):
    return Cluster(start, tmp_path / "cluster")


@pytest.fixture
def broker(tmp_path):
    """A broker in the hands of the test, for one agent."""
    broker = FakeBroker(f"ipc://{tmp_path}/workers")
    yield broker
    broker.close()


@pytest.fixture
def agent(broker, start, tmp_path):
    """agent(slots, ...) -> Program, when it has said HELLO."""

    def run(slots=2, *options, environment=None):
        process = start("scoop-worker", "run", "--broker", f"ipc://{tmp_path}/workers",
                        "--slots", slots, *options, ready=None, env=environment)
        broker.wait_for_agent()
        process.wait_for("link_open")
        return process

    yield run
    broker.gone()  # it then leaves without waiting for an answer to its BYE
