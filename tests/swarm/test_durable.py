"""Durable tasks on the stack, while each part of it dies."""

import json
import os
import subprocess

from swarm import HERE, eventually

TASKS = 10000
TASK_S = 0.01 * len(os.sched_getaffinity(0))  # half a minute for three hosts, whatever the machine


def submit(lines):
    """The Nth task is the same, whoever submits it."""
    return f"({lines}) | scoop submit --key night -a - sh -c 'sleep {TASK_S}; echo $(({{}} * 3))'"


def start(stack, script):
    """A shell in the webui container, where the scoop command needs no flags."""
    environment = dict(os.environ, SCOOP_LAB_DIR=str(stack.lab.folder))
    return subprocess.Popen([HERE / "lab", "docker", "m", "exec", stack.container("webui"), "sh", "-c", script],
                            env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


def unfinished(stack):
    rows = json.loads(stack.scoop("tasks", "--json", "--most", "50000").stdout)
    return sum(row["state"] != "ended" for row in rows)


def kill(stack, service):
    before = stack.container(service)
    stack.lab.docker("m", "kill", "--signal", "KILL", before)
    eventually(f"another container of {service}", 60,
               lambda: stack.containers(service, "m") not in ([], [before]))


def test_durable_tasks_outlive_client_broker_redis_and_a_node(stack):
    eventually("three workers", 40, lambda: len(stack.workers()) == 3)
    client = start(stack, submit("seq 5000; sleep 15"))
    assert len(client.stdout.readline()) == 17, "the first is accepted"
    stack.inside("webui", "sh", "-c", "kill -KILL $(pidof scoop)")
    client.communicate(timeout=90)
    tasks = stack.inside("webui", "sh", "-c", submit(f"seq {TASKS}"), deadline_s=60).stdout.split()
    assert len(set(tasks)) == TASKS

    for round_number in range(5):
        before = unfinished(stack)
        eventually("tasks come to their end", 60, lambda: unfinished(stack) < before)
        if round_number == 1:
            stack.lab("cut", "w1")
        if round_number == 3:
            stack.lab("heal", "w1")
        if round_number in (2, 4):
            kill(stack, "redis")
        kill(stack, "broker")
    assert unfinished(stack) > 0, "all of that happened in the middle"

    done = stack.scoop("wait", *tasks, deadline_s=180)
    assert {line.split()[1] for line in done.stdout.splitlines()} == {"ok"}
    done = stack.scoop("result", *tasks, deadline_s=120)
    assert [int(line) for line in done.stdout.split()] == [3 * number for number in range(1, TASKS + 1)]
    assert stack.scoop("tasks", "--ids").stdout == "", "each outcome was there once"
