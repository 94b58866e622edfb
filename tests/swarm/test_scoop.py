"""Tasks on all hosts, through the stack."""

import os
import re
import time

import pytest

from swarm import SERVICES, eventually

EQUAL = "dataSerial and dataParallel are equal"
CPUS = len(os.sched_getaffinity(0))


def done_of(stack):
    return {host: row["done"] for host, row in stack.workers().items()}


def slots_of(stack):
    return sorted(row["slots"] for row in stack.workers().values())


def three_workers(stack):
    return eventually("three workers", 30, lambda: len(stack.workers()) == 3 and stack.workers())


def test_scoop_page_says_equal_and_every_worker_takes_part(stack):
    before = done_of(stack) if three_workers(stack) else {}
    for number in range(20):
        node = stack.lab.nodes()[number % 3]
        status, body = stack.curl(node, 8000, "/scoop")
        assert (status, body.strip()) == (200, EQUAL)
    after = done_of(stack)
    assert sum(after.values()) - sum(before.values()) == 20 * 1000
    assert all(after[host] > before[host] for host in after)


def test_workers_are_listed_with_their_slots(stack):
    assert sorted(three_workers(stack)) == ["m", "w1", "w2"]
    assert slots_of(stack) == [CPUS] * 3


def test_slots_follow_the_cpu_limit_of_the_container(stack):
    stack.update("root_worker", "--limit-cpu", "1")
    eventually("a worker with one slot", 30, lambda: slots_of(stack) == [1, CPUS, CPUS])
    stack.update("root_worker", "--limit-cpu", "0")
    eventually("all slots again", 30, lambda: slots_of(stack) == [CPUS] * 3)


def test_map_in_the_webui_container_needs_no_flags(stack):
    done = stack.inside("webui", "sh", "-c", "seq 10000 | scoop map echo {}", deadline_s=120)
    assert done.stdout.split() == [str(number) for number in range(1, 10001)]


def test_map_reports_a_failing_command_with_its_exit_code(stack):
    done = stack.scoop("map", "sh", "-c", "exit {}", ":::", "0", "3", check=False)
    assert done.returncode == 1
    assert "number 2 ended with exit code 3" in done.stderr


def test_executors_are_as_many_as_slots(stack):
    stack.inside("webui", "sh", "-c", "seq 60 | scoop map sh -c 'sleep 0.1; echo {}'", deadline_s=60)
    processes = stack.inside("worker", "ps", "-o", "args", node="w1").stdout
    assert len(re.findall(r"(?m)^\{exe\} scoop-worker$", processes)) == CPUS


@pytest.mark.parametrize("arguments, text", [
    (["workers", "--broker", "tcp://nosuchbroker:5555"], "nosuchbroker"),
    (["run", "--broker", "tcp://broker:5555", "/nosuch/program"], "/nosuch/program"),
])
def test_a_wrong_address_or_program_is_one_clear_line(stack, arguments, text):
    start = time.monotonic()
    done = stack.scoop(*arguments, check=False, deadline_s=60)
    assert done.returncode in (1, 2)
    assert text in done.stderr and len(done.stderr.splitlines()) <= 2
    assert time.monotonic() - start < 30


def test_every_program_says_what_it_is_and_what_it_can(stack):
    for service in SERVICES:
        if service == "redis":
            continue
        node = stack.nodes_of(service)[0]
        program = {"root_worker": "scoop-worker", "worker": "scoop-worker",
                   "broker": "scoop-broker"}.get(service, service)
        assert program in stack.inside(service, program, "--help", node=node).stdout
        version = stack.inside(service, program, "--version", node=node).stdout
        assert re.search(r"\d+\.\d+\.\d+", version)
        stack.inside(service, program, "--health", node=node)
