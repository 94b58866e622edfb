"""scoop-broker --guard: process 1 of the broker's container."""

import os
import re
import signal
import subprocess
import time

import pytest
from programs import binary, children, eventually, is_alive, run

PROGRAM = "../tests/programs/witness"


class Guarded:
    def __init__(self, start, folder):
        folder.mkdir(mode=0o700)
        self.url = f"ipc://{folder}/client"
        self.workers = f"ipc://{folder}/worker"
        self.guard = start("scoop-broker", "--guard", "--client-listen", self.url, "--worker-listen", self.workers)

    def pid(self):
        """Of the broker that the guard has now."""
        return eventually(lambda: children(self.guard.pid), "a broker")[0]

    def starts(self):
        return len(re.findall(" ev=listening ", self.guard.log))

    def await_start(self, number, timeout=15):
        eventually(lambda: self.starts() >= number, f"start number {number}", timeout)


@pytest.fixture
def guarded(start, tmp_path):
    return Guarded(start, tmp_path / "cluster")


def test_a_killed_broker_is_started_anew_within_a_second_and_no_task_is_lost(guarded, start):
    start("scoop-worker", "run", "--broker", guarded.workers, "--slots", "2", "--programs",
          os.path.dirname(binary(PROGRAM)), ready=None).wait_for("ev=link_open")
    client = start(PROGRAM, 200, 20, env={"SCOOP_BROKER": guarded.url}, ready=None)
    client.wait_for("submitted", stdout=True)
    time.sleep(1)  # the pace: a broker that dies in its first second waits for the rest of it
    for number, sign in ((2, signal.SIGKILL), (3, signal.SIGSEGV)):
        begin = time.monotonic()
        os.kill(guarded.pid(), sign)
        guarded.await_start(number)
        assert time.monotonic() - begin < 1.5
        time.sleep(1)
    assert client.wait(60) == 0
    assert [line.split()[1:3] for line in client.lines[1:]] == [["ok", str(n * n)] for n in range(200)]
    assert "ev=broker_died signal=9 (Killed)" in guarded.guard.log
    assert "ev=broker_died signal=11" in guarded.guard.log


def test_tasks_that_are_submitted_while_the_broker_is_away_wait_for_it_as_the_others_do(guarded, start):
    """It is away for longer than a call waits for a broker that was never there."""
    start("scoop-worker", "run", "--broker", guarded.workers, "--slots", "2", ready=None).wait_for("ev=link_open")
    client = start("scoop", "map", "-a", "/dev/stdin", "echo", env={"SCOOP_BROKER": guarded.url, "SCOOP_CONNECT_MS": "500"},
                   ready=None, stdin=subprocess.PIPE)
    client.write("1")
    client.wait_for("1", stdout=True)
    os.kill(guarded.pid(), signal.SIGSTOP)  # until the guard kills it
    for number in range(2, 60):
        client.write(str(number))
        time.sleep(0.1)
    client.process.stdin.close()
    assert client.wait(60) == 0, client.log
    assert client.lines == [str(number) for number in range(1, 60)]


def test_a_broker_that_hangs_is_killed_and_started_anew(guarded):
    first = guarded.pid()
    assert run("scoop", "info", "--broker", guarded.url).returncode == 0  # its loop goes round
    os.kill(first, signal.SIGSTOP)
    guarded.await_start(2)
    assert not is_alive(first)
    assert f"ev=broker_hung pid={first} " in guarded.guard.log


def test_a_broker_that_dies_at_once_is_started_once_a_second(guarded):
    begin = time.monotonic()
    for number in range(2, 5):
        os.kill(guarded.pid(), signal.SIGKILL)
        guarded.await_start(number)
    assert 2.9 < time.monotonic() - begin < 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_guard_ends_in_order_with_its_broker(guarded, number):
    broker = guarded.pid()
    assert guarded.guard.stop(number) == 0
    assert not is_alive(broker)


def test_the_broker_ends_with_its_guard(guarded):
    broker = guarded.pid()
    guarded.guard.kill()
    eventually(lambda: not is_alive(broker), "the end of the broker")


def test_a_broker_that_cannot_start_ends_the_guard_with_its_exit_code():
    done = run("scoop-broker", "--guard", "--client-listen", "ipc:///nosuch/folder/client",
               "--worker-listen", "ipc:///nosuch/folder/worker")
    assert done.returncode == 1
    assert "cannot listen on ipc:///nosuch/folder/client" in done.stderr
    assert "broker_died" not in done.stderr
