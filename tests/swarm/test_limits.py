"""Containers at their limits."""

import pytest

from load import Stream

pytestmark = pytest.mark.long


def limited(stack, service, *options):
    """Update a service and wait until all run, with workers."""
    stack.update(service, *options)
    stack.await_running(90)
    stack.await_workers()


@pytest.mark.fault("E10")
def test_a_worker_that_can_make_no_process_waits_and_crashes_nothing(stack):
    """A task fills the pids limit of its container for a while; others wait or run elsewhere."""
    for service in ("worker", "root_worker"):
        limited(stack, service, "--limit-pids", "80")
    containers = {node: stack.container("worker", node) for node in ("w1", "w2")}
    flow = Stream(stack)
    try:
        bomb = "i=0; while [ $i -lt 150 ]; do i=$((i + 1)); sleep 4 & done; wait; echo done"
        stack.scoop("map", "sh", "-c", bomb, ":::", "1", "2", "3", check=False, deadline_s=90)
        flow.end_with_failures()
        assert containers == {node: stack.container("worker", node) for node in ("w1", "w2")}
        done = stack.inside("webui", "sh", "-c", "seq 100 | scoop map echo {}", deadline_s=60)
        assert len(done.stdout.split()) == 100
    finally:
        flow.give_up()
        for service in ("worker", "root_worker"):
            limited(stack, service, "--limit-pids", "4096")
