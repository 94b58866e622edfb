"""Functions that submit and wait themselves: docs/NESTED.md, with a real broker and real workers on this machine."""

import json
import os
import pathlib
import signal

import pytest
from programs import binary, children, eventually, is_alive, run

NESTED = binary("../tests/programs/nested")


def scoop_run(program, *arguments, slots=2, env=None, timeout=60):
    """Run a program under `scoop run` to its end."""
    return run("scoop", "run", "-n", slots, program, *arguments, env=env, timeout=timeout)


def nested(mode, number=0, slots=2, **more):
    """What the program prints in this mode."""
    done = scoop_run(NESTED, mode, number, slots=slots, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("slots", [1, 2, 6])
@pytest.mark.tsan
def test_a_tree_of_depth_12_has_4096_leaves(slots):
    assert scoop_run(binary("examples/tree"), 12, slots=slots).stdout == "4096\n"


@pytest.mark.tsan
def test_a_full_tree_of_20_is_76153():
    assert scoop_run(binary("examples/full_tree"), 20).stdout == "76153\n"


@pytest.mark.parametrize("program, argument, number", [("tree", 6, "64"), ("full_tree", 5, "182")])
def test_without_a_broker_children_are_computed_at_once(program, argument, number):
    assert run(f"examples/{program}", argument).stdout.strip() == number


@pytest.mark.fault("F25")
@pytest.mark.parametrize("slots", [1, 2])
def test_a_hundred_tasks_that_wait_for_each_other_take_no_slot(slots):
    assert nested("chain", 100, slots) == "ok 100 attempts=1"


@pytest.mark.tsan
def test_chains_beside_each_other_do_not_lock():
    assert nested("chains", 100) == "2000"


@pytest.mark.tsan
@pytest.mark.parametrize("mode", ["map", "futures"])
def test_a_function_has_more_children_than_may_be_open(mode):
    assert nested(mode, 5000) == "ok 5000 attempts=1"


@pytest.mark.parametrize("size", [0, 100, 3 << 20])
def test_arguments_and_results_of_children_have_any_size(size):
    assert nested("bytes", size) == "4 of 4"


def test_a_failure_belongs_to_the_task_that_failed():
    assert nested("fail", 5) == "10 of 10"


def test_a_child_that_crashes_is_its_parents_result(tmp_path):
    witness = tmp_path / "witness"
    assert nested("crash", env={"NESTED_WITNESS": str(witness)}) == "ok 203 attempts=1"
    words = [line.split()[0] for line in witness.read_text().splitlines()]
    assert words.count("parent") <= 2, "a crash takes it along once at most"


def test_a_wait_inside_a_function_keeps_its_deadline():
    assert nested("deadline", 300) == "ok 302 attempts=1"


def test_waits_with_deadlines_start_a_bounded_number_of_processes(cluster):
    worker = cluster.start_worker(slots=1)
    program = cluster.start_program("../tests/programs/nested", "crowd", 10)
    most = 0
    while program.process.poll() is None:
        most = max(most, len(children(worker.pid)))
    assert output_of(program) == "200 of 200"
    assert 1 < most <= 30, "without a bound it is 200"


def test_a_function_waits_for_any_of_its_children():
    assert nested("any", 100, slots=3) == "ok 11700 attempts=1"


def test_the_answer_to_a_cancel_inside_a_function_is_the_same():
    status, answers, _ = nested("cancel", 60000).split()
    stopped, never_ran = divmod(int(answers), 100)
    assert status == "ok" and stopped + never_ran == 20 and stopped >= 1 and never_ran >= 1


# ---- while something dies ----


class Cluster:
    """A broker and workers by hand, for tests that disturb them."""

    def __init__(self, start, folder):
        folder.mkdir(mode=0o700)
        self.start = start
        self.url = f"ipc://{folder}/client"
        self.workers_url = f"ipc://{folder}/worker"
        self.file = folder / "witness"
        self.start_broker()

    def start_broker(self):
        self.broker = self.start("scoop-broker", "--client-listen", self.url, "--worker-listen", self.workers_url)

    def start_worker(self, slots=2):
        folders = f"{pathlib.Path(NESTED).parent}:{binary('examples')}"
        worker = self.start("scoop-worker", "run", "--broker", self.workers_url, "--slots", slots, "--programs",
                            folders, "--grace-ms", "0", ready=None, env={"NESTED_WITNESS": str(self.file)})
        worker.wait_for("ev=link_open")
        return worker

    def start_program(self, program, *arguments):
        return self.start(program, *arguments, env={"SCOOP_BROKER": self.url}, ready=None)

    def pids(self, word):
        """The processes that ran "parent" or "child", in the order in which they began to."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [int(line.split()[1]) for line in lines if line.split()[0] == word]

    def wait_for(self, word, times=1):
        return eventually(lambda: len(pids := self.pids(word)) >= times and pids, f"{word} ran {times} times")

    def leased(self):
        return json.loads(run("scoop", "info", "--json", "--broker", self.url).stdout)["leased"]


@pytest.fixture
def cluster(start, tmp_path):
    return Cluster(start, tmp_path / "cluster")


def output_of(program, timeout=60):
    assert program.wait(timeout) == 0, program.log
    return program.lines[-1].strip()


@pytest.mark.fault("F26")
def test_when_a_parent_dies_its_children_are_revoked_and_it_runs_again(cluster):
    cluster.start_worker(slots=2)
    program = cluster.start_program("../tests/programs/nested", "pair", 1000)
    child, = cluster.wait_for("child")
    parent, = cluster.pids("parent")
    assert parent != child
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: not is_alive(child), "the first child is killed", timeout=5)
    assert output_of(program) == "ok 1000 attempts=1"


def test_what_waits_beside_a_task_that_crashes_runs_again_without_blame(cluster):
    cluster.start_worker(slots=1)
    program = cluster.start_program("../tests/programs/nested", "crash", 1)
    assert output_of(program) == "ok 203 attempts=1"
    assert len(cluster.pids("parent")) <= 2
    assert len(cluster.pids("child")) <= 4


@pytest.mark.tsan
def test_a_tree_comes_out_right_when_an_agent_is_killed_in_the_middle(cluster):
    workers = [cluster.start_worker(), cluster.start_worker()]
    program = cluster.start_program("examples/tree", 13)
    eventually(lambda: cluster.leased() > 4, "tasks wait for children")
    workers[0].kill()
    assert output_of(program) == "8192"


def test_a_tree_comes_out_right_when_the_broker_is_restarted(cluster):
    cluster.start_worker()
    program = cluster.start_program("examples/tree", 13)
    eventually(lambda: cluster.leased() > 2, "tasks wait for children")
    cluster.broker.kill()
    cluster.start_broker()
    assert output_of(program) == "8192"


def test_a_parent_that_waits_longer_than_its_limit_is_ended_with_its_children(cluster):
    cluster.start_worker()
    program = cluster.start_program("../tests/programs/nested", "limit", 60000)
    child, = cluster.wait_for("child")
    assert output_of(program).startswith("limit -1 attempts=1 it ran longer than its limit of 300 ms") or \
        "limit of 300 ms" in program.lines[-1]
    eventually(lambda: not is_alive(child), "the child is killed", timeout=5)
    eventually(lambda: cluster.leased() == 0, "nothing is held")


def test_children_that_a_function_leaves_behind_are_revoked(cluster):
    cluster.start_worker()
    assert output_of(cluster.start_program("../tests/programs/nested", "leave", 500)) == "ok 500 attempts=1"
    eventually(lambda: cluster.leased() == 0, "no child is left", timeout=5)


def test_ctrl_c_leaves_no_parent_and_no_child(cluster, start):
    program = start("scoop", "run", "-n", 2, NESTED, "pair", 60000, ready=None,
                    env={"NESTED_WITNESS": str(cluster.file)})
    child, = cluster.wait_for("child")
    os.killpg(program.pid, signal.SIGINT)
    program.wait()
    assert not is_alive(child)
    assert not is_alive(*cluster.pids("parent"))
