"""The stack file: what `docker stack deploy` makes of it."""

import json
import re
import shutil

import pytest

from swarm import SERVICES, eventually

CLIENTS = [path for path in ("/usr/bin/docker", "/usr/local/bin/docker") if shutil.which(path)]
WITH_PRIVATE_KEYS = {
    "broker": {"ssh_client_rsa_key", "broker_curve_key", "redis_password"},
    "root_worker": {"ssh_host_rsa_key"},
    "worker": {"ssh_host_rsa_key"},
    "webui": {"client_curve_key", "redis_password"},
    "miner": {"redis_password"},
    "redis": {"redis_password"},
    "rng": set(),
    "hasher": set(),
}
WITH_PUBLIC_KEYS = {
    "broker": {"ssh_host_rsa_key.pub", "client_curve_key.pub"},
    "root_worker": {"ssh_client_rsa_key.pub"},
    "worker": {"ssh_client_rsa_key.pub"},
    "webui": {"broker_curve_key.pub"},
}


def somewhere(stack, service):
    """A running container of a service: (node, id)."""
    node = stack.nodes_of(service)[0]
    return node, stack.containers(service, node)[0]


# The engine itself fails now and then to mount the secrets of a container, before anything of ours
# runs in it, and starts another one.
OF_THE_ENGINE = re.compile(r"starting container failed: unable to remount dir")


def test_all_services_run_and_nothing_failed(stack):
    for service in SERVICES:
        rows = stack.tasks(service, only_running=False)
        assert not [row for row in rows if re.match("Failed|Rejected", row[3])
                    and not OF_THE_ENGINE.search(row[4])], service


@pytest.mark.parametrize("client", CLIENTS)
def test_a_second_deploy_restarts_no_task(stack, client):
    before = {service: sorted(stack.tasks(service)[0][:1]) for service in SERVICES}
    stack.deploy(cli=client)
    assert before == {service: sorted(stack.tasks(service)[0][:1]) for service in SERVICES}


def test_broker_and_root_worker_run_on_the_manager_and_workers_elsewhere(stack):
    assert stack.nodes_of("broker") == ["m"]
    assert stack.nodes_of("root_worker") == ["m"]
    assert stack.nodes_of("worker") == [node for node in stack.lab.nodes() if node != "m"]


@pytest.mark.parametrize("service", SERVICES)
def test_secrets_are_mounted_where_needed_and_readable_by_one_user(stack, service):
    node, container = somewhere(stack, service)
    listing = stack.lab.docker(node, "exec", container, "ls", "-ln", "/run/secrets")
    fields = [line.split() for line in listing.splitlines()]
    rows = {row[8]: (row[0], row[2]) for row in fields if len(row) == 9}
    private = {name for name, (mode, _) in rows.items() if mode.startswith("-r--------")}
    assert private == WITH_PRIVATE_KEYS[service]
    assert set(rows) - private == WITH_PUBLIC_KEYS.get(service, set())
    assert all(owner == "10001" for _, owner in rows.values())


@pytest.mark.parametrize("service", SERVICES)
def test_containers_have_no_rights_to_lose(stack, service):
    node, container = somewhere(stack, service)
    status = stack.lab.docker(node, "exec", container, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(fields["Uid"].split()) == {"10001"}
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    options = json.loads(stack.lab.docker(node, "inspect", container))[0]["HostConfig"]
    assert options["ReadonlyRootfs"] and options["Memory"] > 0 and options["PidsLimit"] > 0
    write = stack.lab("docker", node, "exec", container, "touch", "/usr/probe", check=False)
    assert "Read-only file system" in write.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_images_hold_no_compiler_sudo_or_package_manager(stack, service):
    node, container = somewhere(stack, service)
    found = stack.lab("docker", node, "exec", container, "which", "sudo", "su", "cc", "gcc", "c99",
                      "make", "apt-get", "dpkg", "sh", check=False)
    assert found.stdout.split() == ["/usr/bin/sh"]  # which says all that it finds


@pytest.mark.fault("L07")
def test_a_broken_image_is_rolled_back(stack):
    before = stack.service("inspect", f"{stack.name}_hasher", "--format",
                           "{{.Spec.TaskTemplate.ContainerSpec.Args}}")
    stack.update("hasher", "--args", "hasher --nonsense")
    eventually("the roll-back", 90, lambda: "rollback_completed" in stack.service(
        "inspect", f"{stack.name}_hasher", "--format", "{{.UpdateStatus.State}}"))
    assert before == stack.service("inspect", f"{stack.name}_hasher", "--format",
                                   "{{.Spec.TaskTemplate.ContainerSpec.Args}}")
    eventually("hasher answers", 10, lambda: stack.curl("w1", 8002)[0] == 200)


def test_a_host_that_joins_gets_a_worker_that_is_used(stack, images):
    broker = stack.container("broker")
    node = stack.lab("add").stdout.strip()
    stack.lab("load", *images, deadline_s=300)
    try:
        # The engine looks again every few seconds for images that were not there.
        eventually("a worker on the new host", 40, lambda: node in stack.nodes_of("worker"))
        eventually("the broker uses it", 20, lambda: len(stack.workers()) == 4)
        assert stack.container("broker") == broker
    finally:
        stack.lab("remove", node)
        stack.lab.docker("m", "node", "rm", "--force", node)
    eventually("the broker dropped it", 30, lambda: len(stack.workers()) == 3)
