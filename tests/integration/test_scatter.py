"""Values that are scattered: libscoop/include/scoop.h, "large values for many tasks"."""

import pathlib
import re
import signal

import pytest
from programs import binary, children, eventually, run

NAME = "../tests/programs/scatter"
FOLDER = pathlib.Path(binary(NAME)).parent
MIB = 1 << 20
FETCHED = "ev=item_fetched what=value"


class Cluster:
    def __init__(self, start, folder):
        folder.mkdir(mode=0o700)
        self.start = start
        self.url = f"ipc://{folder}/client"
        self.workers_url = f"ipc://{folder}/worker"
        self.start_broker()

    def start_broker(self):
        self.broker = self.start("scoop-broker", "--client-listen", self.url, "--worker-listen", self.workers_url)

    def worker(self, slots=2):
        worker = self.start("scoop-worker", "run", "--broker", self.workers_url, "--slots", slots,
                            "--programs", FOLDER, "--grace-ms", "0", ready=None)
        worker.wait_for("ev=link_open")
        return worker

    def begin(self, *arguments):
        return self.start(NAME, *arguments, env={"SCOOP_BROKER": self.url}, ready=None)

    def program(self, *arguments):
        return run(NAME, *arguments, env={"SCOOP_BROKER": self.url}, timeout=60)


@pytest.fixture
def cluster(start, tmp_path):
    return Cluster(start, tmp_path / "cluster")


def mapped(worker):
    """The inodes of the values that its executors have mapped, by executor."""
    found = {}
    for pid in children(worker.pid):
        maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
        found[pid] = re.findall(r" r--s .* (\d+) +/memfd:scoop-cargo", maps)
    return found


def test_the_example_is_the_same_serially_and_on_workers():
    serially = run("examples/scatter").stdout
    assert serially.strip().isdigit()
    assert run("scoop", "run", "-n", 2, binary("examples/scatter")).stdout == serially


def test_a_value_travels_once_to_each_host_and_is_shared_by_its_executors(cluster):
    workers = [cluster.worker(), cluster.worker()]
    program = cluster.begin("sum", 5 * MIB + 1, 8, 300)
    for worker in workers:
        eventually(lambda w=worker: sum(map(len, mapped(w).values())) == 2, "both executors have mapped it")
        assert len({inode for inodes in mapped(worker).values() for inode in inodes}) == 1
    assert program.wait() == 0, program.log
    assert program.lines == ["scattered", "8 of 8"]
    for worker in workers:
        assert worker.log.count(FETCHED) == 1
        assert f"{FETCHED} bytes={5 * MIB + 1}" in worker.log
        eventually(lambda w=worker: not any(mapped(w).values()), "idle executors have let it go")
        worker.wait_for("ev=item_freed what=value")


def test_children_on_other_hosts_read_it_through_their_parents_host(cluster):
    workers = [cluster.worker(1), cluster.worker(1)]
    done = cluster.program("children", 3 * MIB, 40)
    assert (done.stdout, done.stderr) == ("scattered\n40 of 40\n", "")
    assert all(worker.log.count(FETCHED) <= 1 for worker in workers)


@pytest.mark.tsan
def test_a_task_reads_two_values_and_each_of_them_twice(cluster):
    worker = cluster.worker()
    assert cluster.program("two", 100000).stdout == "right\n"
    assert worker.log.count(FETCHED) == 2
    assert run(NAME, "two", 100000).stdout == "right\n"


def test_a_freed_value_is_an_error_that_says_so(cluster):
    cluster.worker()
    assert "its program has freed it, or never had it" in cluster.program("freed", 1000).stdout
    assert "the session has no such value (any more)" in run(NAME, "freed", 1000).stdout


def test_a_function_cannot_write_to_a_value(cluster):
    cluster.worker()
    assert "signal 11" in cluster.program("write", 1000).stdout


@pytest.mark.parametrize("where", ["serially", "on workers"])
def test_what_is_no_value_is_refused_by_name(cluster, where):
    cluster.worker()
    done = cluster.program("errors") if where == "on workers" else run(NAME, "errors")
    lines = done.stdout.splitlines()
    assert lines[:5] == [
        "scoop_scatter: there are no bytes",
        f"scoop_scatter: {(1 << 30) + 1} bytes; the limit is {1 << 30}",
        "scoop_unscatter: the session has no such value (any more)",
        "scoop_scattered: the session has no such value (any more)",
        "scoop_scattered: 3 bytes are not a whole number of items of 4",
    ]
    assert "scoop_scatter: not inside a function" in lines[5]


def test_a_host_that_was_restarted_fetches_it_again(cluster):
    first = cluster.worker()
    program = cluster.begin("sum", MIB, 20, 100)
    first.wait_for(FETCHED)
    first.stop(signal.SIGKILL)
    second = cluster.worker()
    assert program.wait() == 0, program.log
    assert program.lines == ["scattered", "20 of 20"]
    assert second.log.count(FETCHED) == 1


def test_after_the_end_of_a_broker_it_need_not_travel_again(cluster):
    worker = cluster.worker()
    program = cluster.begin("sum", MIB, 20, 100)
    worker.wait_for(FETCHED)
    cluster.broker.kill()
    cluster.start_broker()
    assert program.wait(30) == 0, program.log
    assert program.lines == ["scattered", "20 of 20"]
    assert worker.log.count(FETCHED) == 1


def test_a_client_that_was_killed_while_it_sent_a_value_hinders_no_other(cluster):
    worker = cluster.worker(1)
    program = cluster.begin("sum", 64 * MIB, 4)
    files = pathlib.Path(f"/proc/{worker.pid}/fd")
    eventually(lambda: any("scoop-cargo" in str(file.readlink()) for file in files.iterdir()), "it comes")
    program.stop(signal.SIGKILL)
    done = cluster.program("sum", MIB, 4)
    assert done.stdout == "scattered\n4 of 4\n"
    assert f"{FETCHED} bytes={MIB}" in worker.log
