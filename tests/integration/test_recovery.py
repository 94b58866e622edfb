"""The promises of docs/PROTOCOL.md section 6: a real broker, two workers and real clients on this machine, while
something dies. A test's name is the sentence that it checks; "witness" leaves a line for each execution of a task."""

import collections
import json
import os
import pathlib
import random
import re
import shutil
import signal
import time

import pytest
from programs import binary, children, eventually, is_alive, run

HOST = os.uname().nodename
PROGRAM = "../tests/programs/witness"
FOLDER = pathlib.Path(binary(PROGRAM)).parent

End = collections.namedtuple("End", "number status value attempts code host text")


class Cluster:
    def __init__(self, start, folder):
        folder.mkdir(mode=0o700)
        self.start = start
        self.url = f"ipc://{folder}/client"
        self.workers_url = f"ipc://{folder}/worker"
        self.witness = folder / "witness"
        self.workers = []

    def start_broker(self):
        self.broker = self.start("scoop-broker", "--client-listen", self.url,
                                 "--worker-listen", self.workers_url)

    def start_worker(self, slots=2, programs=FOLDER):
        worker = self.start("scoop-worker", "run", "--broker", self.workers_url, "--slots", slots,
                            "--programs", programs, "--grace-ms", "0", ready=None,
                            env={"WITNESS": str(self.witness)})
        worker.wait_for("ev=link_open")
        self.workers.append(worker)
        return worker

    def start_client(self, *arguments):
        return self.start(PROGRAM, *arguments, env={"SCOOP_BROKER": self.url}, ready=None)

    def info(self):
        return json.loads(run("scoop", "info", "--json", "--broker", self.url).stdout)

    def executions(self):
        """[(number, pid)] in the order of their beginning."""
        if not self.witness.exists():
            return []
        return [tuple(map(int, line.split())) for line in self.witness.read_text().splitlines()]

    def times_run(self):
        return collections.Counter(number for number, _ in self.executions())

    def wait_for_executions(self, count):
        eventually(lambda: len(self.executions()) >= count, f"{count} executions")


@pytest.fixture
def cluster(start, tmp_path):
    cluster = Cluster(start, tmp_path / "cluster")
    cluster.start_broker()
    cluster.start_worker()
    cluster.start_worker()
    return cluster


def ends(client, timeout=60):
    """How the client's futures ended."""
    assert client.wait(timeout) == 0, client.log
    assert client.lines[0] == "submitted"
    parsed = []
    for line in client.lines[1:]:
        number, status, value, attempts, code, host, text = (line + " ").split(" ", 6)
        parsed.append(End(int(number), status, int(value), int(attempts), int(code), host, text.strip()))
    assert [end.number for end in parsed] == list(range(len(parsed)))
    return parsed


def assert_all_right(results, count):
    assert len(results) == count
    for end in results:
        assert (end.status, end.value) == ("ok", end.number ** 2), end


# ---- 1. An accepted task is not lost. ----


@pytest.mark.fault("A07")
@pytest.mark.tsan
def test_an_accepted_task_is_not_lost_when_executors_are_killed(cluster):
    client = cluster.start_client(200, 20)
    dice = random.Random(1)
    for count in (20, 60, 100, 140):
        cluster.wait_for_executions(count)
        victims = [pid for worker in cluster.workers for pid in children(worker.pid)]
        os.kill(dice.choice(victims), signal.SIGKILL)
    assert_all_right(ends(client), 200)


def test_an_accepted_task_is_not_lost_when_an_agent_is_killed(cluster):
    client = cluster.start_client(200, 20)
    cluster.wait_for_executions(50)
    cluster.workers[0].kill()
    assert_all_right(ends(client), 200)
    assert sum(cluster.times_run().values()) <= 200 + 2


@pytest.mark.fault("A08", weaker="on one machine, not on a swarm")
def test_an_accepted_task_is_not_lost_when_all_agents_are_killed(cluster):
    client = cluster.start_client(100, 20)
    cluster.wait_for_executions(30)
    for worker in list(cluster.workers):
        worker.kill()
    cluster.start_worker()
    assert_all_right(ends(client), 100)


def test_an_accepted_task_is_not_lost_when_an_agent_is_stopped(cluster):
    client = cluster.start_client(200, 20)
    cluster.wait_for_executions(50)
    cluster.workers[0].send_signal(signal.SIGSTOP)
    assert_all_right(ends(client), 200)


def test_an_accepted_task_is_not_lost_when_an_agent_leaves(cluster):
    client = cluster.start_client(200, 20)
    cluster.wait_for_executions(50)
    assert cluster.workers[0].stop() == 0
    assert_all_right(ends(client), 200)


@pytest.mark.parametrize("moment", [0, 1, 50, 150])
def test_an_accepted_task_is_not_lost_when_the_broker_is_killed(cluster, moment):
    client = cluster.start_client(200, 20)
    cluster.wait_for_executions(moment)
    cluster.broker.kill()
    cluster.start_broker()
    assert_all_right(ends(client), 200)


