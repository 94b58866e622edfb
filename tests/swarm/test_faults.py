"""Hosts, cables and processes fail; no task is lost, and none comes back twice."""

import os
import subprocess
import time

import pytest

from swarm import HERE, eventually

TASKS = 200
TASK_S = 0.5
CPUS = len(os.sched_getaffinity(0))
MAP = f"seq {TASKS} | scoop map sh -c 'sleep {TASK_S}; echo {{}}'"


class RunningMap:
    """A map of 200 tasks of half a second each, under way in the webui container."""

    def __init__(self, stack):
        eventually("three workers", 40, lambda: len(stack.workers()) == 3)
        self.start = time.monotonic()
        environment = dict(os.environ, SCOOP_LAB_DIR=str(stack.lab.folder))
        self.process = subprocess.Popen(
            [HERE / "lab", "docker", "m", "exec", stack.container("webui"), "sh", "-c", MAP],
            env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def result(self, hosts, extra_s):
        """All 200 in order, each once, not later than `hosts` hosts would take and extra_s more."""
        deadline_s = TASKS * TASK_S / (hosts * CPUS) + extra_s
        try:
            out, err = self.process.communicate(timeout=deadline_s + 60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
        took_s = time.monotonic() - self.start
        assert out.split() == [str(number) for number in range(1, TASKS + 1)], err
        assert self.process.returncode == 0, err
        assert took_s <= deadline_s


@pytest.mark.fault("A16")
def test_a_killed_node_costs_no_task(stack):
    running = RunningMap(stack)
    time.sleep(6)
    stack.lab("kill", "w2")
    try:
        running.result(hosts=2, extra_s=15)
    finally:
        stack.lab("start", "w2")
    eventually("three workers again", 60, lambda: len(stack.workers()) == 3)


def test_a_cut_cable_costs_no_task(stack):
    running = RunningMap(stack)
    time.sleep(6)
    stack.lab("cut", "w1")
    try:
        running.result(hosts=2, extra_s=15)
    finally:
        stack.lab("heal", "w1")
    eventually("three workers again", 60, lambda: len(stack.workers()) == 3)


@pytest.mark.parametrize("service", ["broker", "worker"])
def test_a_killed_container_costs_no_task(stack, service):
    node = stack.nodes_of(service)[0]
    running = RunningMap(stack)
    time.sleep(4)
    stack.lab.docker(node, "kill", "--signal", "KILL", stack.container(service, node))
    running.result(hosts=2, extra_s=20)
    eventually("three workers again", 40, lambda: len(stack.workers()) == 3)


def test_a_worker_whose_sshd_dies_is_replaced(stack):
    before = stack.container("worker", "w1")
    stack.inside("worker", "sh", "-c", "kill -KILL $(pidof sshd)", node="w1", check=False)
    eventually("a new container", 30,
               lambda: stack.containers("worker", "w1") not in ([], [before]))


@pytest.mark.fault("K01", "K02", weaker="by its counter alone")
def test_coins_survive_the_end_of_redis(stack):
    before = stack.coins()
    stack.lab.docker("m", "kill", "--signal", "KILL", stack.container("redis"))
    stack.await_running()
    eventually("the miner goes on", 30,
               lambda: int(stack.coins()["hashes"]) > int(before["hashes"]))
    assert stack.coins()["coins"] >= before["coins"]
