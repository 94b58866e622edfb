"""Programs that are sent to workers which do not have them: scoop-broker --allow-upload."""

import hashlib
import pathlib
import shutil
import signal
import socket

import pytest
from fake_broker import OK, PROGRAM, REFUSED_TASK, FakeBroker, failure
from programs import binary, children, eventually, run
from test_worker import int32

HOST = socket.gethostname()
ABS = pathlib.Path(binary("examples/abs"))


class Cluster:
    def __init__(self, start, folder, *options):
        folder.mkdir(mode=0o700)
        self.start = start
        self.url = f"ipc://{folder}/client"
        self.workers_url = f"ipc://{folder}/worker"
        start("scoop-broker", "--client-listen", self.url, "--worker-listen", self.workers_url, *options)

    def worker(self, programs="/nonexistent", slots=2):
        worker = self.start("scoop-worker", "run", "--broker", self.workers_url, "--slots", slots,
                            "--programs", programs, "--grace-ms", "0", ready=None)
        worker.wait_for("ev=link_open")
        return worker

    def program(self, name, *arguments):
        return run(name, *arguments, env={"SCOOP_BROKER": self.url}, timeout=60)


@pytest.fixture
def cluster(start, tmp_path):
    return Cluster(start, tmp_path / "cluster", "--allow-upload")


@pytest.fixture
def strict(start, tmp_path):
    return Cluster(start, tmp_path / "strict")


def test_a_program_that_is_on_no_worker_runs_and_is_sent_once_to_each(cluster):
    workers = [cluster.worker(), cluster.worker()]
    for _ in range(2):
        done = cluster.program("examples/abs")
        assert (done.returncode, done.stdout) == (0, "dataSerial and dataParallel are equal\n"), done.stderr
    for worker in workers:
        assert worker.log.count("ev=item_fetched what=program") == 1
        assert f"bytes={ABS.stat().st_size}" in worker.log


def test_children_of_a_sent_program_run_on_workers_that_got_it_from_their_parents(cluster):
    workers = [cluster.worker(slots=1), cluster.worker(slots=1)]
    done = cluster.program("examples/tree", 8)
    assert (done.returncode, done.stdout) == (0, "256\n"), done.stderr
    for worker in workers:
        assert worker.log.count("ev=item_fetched what=program") == 1


def test_another_program_of_the_same_name_does_not_hinder_it(cluster, tmp_path):
    shutil.copy(binary("examples/pi"), tmp_path / "abs")
    cluster.worker(tmp_path)
    assert cluster.program("examples/abs").returncode == 0


def test_without_allow_upload_it_is_refused_with_both_hashes_and_a_hint(strict, tmp_path):
    shutil.copy(binary("examples/pi"), tmp_path / "abs")
    strict.worker(tmp_path)
    done = strict.program("examples/abs")
    here, there = (hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in (tmp_path / "abs", ABS))
    assert done.returncode != 0
    assert f"the client's (sha256 {there}) is not {tmp_path}/abs on {HOST} (sha256 {here}); " \
        "a broker with --allow-upload sends it" in done.stderr


def test_a_program_of_another_client_takes_over_when_the_first_is_killed(cluster, start):
    worker = cluster.worker(slots=1)
    worker.send_signal(signal.SIGSTOP)
    first = start("examples/abs", env={"SCOOP_BROKER": cluster.url}, ready=None)
    second = start("examples/abs", env={"SCOOP_BROKER": cluster.url}, ready=None)
    first.stop(signal.SIGKILL)
    worker.send_signal(signal.SIGCONT)
    assert second.wait() == 0, second.log


# ---- an agent and what it is sent ----


@pytest.fixture
def broker(tmp_path):
    broker = FakeBroker(f"ipc://{tmp_path}/workers", uploads=True)
    yield broker
    broker.close()


def given_task(broker, agent, content):
    """A task of a program that the agent lacks and has asked for."""
    process = agent(2, "--programs", "/nonexistent")
    f = broker.function("absolute", 4, 4, "abs", hashlib.sha256(content).digest())
    broker.tasks([(1, f, int32(-1)), (2, f, int32(-2))])
    broker.pump_until(lambda: broker.wants)
    assert broker.wants[0].what == PROGRAM
    assert broker.wants[0].key == hashlib.sha256(content).digest()
    return process


def give_all(broker, content, ids):
    broker.pump_until(lambda: broker.give(content) and False or all(i in broker.outcomes for i in ids))
    return [broker.outcomes[i] for i in ids]


def test_an_agent_runs_what_it_was_sent_from_memory(broker, agent):
    content = ABS.read_bytes()
    process = given_task(broker, agent, content)
    assert [(o.kind, o.bytes) for o in give_all(broker, content, [1, 2])] == [(OK, int32(1)), (OK, int32(2))]
    for executor in children(process.pid):
        assert "memfd:scoop-program" in str(pathlib.Path(f"/proc/{executor}/exe").readlink())
        assert pathlib.Path(f"/proc/{executor}/comm").read_text()
    # Nobody, not even its own process, can write to it.
    executor = children(process.pid)[0]
    with pytest.raises(OSError):
        with open(f"/proc/{executor}/exe", "r+b") as file:
            file.write(b"x")


def test_a_program_that_was_changed_on_its_way_is_refused(broker, agent):
    content = ABS.read_bytes()
    process = given_task(broker, agent, content)
    changed = content[:-1] + bytes([content[-1] ^ 1])
    ours, theirs = (hashlib.sha256(c).hexdigest()[:12] for c in (changed, content))
    for outcome in give_all(broker, changed, [1, 2]):
        assert outcome.kind == REFUSED_TASK
        assert failure(outcome).text == f"program abs: it was not sent to {HOST}: " \
            f"what the client sent has sha256 {ours}, and not {theirs}"
    assert not children(process.pid)


def test_a_program_that_its_client_has_not_is_refused_and_says_why(broker, agent):
    given_task(broker, agent, b"whatever")
    want = broker.wants.pop()
    broker.piece(want, b"it was deleted", 0, gone=True)
    for outcome in broker.wait_for([1, 2]):
        assert outcome.kind == REFUSED_TASK
        assert "it was deleted" in failure(outcome).text


def test_tasks_that_wait_for_their_program_can_be_revoked(broker, agent):
    content = ABS.read_bytes()
    given_task(broker, agent, content)
    broker.wants.clear()
    broker.revoke([1])
    broker.wait_for([1])
    broker.pump_until(lambda: broker.wants)
    assert broker.wants[0].task == 2
    assert give_all(broker, content, [2])[0].bytes == int32(2)


def test_a_program_that_lacks_a_library_names_it(broker, agent):
    content = ABS.read_bytes().replace(b"libzmq.so.5", b"libzmq.so.0")
    process = given_task(broker, agent, content)
    for outcome in give_all(broker, content, [1, 2]):
        assert outcome.kind == REFUSED_TASK
        assert "libzmq.so.0: cannot open shared object file" in failure(outcome).text
    eventually(lambda: not children(process.pid), "no process is left")