@pytest.mark.fault("A12", weaker="on one machine, not on a swarm")
def test_an_accepted_task_is_not_lost_when_broker_and_agents_are_killed(cluster):
    client = cluster.start_client(100, 20)
    cluster.wait_for_executions(30)
    for victim in [cluster.broker, *cluster.workers]:
        victim.kill()
    cluster.start_broker()
    cluster.start_worker()
    assert_all_right(ends(client), 100)


# ---- 2. A task runs at least once, normally once. ----


def test_a_task_runs_at_least_once_normally_once(cluster):
    assert_all_right(ends(cluster.start_client(2000, 0)), 2000)
    assert cluster.times_run() == {number: 1 for number in range(2000)}


def test_a_task_runs_again_only_after_a_crash_or_the_loss_of_its_agent(cluster):
    client = cluster.start_client(100, 50)
    cluster.wait_for_executions(20)
    victim = cluster.workers[0]
    executors = set(children(victim.pid))
    victim.kill()
    assert_all_right(ends(client), 100)
    again = {number for number, times in cluster.times_run().items() if times > 1}
    first = {}
    for number, pid in cluster.executions():
        first.setdefault(number, pid)
    assert all(first[number] in executors for number in again)
    assert len(again) <= 2


# ---- 3. and 4. Results. ----


@pytest.mark.fault("B01")
def test_a_result_reaches_the_submitting_session_exactly_once(cluster):
    """A stopped agent comes back when others have run its tasks, and still has outcomes to tell."""
    clients = [cluster.start_client(60, 30), cluster.start_client(60, 30)]
    cluster.wait_for_executions(30)
    cluster.workers[0].send_signal(signal.SIGSTOP)
    cluster.broker.wait_for("ev=agent_lost")
    cluster.workers[0].send_signal(signal.SIGCONT)
    for client in clients:
        assert_all_right(ends(client), 60)


@pytest.mark.tsan
def test_the_value_belongs_to_that_task(cluster):
    clients = [cluster.start_client(5000, 0) for _ in range(3)]
    dice = random.Random(2)
    for count in (500, 2000, 5000, 8000):
        cluster.wait_for_executions(count)
        victims = [pid for worker in cluster.workers for pid in children(worker.pid)]
        os.kill(dice.choice(victims), signal.SIGKILL)
    for client in clients:
        assert_all_right(ends(client), 5000)


# ---- 5. Crashes. ----


@pytest.mark.fault("F01")
@pytest.mark.tsan
def test_a_crashing_task_is_stopped_after_three_tries(cluster):
    results = ends(cluster.start_client(100, 5, 13, "crash"))
    bad = results.pop(13)
    assert (bad.status, bad.attempts, bad.code, bad.host) == ("crashed", 3, 139, HOST)
    assert re.fullmatch(r"signal 11 \(Segmentation fault\); used \d\.\d\d s user, \d\.\d\d s system, \d+ MiB; "
                        "stderr: number 13 is about to crash", bad.text)
    assert_all_right(results, 99)
    assert cluster.times_run()[13] == 3


def test_a_crashing_task_is_stopped_and_its_neighbours_do_not_run_again(cluster):
    """Short tasks: its neighbours stand in the same executor's queue."""
    results = ends(cluster.start_client(3000, 0, 1500, "crash"))
    assert results.pop(1500).status == "crashed"
    assert_all_right(results, 2999)
    assert {number: times for number, times in cluster.times_run().items() if times != 1} == {1500: 3}


@pytest.mark.fault("F04", "F05")
def test_a_task_that_ends_its_executor_is_stopped_like_a_crashing_one(cluster):
    results = ends(cluster.start_client(1000, 0, 500, "exit"))
    bad = results.pop(500)
    assert (bad.status, bad.attempts, bad.code) == ("crashed", 3, 0)
    assert bad.text.startswith("exit status 0; used ")
    assert_all_right(results, 999)
    assert {number: times for number, times in cluster.times_run().items() if times != 1} == {500: 3}


def test_a_task_that_ruins_the_shared_memory_harms_no_result(cluster):
    """Answers of its neighbours that stood in that memory are lost with it: those run again."""
    results = ends(cluster.start_client(1000, 0, 500, "scribble"))
    bad = results.pop(500)
    assert (bad.status, bad.attempts) == ("crashed", 3)
    assert bad.text.startswith("it overwrote the memory that it shares with the agent")
    assert_all_right(results, 999)


def test_a_task_that_closes_all_descriptors_harms_nobody(cluster):
    assert_all_right(ends(cluster.start_client(1000, 0, 500, "close")), 1000)


def test_a_task_whose_host_was_lost_ten_times_is_given_up_as_lost(start, tmp_path):
    cluster = Cluster(start, tmp_path / "cluster")
    cluster.start_broker()
    client = cluster.start_client(1, 60000)
    for loss in range(10):
        worker = cluster.start_worker(1)
        cluster.wait_for_executions(loss + 1)
        worker.kill()
    (end,) = ends(client)
    assert end.status == "lost"
    assert "lost 10 times" in end.text


