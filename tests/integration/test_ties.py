"""Durable tasks that wait for others, and longmult as such: a real broker with its journal in a real Redis, real workers.
A test's name is the sentence that it checks."""

import json
import subprocess

import pytest
from programs import binary, eventually, run
from test_durable import DurableCluster, submitted

LONGMULT = "examples/longmult"
PRODUCT = "3159063427494563172"
LARGE = "7" + "1234567890" * 99 + "123456789", "98765432100" * 90 + "0123456789"


@pytest.fixture
def cluster(start, tmp_path):
    cluster = DurableCluster(start, tmp_path / "cluster")
    cluster.start_broker()
    yield cluster
    cluster.redis.end()


@pytest.fixture
def scoop(cluster):
    return lambda *words: run("scoop", *words, env={"SCOOP_BROKER": cluster.url})


def restart(cluster):
    cluster.broker.kill()
    cluster.start_broker()


def state_of(scoop, task):
    entries = {entry["id"]: entry for entry in json.loads(scoop("tasks", "--json").stdout)}
    return entries[task]["state"], entries[task]["waits_for"]


def test_a_durable_command_reads_what_those_it_waits_for_have_written(cluster, scoop):
    first, second = submitted(scoop, "echo", "b"), submitted(scoop, "echo", "a")
    joined = submitted(scoop, "--after", f"{first},{second}", "cat")
    ordered = submitted(scoop, "--after", joined, "sort")
    assert state_of(scoop, joined) == ("waiting", first)
    assert f" after {first}\n" in scoop("tasks").stdout
    restart(cluster)
    assert state_of(scoop, ordered) == ("waiting", joined)
    cluster.start_worker()
    assert scoop("result", ordered).stdout == "a\nb\n"
    restart(cluster)
    assert scoop("result", joined).stdout == "b\na\n"


def test_a_failure_blocks_what_waits_for_it_in_sight_until_it_is_tried_again(cluster, scoop, tmp_path):
    cluster.start_worker()
    script = f"test -e {tmp_path}/file || {{ echo no file >&2; exit 7; }}; echo well"
    failing = submitted(scoop, "--strict", "sh", "-c", script)
    waiting = submitted(scoop, "--after", failing, "cat")
    last = submitted(scoop, "--after", waiting, "cat")
    assert scoop("wait", failing).stdout == f"{failing} failed: command sh: exit code 7: no file\n"
    done = scoop("wait", last)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{last} blocked: durable task {last} waits for {failing}, which did not end well")
    restart(cluster)
    assert state_of(scoop, waiting) == ("blocked", failing)
    assert json.loads(scoop("info", "--json").stdout)["blocked"] == 1
    assert scoop("tasks", "--failed", "--ids").stdout == f"{failing}\n"
    (tmp_path / "file").touch()
    assert scoop("retry", failing).returncode == 0
    assert scoop("result", last).stdout == "well\n"


def test_what_waits_for_a_failure_goes_on_without_it_when_that_is_forgiven(cluster, scoop):
    cluster.start_worker()
    failing, well = submitted(scoop, "--strict", "false"), submitted(scoop, "echo", "well")
    waiting = submitted(scoop, "--after", f"{failing},{well}", "cat")
    assert "blocked" in scoop("wait", waiting).stdout
    assert scoop("forgive", well).stderr == f"scoop forgive: broker.forgive: refused: durable task {well} has ended well\n"
    assert scoop("forgive", failing).returncode == 0
    restart(cluster)
    assert scoop("result", waiting).stdout == "well\n"


def test_a_wrong_id_to_wait_for_is_named(scoop):
    done = scoop("submit", "--after", f"{1:016x},17", "true")
    assert (done.returncode, done.stderr) == \
        (2, "scoop submit: \"17\" is not an id, 16 hex digits as 'scoop submit' prints them\n")
    done = scoop("submit", "--after", f"{1:016x}", "true")
    assert done.returncode == 1
    assert f"it waits for durable task {1:016x}, which is not kept here" in done.stderr


# ---- longmult ----


def longmult(cluster, *arguments):
    return run(LONGMULT, "--durable", *arguments, env={"SCOOP_BROKER": cluster.url})


def start_longmult_worker(cluster):
    return cluster.start_worker(programs=binary("examples"))


def test_longmult_is_twelve_durable_tasks_and_gives_the_same_product_in_both_orders(cluster, scoop):
    start_longmult_worker(cluster)
    done = longmult(cluster)
    assert (done.returncode, done.stdout) == (0, f"{PRODUCT}\n{PRODUCT}\n"), done.stderr
    names = [task["function"] for task in json.loads(scoop("tasks", "--json").stdout)]
    assert [names.count(name) for name in ("take_b_apart", "part_multiply", "add_together")] == [2, 8, 2]


@pytest.mark.parametrize("a, b", [("5", "1011"), ("0", "0"), LARGE], ids=["empty fan", "zero", "1000 digits"])
def test_longmult_with_durable_tasks_is_right(cluster, a, b):
    start_longmult_worker(cluster)
    product = subprocess.run(["bc"], input=f"{a}*{b}\n", env={"BC_LINE_LENGTH": "0"}, text=True, capture_output=True,
                             timeout=60, check=True).stdout
    assert longmult(cluster, a, b).stdout == product


def test_longmult_survives_its_client_and_the_broker(cluster, scoop):
    client = cluster.start(LONGMULT, "--durable", env={"SCOOP_BROKER": cluster.url}, ready=None)
    eventually(lambda: "add_together" in scoop("tasks").stdout, "all tasks of the first product are kept")
    client.kill()
    restart(cluster)
    start_longmult_worker(cluster)
    (last,) = (task["id"] for task in json.loads(scoop("tasks", "--json").stdout) if task["function"] == "add_together")
    assert scoop("wait", last).stdout == f"{last} ok\n"
    assert scoop("result", "--raw", "--keep", last).stdout.lstrip("0") == PRODUCT
    assert longmult(cluster).stdout == f"{PRODUCT}\n{PRODUCT}\n"


def test_longmult_says_which_number_is_none(cluster):
    start_longmult_worker(cluster)
    done = longmult(cluster, "12x", "3")
    assert done.returncode == 1
    assert '"12x 3" is not two decimal numbers' in done.stderr.splitlines()[-1]
