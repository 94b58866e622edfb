"""What operators do to a stack under load. No task fails by it."""

import os
import subprocess
import time

import pytest

from load import Durables, ServiceStream, Stream
from swarm import LONG, ROOT, Reader, command, eventually, figure, processes_of

ROUNDS = 10 if LONG else 1
UPDATED = ["worker", "broker", "root_worker", "rng", "hasher", "miner", "webui", "redis"] if LONG else ["worker", "broker"]
PREVIOUS = os.environ.get("SCOOP_PREVIOUS", "67771f2")  # the commit whose version runs beside this one
IMAGE = {"root_worker": "worker"}
BUILD_DEADLINE_S = 1200


@pytest.fixture
def stream(stack):
    flow = Stream(stack)
    yield flow
    flow.give_up()


@pytest.fixture
def service_stream(stack):
    flow = ServiceStream(stack)
    yield flow
    flow.give_up()


@pytest.fixture(scope="session")
def previous(lab, images, tmp_path_factory):
    """The tag of the images of an earlier version, on all nodes; in the short form, of this one."""
    if not LONG:
        return "latest"
    tree = tmp_path_factory.mktemp("previous")
    archive = subprocess.run(["git", "-C", ROOT, "archive", PREVIOUS], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             timeout=60, check=False)
    if archive.returncode != 0:
        pytest.skip(f"no earlier version: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, timeout=60, check=True)
    command(tree / "docker/build", "--engine", lab("socket", "builder").stdout.strip(), deadline_s=BUILD_DEADLINE_S,
            env=dict(os.environ, TAG="previous"))
    lab("load", *[image.replace(":latest", ":previous") for image in images], deadline_s=300)
    return "previous"


def update(stack, service, *options):
    """Update a service and wait for the end of that: the state of the update."""
    stack.update(service, "--force", "--update-monitor", "1s", *options)

    def ended():
        state = stack.service("inspect", f"{stack.name}_{service}", "--format", "{{.UpdateStatus.State}}")
        return state if state not in ("updating", "rollback_started") else None
    return eventually(f"the update of {service}", 90, ended)


@pytest.mark.fault("L01", weaker="10 times, not 20")
@pytest.mark.fault("L02", weaker="away for longer than 2 s: one container is stopped before the next is started")
@pytest.mark.fault("L03", short="worker and broker, not each service")
@pytest.mark.fault("L10", short="the same version again, not an earlier one")
def test_no_task_fails_while_services_are_updated_to_another_version_and_back(stack, previous, service_stream):
    durables = Durables(stack, 60 * ROUNDS, 0.5)
    silences = []
    for number in range(ROUNDS):
        tag = (previous, "latest")[number % 2]
        for service in UPDATED:
            begin = time.monotonic()
            image = f"scoop-{IMAGE.get(service, service)}:{tag}"
            assert update(stack, service, "--no-resolve-image", "--image", image) == "completed", service
            stack.await_workers()
            if service == "broker":
                silences.append(service_stream.resumed_after(begin, settled_s=time.monotonic() - begin))
    durables.end()
    assert service_stream.end() > 100
    figure("broker updated, the longest time from the begin until results come again", silences)


@pytest.mark.long
@pytest.mark.fault("L05")
def test_sigterm_ends_the_broker_within_a_second_and_no_task_fails(stack, stream):
    container = stack.container("broker")
    pid = processes_of(container)[1]
    begin = time.monotonic()
    os.kill(pid, 15)
    eventually("its end", 5, lambda: not os.path.exists(f"/proc/{pid}"), pause_s=0.01)
    took = time.monotonic() - begin
    assert stack.lab.docker("m", "inspect", "--format", "{{.State.ExitCode}}", container) == "0"
    stack.another("broker", container)
    stack.await_workers()
    stream.end()
    assert figure("SIGTERM to the broker, its end", [took]) <= 1.5


@pytest.mark.long
@pytest.mark.fault("L04", "L06", weaker="SIGTERM and SIGINT, no SIGHUP; a task of 20 s")
def test_a_worker_that_drains_hands_its_task_back_before_its_grace_ends(stack):
    stack.await_workers()
    script = "seq 5 | scoop map --as-completed sh -c 'sleep 20; echo {}'"
    reader = Reader(stack.lab, "docker", "m", "exec", stack.container("webui"), "sh", "-c", script)
    eventually("its tasks run", 20, lambda: stack.workers()["w1"]["leased"] > 0)
    container = stack.container("worker", "w1")
    begin = time.monotonic()
    stack.lab.docker("w1", "stop", "--time", "12", container)
    assert time.monotonic() - begin < 12
    assert stack.lab.docker("w1", "inspect", "--format", "{{.State.ExitCode}}", container) == "0"
    code, errors = reader.end(90)
    assert code == 0, errors
    assert sorted(map(int, reader.texts())) == [1, 2, 3, 4, 5]
    stack.await_workers()


@pytest.mark.long
@pytest.mark.fault("L08", weaker="miners, which count what they did, and no workers")
def test_miners_that_are_scaled_lose_no_count(stack):
    before = int(stack.coins()["hashes"])
    for count in (2, 20, 1):
        stack.scale("miner", count)
    eventually("the counter moves", 20, lambda: int(stack.coins()["hashes"]) > before)


def nodes(stack):
    return stack.lab.docker("m", "node", "ls", "--format", "{{.Hostname}}={{.Status}}").split()


@pytest.mark.fault("L12")
def test_a_function_that_is_in_no_worker_image_is_an_error_at_once(stack):
    """webui's own executable is a program that no worker has."""
    stack.await_workers()
    begin = time.monotonic()
    done = stack.scoop("run", "--broker", "tcp://broker:5555", "/usr/bin/webui", check=False, deadline_s=30)
    assert done.returncode != 0
    assert time.monotonic() - begin < 10
