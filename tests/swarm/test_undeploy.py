"""The end of a stack, and others by other names. Runs last."""

import os
import shutil
import time

import pytest

from swarm import SERVICES, Stack, eventually

EQUAL = "dataSerial and dataParallel are equal"


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_stops_at_once_and_in_order(stack, service):
    node = stack.nodes_of(service)[0]
    container = stack.container(service, node)
    start = time.monotonic()
    stack.lab.docker(node, "stop", container)
    assert time.monotonic() - start < 2
    assert stack.lab.docker(node, "inspect", "--format", "{{.State.ExitCode}}", container) == "0"
    eventually("a new one", 30, lambda: stack.containers(service, node) not in ([], [container])
               or service == "miner")


@pytest.mark.xfail(reason="open: not three workers are listed from outside within 40 s; not explained", strict=False)
def test_the_broker_port_serves_clients_outside_that_have_a_key(stack, tmp_path):
    """From another host, with two key files and an address; and with a wrong key, not."""
    stack.deploy("stack.yml", "client-port.yml")
    keys = tmp_path / "keys"
    shutil.copytree(stack.folder / "secrets", keys)
    for path in [keys, *keys.iterdir()]:
        os.chown(path, 10001, 10001)
    tmp_path.chmod(0o755)

    def workers(key, *options):
        return stack.lab("docker", "w1", "run", "--rm", "--network", "host",
                         "-v", f"{keys}:/keys:ro",
                         "-e", f"SCOOP_BROKER=tcp://{stack.lab.address('m')}:5555",
                         "-e", f"SCOOP_CLIENT_KEY_FILE=/keys/{key}",
                         "-e", "SCOOP_BROKER_KEY_FILE=/keys/broker_curve_key.pub",
                         "scoop-webui:latest", "scoop", "workers", *options,
                         check=False, deadline_s=60)

    eventually("three workers seen from outside", 40,
               lambda: len(workers("client_curve_key", "--json").stdout.split('"slots"')) == 4)
    refused = workers("broker_curve_key")
    assert refused.returncode == 1
    assert stack.lab.address("m") in refused.stderr


def test_a_removed_stack_leaves_nothing(stack):
    stack.lab.docker("m", "stack", "rm", stack.name)
    eventually("nothing is left", 20, lambda: stack.leftovers() == [])


def computes(lab, folder, name, request):
    other = Stack(lab, folder, name)
    request.node.swarm_stack = other
    other.deploy()
    try:
        eventually("equal", 40, lambda: other.curl("w1", 8000, "/scoop")[1].strip() == EQUAL)
        return other.workers()
    finally:
        other.remove()


def test_another_name_does_as_well(lab, images, stack_folder, request):
    assert len(computes(lab, stack_folder, "foo", request)) >= 1


def test_one_host_alone_does_as_well(lab, images, stack_folder, request):
    for node in ("w1", "w2"):
        lab.docker("m", "node", "update", "--availability", "drain", node)
    try:
        assert list(computes(lab, stack_folder, "alone", request)) == ["m"]
    finally:
        for node in ("w1", "w2"):
            lab.docker("m", "node", "update", "--availability", "active", node)
