"""How long it takes until work goes on when a part of the stack dies, as distributions; and that nothing is lost.

The moments are those of SIGKILL, sent from outside the container. In the short form a few rounds of each.
"""

import os
import signal
import time

import pytest

from load import Stream
from swarm import CPUS, LONG, Reader, eventually, figure, processes_of

ROUNDS = 30 if LONG else 1
FEW = 5 if LONG else 1
SLOTS = 3 * CPUS


@pytest.fixture
def stream(stack):
    flow = Stream(stack)
    yield flow
    flow.give_up()


# ---- the broker ----


@pytest.mark.fault("A01")
def test_a_broker_that_is_killed_while_idle_is_back_in_two_seconds(stack):
    stack.await_workers()
    before = time.monotonic()
    os.kill(stack.broker_process(), signal.SIGKILL)
    eventually("the broker answers", 15, lambda: len(stack.workers()) == 3, pause_s=0.02)
    figure("broker killed while idle, all workers are there again", [time.monotonic() - before])
    done = stack.inside("webui", "sh", "-c", "seq 50 | scoop map echo {}", deadline_s=60)
    assert done.stdout.split() == [str(number) for number in range(1, 51)]


@pytest.mark.fault("A01")
def test_first_result_after_the_end_of_the_broker(stack, stream):
    took = []
    for _ in range(ROUNDS):
        victim = stack.broker_process()
        moment = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        took.append(stream.resumed_after(moment))
    stream.end()
    assert figure("broker killed, first new result", took) <= 2


@pytest.mark.long
@pytest.mark.fault("C15")
def test_first_result_after_the_end_of_the_brokers_container(stack, stream):
    """Swarm starts another one, with another address."""
    took = []
    for _ in range(FEW):
        moment, before = stack.kill_container("broker")
        took.append(stream.resumed_after(moment, settled_s=12))
        stack.another("broker", before)
        stack.await_workers()
    stream.end()
    figure("container of the broker killed, first new result", took)


@pytest.mark.long
@pytest.mark.fault("L14")
def test_a_hung_broker_is_replaced_in_eight_seconds(stack, stream):
    victim = stack.broker_process()
    moment = time.monotonic()
    os.kill(victim, signal.SIGSTOP)
    took = stream.resumed_after(moment, settled_s=12)
    stream.end()
    assert figure("broker stopped, first new result", [took]) <= 8


# ---- workers ----


class Sleepers:
    """As many tasks as two hosts have slots, each with its host's name as the result: when a host dies
    there is room for its tasks elsewhere."""

    SLEEP_S = 5

    def __init__(self, stack, count, sleep_s=SLEEP_S):
        self.sleep_s = sleep_s
        self.stack = stack
        script = f"seq {count} | scoop map --as-completed sh -c 'sleep {sleep_s}; echo {{}} $(cat /proc/sys/kernel/hostname)'"
        self.reader = Reader(stack.lab, "docker", "m", "exec", stack.container("webui"), "sh", "-c", script)
        self.count = count

    def await_running(self):
        """All of them run; those of each host."""
        def running():
            rows = self.stack.workers()
            return sum(row["leased"] for row in rows.values()) == self.count and rows
        rows = eventually("all tasks run", 10, running, pause_s=0.02)
        return {host: row["leased"] for host, row in rows.items()}

    def moved_after(self, moment, victim):
        """How long it took until the tasks of a lost host began elsewhere: their results' moments, less what they sleep.
        The start of a process counts as well."""
        code, errors = self.reader.end(60)
        assert code == 0, errors
        rows = [(at, text.split()) for at, text in self.reader.lines]
        assert sorted(int(number) for _, (number, _) in rows) == list(range(1, self.count + 1))
        assert victim not in {host for at, (_, host) in rows if at > moment}
        return max(at for at, _ in rows) - moment - self.sleep_s


def moved(stack, harm, mend, rounds, node="w1", sleep_s=Sleepers.SLEEP_S):
    """The figures of so many rounds: harm() does it and gives back the moment, mend() waits for the way back."""
    took = []
    for _ in range(rounds):
        stack.await_workers()
        sleepers = Sleepers(stack, SLOTS - CPUS, sleep_s)
        assert sleepers.await_running()[node] > 0
        moment = harm()
        took.append(sleepers.moved_after(moment, node))
        assert took[-1] > 0, "the tasks had ended before"
        mend()
    stack.await_workers()
    return took


@pytest.mark.fault("A06")
def test_tasks_of_a_killed_worker_run_elsewhere(stack):
    state = {}

    def harm():
        moment, state["before"] = stack.kill_container("worker", "w1")
        return moment

    took = moved(stack, harm, lambda: stack.another("worker", state["before"], "w1"), ROUNDS)
    assert figure("worker killed, its tasks run elsewhere", took) <= 0.6


@pytest.mark.long
@pytest.mark.fault("A06")
def test_tasks_of_a_killed_agent_run_elsewhere(stack):
    """The agent alone: its container stays, and its executors die with it."""
    def harm():
        inside = processes_of(stack.container("worker", "w1"))
        agents = [pid for pid in inside.values() if b"serve" in open(f"/proc/{pid}/cmdline", "rb").read()
                  and open(f"/proc/{pid}/comm").read().strip() == "scoop-worker"]
        assert agents
        moment = time.monotonic()
        for pid in agents:
            os.kill(pid, signal.SIGKILL)
        return moment

    assert figure("agent killed, its tasks run elsewhere", moved(stack, harm, lambda: None, ROUNDS)) <= 0.6


@pytest.mark.long
@pytest.mark.fault("B03")
def test_tasks_of_a_paused_container_run_elsewhere(stack):
    def harm():
        container = stack.container("worker", "w1")
        moment = time.monotonic()
        stack.lab.docker("w1", "pause", container)
        return moment

    def mend():
        for container in stack.containers("worker", "w1"):
            stack.lab("docker", "w1", "unpause", container, check=False)

    try:
        took = moved(stack, harm, mend, FEW)
    finally:
        mend()
    assert figure("worker's container paused, its tasks run elsewhere", took) <= 4


@pytest.mark.long
@pytest.mark.fault("C18")
def test_tasks_behind_a_cut_cable_run_elsewhere(stack):
    def harm():
        moment = time.monotonic()
        stack.lab("cut", "w1")
        return moment

    def mend():
        stack.lab("heal", "w1")
        eventually("w1 is ready", 60, lambda: "w1=Ready" in stack.lab.docker(
            "m", "node", "ls", "--format", "{{.Hostname}}={{.Status}}").split())

    try:
        took = moved(stack, harm, mend, FEW)
    finally:
        mend()
    assert figure("cable cut, the tasks behind it run elsewhere", took) <= 4
