"""New keys for a stack that works: no task of a client fails, whose own keys are the old ones."""

import os
import shutil

import pytest

from load import Durables, ServiceStream
from swarm import HERE, command

pytestmark = pytest.mark.long
SECRETS = ("ssh_client_rsa_key", "ssh_host_rsa_key", "client_curve_key", "broker_curve_key")


@pytest.fixture
def docker(stack, tmp_path):
    """A folder with a docker command that asks the lab's manager. In the end the stack is deployed as the stack file says,
    with the keys that lie in its folder then."""
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\nSCOOP_LAB_DIR='{stack.lab.folder}' SCOOP_LAB_CLI='{shutil.which('docker')}' "
                       f"exec '{HERE}/lab' docker m \"$@\"\n")
    program.chmod(0o755)
    yield tmp_path
    stack.deploy()
    stack.await_workers()
    assert stack.scoop("map", "echo", "{}", ":::", "again").stdout == "again\n"


def rotate(stack, docker, *words):
    environment = dict(os.environ, PATH=f"{docker}:{os.environ['PATH']}")
    return command(stack.folder / "rotate-keys", *words, stack.name, env=environment, deadline_s=900)


def versions(stack):
    names = stack.lab.docker("m", "secret", "ls", "--format", "{{.Name}}").split()
    return {name for name in names if name.startswith(stack.name) and "redis_password" not in name}


@pytest.mark.fault("H16", weaker="not run yet")
def test_keys_are_rotated_under_load_and_no_task_fails(stack, docker):
    stream = ServiceStream(stack)
    durables = Durables(stack, 60, 0.5)
    try:
        rotate(stack, docker)
        stack.await_workers()
        assert stream.end() > 100  # with the keys of before, which are admitted until the cut
    finally:
        stream.give_up()
    rotate(stack, docker, "--cut")
    stack.await_workers()
    durables.end()
    assert versions(stack) == {f"{stack.name}_{name}{half}_v2" for name in SECRETS for half in ("", "_pub")}
    assert stack.scoop("map", "echo", "{}", ":::", "new").stdout == "new\n"
