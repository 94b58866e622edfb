"""Arguments and results that travel in pieces: up to 1 GiB, right whatever dies on the way, and never as a whole in the
broker. docs/PROTOCOL.md section 4, "Pieces"."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
from programs import binary, children, environment, eventually, run

PROGRAM = "../tests/programs/large"
FOLDER = pathlib.Path(binary(PROGRAM)).parent
MIB = 1 << 20
GIB = 1 << 30


class Cluster:
    def __init__(self, start, folder):
        folder.mkdir(mode=0o700)
        self.start = start
        self.url = f"ipc://{folder}/client"
        self.workers_url = f"ipc://{folder}/worker"
        self.workers = []

    def start_broker(self):
        # What was freed shall not count: the sanitizer keeps it for a while.
        options = environment()["ASAN_OPTIONS"] + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
        self.broker = self.start("scoop-broker", "--client-listen", self.url, "--worker-listen", self.workers_url,
                                 env={"ASAN_OPTIONS": options})

    def start_worker(self, slots=1, grace_ms=0, url=None):
        worker = self.start("scoop-worker", "run", "--broker", url or self.workers_url, "--slots", slots,
                            "--programs", FOLDER, "--grace-ms", grace_ms, ready=None)
        worker.wait_for("ev=link_open")
        self.workers.append(worker)
        return worker

    def client(self, *arguments, **more):
        return self.start(PROGRAM, *arguments, env={"SCOOP_BROKER": self.url}, ready=None, **more)

    def run(self, *arguments, timeout=60):
        return run(PROGRAM, *arguments, env={"SCOOP_BROKER": self.url}, timeout=timeout)


class Wire:
    """Connections to the broker in the hands of the test: each passes so many bytes, and then no more; in each direction
    so many in a second."""

    def __init__(self, place, target, lives=(), bytes_per_s=None):
        self.target = target
        self.lives = list(lives)
        self.bytes_per_s = bytes_per_s
        self.cuts = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(place)
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.target)
            life = self.lives.pop(0) if self.lives else GIB
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink, life), daemon=True).start()

    def _pass(self, source, sink, life):
        try:
            while life > 0 and (data := source.recv(65536 if self.bytes_per_s is None else 4096)):
                if self.bytes_per_s:
                    time.sleep(len(data) / self.bytes_per_s)  # this is the line
                sink.sendall(data)
                life -= len(data)
        except OSError:
            pass
        self.cuts += life <= 0
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


@pytest.fixture
def cluster(start, tmp_path):
    cluster = Cluster(start, tmp_path / "cluster")
    cluster.start_broker()
    cluster.start_worker()
    return cluster


def resident_peak(pid):
    return int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def kept(worker, name):
    """Bytes that the worker has of a memory file of this name; -1: it has none."""
    folder = pathlib.Path(f"/proc/{worker.pid}/fd")
    for entry in folder.iterdir():
        try:
            if f"memfd:{name}" in os.readlink(entry):
                return entry.stat().st_blocks * 512
        except OSError:
            pass
    return -1


def in_the_middle(cluster, size):
    """The worker that has a part of an argument of this size, stopped there."""
    def found():
        for worker in cluster.workers:
            if kept(worker, "scoop-cargo") > 0:
                worker.send_signal(signal.SIGSTOP)
                return worker
        return None
    worker = eventually(found, "an argument that comes")
    assert kept(worker, "scoop-cargo") < size
    return worker


def ended(client, *lines):
    assert client.wait(60) == 0, client.log
    assert client.lines[-len(lines):] == list(lines), client.lines


def test_large_arguments_and_results_come_back_identical_and_the_broker_never_has_them(cluster):
    cluster.start_worker()
    assert cluster.run("echo", 2 * MIB, 1).stdout == "begun\n1 of 1\n"
    before = resident_peak(cluster.broker.pid)
    done = cluster.run("echo", 64 * MIB + 3, 2)
    assert done.stdout == "begun\n2 of 2\n", done.stderr
    assert resident_peak(cluster.broker.pid) - before < 32 * MIB


@pytest.mark.tsan
@pytest.mark.parametrize("size", [MIB, MIB + 1, 16 * MIB, 16 * MIB + 1])
def test_sizes_around_the_limits_of_a_frame_come_back_identical(cluster, size):
    assert cluster.run("echo", size, 2).stdout == "begun\n2 of 2\n"


@pytest.mark.skipif("SCOOP_LONG" not in os.environ, reason="SCOOP_LONG=1 asks for the long ones")
def test_a_gibibyte_travels_both_ways(cluster):
    assert cluster.run("look", GIB, timeout=300).stdout == f"{GIB} right\n"
    assert cluster.run("make", GIB, timeout=300).stdout == f"{GIB} right\n"
    assert resident_peak(cluster.broker.pid) < 200 * MIB


def test_a_gibibyte_and_a_byte_is_refused_with_both_numbers(cluster):
    done = cluster.run("look", GIB + 1)
    assert (done.returncode, done.stderr) == (
        1, "large: looks: an argument of 1073741825 bytes; the limit is 1073741824\n")
    done = cluster.run("make", GIB + 1)
    assert done.returncode == 1
    assert done.stderr.endswith(": a result of 1073741825 bytes; the limit is 1073741824\n")


def test_large_data_needs_no_broker():
    done = run(PROGRAM, "echo", 20 * MIB, 2)
    assert done.stdout == "begun\n2 of 2\n"


def test_a_large_result_is_an_input_up_to_the_limit(cluster):
    assert cluster.run("after", 4 * MIB).stdout == f"{4 * MIB} bytes\n"
    done = cluster.run("after", 20 * MIB)
    assert done.returncode == 1
    assert "its argument and the results it waits for are more than 16 MiB" in done.stderr


def test_the_limit_inside_a_function_is_named(cluster):
    assert cluster.run("ask", 15 * MIB).stdout == f"{15 * MIB} right\n"
    done = cluster.run("ask", 16 * MIB + 1)
    assert "looks: an argument of 16777217 bytes; the limit inside a function is 16777216" in done.stderr


def test_an_agent_that_dies_while_an_argument_comes_is_replaced(cluster):
    client = cluster.client("look", 48 * MIB)
    in_the_middle(cluster, 48 * MIB).kill()
    cluster.start_worker()
    ended(client, f"{48 * MIB} right")


def test_an_agent_that_dies_while_a_result_goes_is_replaced(cluster):
    client = cluster.client("make", 48 * MIB)
    worker = cluster.workers[0]
    eventually(lambda: kept(worker, "scoop-result") > 0, "a result that goes")
    worker.kill()
    cluster.start_worker()
    ended(client, f"{48 * MIB} right")


def test_results_that_were_coming_when_their_agent_died_hold_up_no_others(cluster):
    cluster.workers.pop().stop()
    worker = cluster.start_worker(slots=6)
    client = cluster.client("nap", 6 * MIB, 12)
    eventually(lambda: kept(worker, "scoop-result") > 0, "a result that goes")
    worker.kill()
    cluster.start_worker(slots=6)
    ended(client, "12 of 12")


def test_a_broker_that_dies_while_an_argument_comes_is_replaced(cluster):
    client = cluster.client("echo", 48 * MIB, 1)
    worker = in_the_middle(cluster, 48 * MIB)
    cluster.broker.kill()
    cluster.start_broker()
    worker.send_signal(signal.SIGCONT)
    ended(client, "1 of 1")


def test_a_client_that_stands_still_holds_up_no_other_and_goes_on(cluster):
    cluster.workers.pop().stop()
    cluster.start_worker(slots=2)
    client = cluster.client("echo", 32 * MIB, 1)
    worker = in_the_middle(cluster, 32 * MIB)
    client.send_signal(signal.SIGSTOP)
    worker.send_signal(signal.SIGCONT)
    assert cluster.run("look", 2 * MIB).stdout == f"{2 * MIB} right\n"
    client.send_signal(signal.SIGCONT)
    ended(client, "1 of 1")


def test_a_client_whose_connection_breaks_again_and_again_goes_on(cluster, tmp_path):
    wire = Wire(f"{tmp_path}/wire", cluster.url.removeprefix("ipc://"), [3 * MIB, 5 * MIB, 7 * MIB, 9 * MIB])
    done = run(PROGRAM, "echo", 24 * MIB, 1, env={"SCOOP_BROKER": f"ipc://{tmp_path}/wire"}, timeout=60)
    wire.close()
    assert done.stdout == "begun\n1 of 1\n", done.stderr
    assert wire.cuts >= 4


def slow_worker(cluster, tmp_path, bits_per_s):
    wire = Wire(f"{tmp_path}/slow", cluster.workers_url.removeprefix("ipc://"), bytes_per_s=bits_per_s / 8)
    cluster.workers.pop().stop()
    return wire, cluster.start_worker(slots=4, url=f"ipc://{tmp_path}/slow")


def test_a_large_task_keeps_its_lease_on_a_line_of_two_megabits(cluster, tmp_path):
    wire, worker = slow_worker(cluster, tmp_path, 2e6)
    done = cluster.run("echo", MIB + MIB // 8, 1)
    assert done.stdout == "begun\n1 of 1\n", done.stderr
    assert worker.log.count("ev=link_open") == 1, worker.log
    wire.close()


@pytest.mark.skipif("SCOOP_LONG" not in os.environ, reason="SCOOP_LONG=1 asks for the long ones")
@pytest.mark.parametrize("bits_per_s", [2e6, 4e6])
def test_many_large_tasks_keep_their_leases_on_a_slow_line(cluster, tmp_path, bits_per_s):
    wire, worker = slow_worker(cluster, tmp_path, bits_per_s)
    assert cluster.run("echo", MIB + MIB // 8, 8, timeout=600).stdout == "begun\n8 of 8\n"
    assert worker.log.count("ev=link_open") == 1, worker.log
    wire.close()


def test_an_executor_that_dies_with_a_large_argument_gets_it_again(cluster):
    client = cluster.client("nap", 8 * MIB, 1)
    victims = eventually(lambda: children(cluster.workers[0].pid), "an executor")
    os.kill(victims[0], signal.SIGKILL)
    ended(client, "1 of 1")


def test_a_large_result_is_whole_although_a_process_was_left_behind(cluster):
    assert cluster.run("leave", 4 * MIB).stdout == f"{4 * MIB} right\n"


def test_a_cancelled_task_whose_argument_comes_never_ran(cluster):
    client = cluster.client("cancel", 64 * MIB, stdin=subprocess.PIPE)
    worker = in_the_middle(cluster, 64 * MIB)
    client.write("now")
    worker.send_signal(signal.SIGCONT)
    assert client.wait(60) == 0, client.log
    assert client.lines[1:] == ["never ran", f"{64 * MIB} right"]


def test_a_call_whose_deadline_passes_while_bytes_travel_leaves_nothing(cluster):
    ended(cluster.client("deadline", 64 * MIB), "timeout", f"{64 * MIB} right")
    worker = cluster.workers[0]
    eventually(lambda: kept(worker, "scoop-cargo") < 0 and kept(worker, "scoop-result") < 0, "no file is left")


def test_an_agent_that_drains_ends_what_travels(cluster):
    worker = cluster.start_worker(grace_ms=30000)
    cluster.workers[0].stop()
    cluster.workers = [worker]
    client = cluster.client("echo", 64 * MIB, 1)
    in_the_middle(cluster, 64 * MIB)
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGCONT)
    ended(client, "1 of 1")
    assert worker.wait() == 0