# ---- 6. and 7. Errors. ----


def test_an_error_that_a_function_returns_is_its_result(cluster):
    results = ends(cluster.start_client(100, 1, 13, "fail"))
    bad = results.pop(13)
    assert (bad.status, bad.attempts, bad.code, bad.host) == ("failed", 1, 7, HOST)
    assert bad.text == "number 13 is no good"
    assert_all_right(results, 99)
    assert cluster.times_run()[13] == 1


def test_a_missing_function_is_an_error_at_once(start, tmp_path):
    cluster = Cluster(start, tmp_path / "cluster")
    cluster.start_broker()
    cluster.start_worker(programs=tmp_path)
    before_s = time.monotonic()
    results = ends(cluster.start_client(3, 0))
    assert time.monotonic() - before_s < 3
    for end in results:
        assert (end.status, end.attempts, end.host) == ("refused", 1, HOST)
        assert end.text == (f"program witness: not on {HOST} (looked in {tmp_path})"
                            "; a broker with --allow-upload sends it")


def test_a_different_function_is_an_error_at_once(start, tmp_path):
    shutil.copy(binary(PROGRAM), tmp_path / "witness")
    with open(tmp_path / "witness", "ab") as program:
        program.write(b"other")
    cluster = Cluster(start, tmp_path / "cluster")
    cluster.start_broker()
    cluster.start_worker(programs=tmp_path)
    (end,) = ends(cluster.start_client(1, 0))
    assert end.status == "refused"
    assert end.text.startswith("program witness: the client's (sha256 ")
    assert f") is not {tmp_path}/witness on {HOST} (sha256 " in end.text


# ---- 8. Silent agents. ----


@pytest.mark.fault("B01")
def test_a_silent_agent_is_given_up_after_its_lease(cluster):
    client = cluster.start_client(4, 400)
    cluster.wait_for_executions(4)
    silent = cluster.workers[0]
    silent.send_signal(signal.SIGSTOP)
    before_s = time.monotonic()
    results = ends(client)
    assert 2.5 < time.monotonic() - before_s < 6
    assert_all_right(results, 4)
    # Nothing it says later is obeyed: it comes back as a new incarnation.
    silent.send_signal(signal.SIGCONT)
    eventually(lambda: "ev=lease_expired" in silent.log or "ev=link_gone" in silent.log,
               "the agent knows that it was given up")
    eventually(lambda: silent.log.count("ev=link_open") == 2, "the agent is back")
    assert_all_right(ends(cluster.start_client(20, 10)), 20)


def test_an_agent_that_is_silent_for_less_than_its_lease_keeps_its_tasks(cluster):
    client = cluster.start_client(8, 500)
    cluster.wait_for_executions(4)
    cluster.workers[0].send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    cluster.workers[0].send_signal(signal.SIGCONT)
    assert_all_right(ends(client), 8)
    assert sum(cluster.times_run().values()) == 8


# ---- 9. Fairness. ----


@pytest.mark.fault("E15", weaker="beside a thousand tasks, not a million")
def test_no_session_starves_another(cluster):
    greedy = cluster.start_client(1000, 20)
    cluster.wait_for_executions(20)
    before_s = time.monotonic()
    assert_all_right(ends(cluster.start_client(8, 20)), 8)
    assert time.monotonic() - before_s < 2
    assert greedy.process.poll() is None
    greedy.kill()


def test_a_long_task_does_not_hold_up_the_short_ones_behind_it(start, tmp_path):
    """They are expected to be short, so many are fed to one executor; then they are recalled."""
    cluster = Cluster(start, tmp_path / "cluster")
    cluster.start_broker()
    cluster.start_worker(2)
    client = cluster.start_client(2000, 0, 1000, "stay")
    eventually(lambda: len(cluster.executions()) == 2000, "all have begun, and one still runs", 4.5)
    assert client.process.poll() is None
    assert_all_right(ends(client), 2000)
    assert cluster.times_run() == {number: 1 for number in range(2000)}


# ---- 10. Ends of sessions. ----


def test_a_session_that_ends_leaves_nothing(cluster):
    """Its queued tasks are forgotten, its running ones are killed."""
    assert cluster.start_client("leave", 1000, 60000).wait() == 0
    eventually(lambda: cluster.info()["ready"] == 0 and cluster.info()["leased"] == 0, "nothing is left", 5)
    executions = cluster.executions()
    assert 4 <= len(executions) <= 5
    running = {pid for number, pid in executions if number != 0}
    eventually(lambda: not any(map(is_alive, running)), "the running tasks are killed", 5)
    assert_all_right(ends(cluster.start_client(20, 10)), 20)


@pytest.mark.fault("A10")
def test_a_session_whose_client_was_killed_ends_after_half_a_minute(cluster):
    client = cluster.start_client(1000, 300)
    cluster.wait_for_executions(4)
    client.kill()
    eventually(lambda: cluster.info()["leased"] == 0 and cluster.info()["ready"] == 0,
               "the session is forgotten", 40)
    assert len(cluster.executions()) < 1000
