"""One lab, one set of images and one deployed stack for the whole run.

Where no lab can run (no root, no engine), its tests are skipped by name. With SCOOP_LAB_DIR naming
a lab that is up already, that one is used, with images built anew (SCOOP_LAB_IMAGES=kept: with those that its
nodes have), and left up.
"""

import os
import tempfile

import pytest

from swarm import HERE, IMAGES, LONG, ROOT, Lab, Stack, command

BUILD_DEADLINE_S = 1200


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only in ./check faults-swarm")
    config.addinivalue_line("markers", "figure: shows a figure of docs/TRUST.md")
    # Of stack.yml: a replica counts from its first health check on.
    os.environ.setdefault("HEALTH_INTERVAL", "1s")


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if item.get_closest_marker("long") and not LONG]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def lab():
    reason = command(HERE / "lab", "check", check=False)
    if reason.returncode != 0:
        pytest.skip(reason.stderr.strip())
    given = os.environ.get("SCOOP_LAB_DIR")
    if given and os.path.exists(os.path.join(given, "id")):
        yield Lab(given)
        return
    with tempfile.TemporaryDirectory(prefix="scoop-swarm.") as folder:
        engines = Lab(os.path.join(folder, "lab"))
        engines.up(3)
        try:
            yield engines
        finally:
            engines.down()


@pytest.fixture(scope="session")
def images(lab):
    """All images, built from this tree, on all nodes."""
    if os.environ.get("SCOOP_LAB_IMAGES") == "kept":
        return IMAGES
    lab("builder")
    socket = lab("socket", "builder").stdout.strip()
    command(ROOT / "docker/build", "--engine", socket, deadline_s=BUILD_DEADLINE_S)
    lab("load", *IMAGES, deadline_s=300)
    return IMAGES


@pytest.fixture(scope="session")
def stack_folder(tmp_path_factory):
    return Stack.prepare(tmp_path_factory.mktemp("deploy") / "stack")


@pytest.fixture(scope="session")
def deployed(lab, images, stack_folder):
    stack = Stack(lab, stack_folder)
    stack.deploy(wait=False)
    yield stack
    if stack.leftovers():
        stack.remove()


@pytest.fixture
def stack(deployed, request):
    """The stack, all services running; on a failure, its logs are shown. Once it did not come to run,
    no other test waits for it."""
    request.node.swarm_stack = deployed
    if deployed.broken:
        pytest.fail(f"as before: {deployed.broken}")
    try:
        deployed.await_running()
    except AssertionError as error:
        deployed.broken = error
        raise
    return deployed


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    stack = getattr(item, "swarm_stack", None)
    if report.failed and stack is not None:
        report.sections.append(("service logs", stack.all_logs()))
