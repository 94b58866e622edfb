"""What tasks need and workers have, with real brokers and workers: needs, resources, capacity."""

import json
import time

import pytest
from fixtures import Cluster
from programs import binary, run
from redis_server import RedisServer

NEEDS = binary("../tests/programs/needs")
FOLDER = binary("../tests/programs")


def start_worker(cluster, slots, resources, *options):
    return cluster.start_worker(slots, "--resources", resources, "--programs", FOLDER, *options)


def needs(cluster, *arguments):
    return run(NEEDS, *arguments, env={"SCOOP_BROKER": cluster.url})


def most_at_once(file):
    now = most = 0
    for sign in file.read_text():
        now += 1 if sign == "+" else -1
        most = max(most, now)
    return most


@pytest.mark.tsan
def test_tasks_run_only_where_what_they_need_is_and_never_more_than_there_is(cluster, tmp_path):
    start_worker(cluster, 4, "ssd")
    gpu = start_worker(cluster, 4, "gpu=2,ram=8G")
    done = needs(cluster, tmp_path / "marks", "gpu=1,ram=2G", 8, 30)
    assert done.stdout == f"{gpu.process.pid}\n" * 8, done.stderr
    assert most_at_once(tmp_path / "marks") == 2


def test_a_function_calls_others_that_need_something(cluster, tmp_path):
    start_worker(cluster, 1, "")
    gpu = start_worker(cluster, 1, "gpu=1")
    done = needs(cluster, tmp_path / "marks", "gpu=1", "children")
    assert done.stdout == f"{gpu.process.pid}\n", done.stderr


def test_what_the_whole_cluster_has_bounds_tasks_on_all_workers(start, tmp_path):
    cluster = Cluster(start, tmp_path / "cluster", "--resources", "license=2")
    for _ in range(2):
        start_worker(cluster, 2, "")
    assert needs(cluster, tmp_path / "marks", "license=1", 8, 30).returncode == 0
    assert most_at_once(tmp_path / "marks") == 2


def test_tasks_that_no_worker_can_serve_wait_and_are_shown(cluster, scoop, tmp_path):
    env = {"SCOOP_BROKER": cluster.url}
    start_worker(cluster, 2, "ram=1G,ssd")
    waiting = cluster.start("scoop", "map", "--needs", "gpu=1", "echo", ":::", "a", "b", env=env, ready=None)
    until = time.monotonic() + 10
    while "2 tasks wait for gpu=1, no worker has it" not in (seen := scoop("status", env=env).stdout):
        assert time.monotonic() < until, seen
    assert json.loads(scoop("info", "--json", env=env).stdout)["classes"] == [
        {"needs": "gpu=1", "ready": 2, "leased": 0, "able": 0}]
    assert "RESOURCES" in scoop("workers", env=env).stdout
    assert "ram=1G,ssd" in scoop("workers", env=env).stdout
    assert json.loads(scoop("workers", "--json", env=env).stdout)[0]["resources"] == "ram=1G,ssd"
    start_worker(cluster, 1, "gpu=1")
    assert waiting.process.wait(timeout=15) == 0


def start_slow_worker(cluster):
    return cluster.start("scoop-worker", "run", "--broker", cluster.workers, "--slots", 1, "--programs", FOLDER,
                         env={"SLOW_MS": "30000"}, ready=None)


def wait_for_mark(file):
    until = time.monotonic() + 10
    while not file.exists() or "+" not in file.read_text():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.tsan
def test_a_straggler_is_run_again_elsewhere_and_the_first_result_wins(cluster, scoop, tmp_path):
    start_slow_worker(cluster)
    root = cluster.start(NEEDS, tmp_path / "marks", 200, "straggler", env={"SCOOP_BROKER": cluster.url}, ready=None)
    wait_for_mark(tmp_path / "marks")
    start_worker(cluster, 1, "")
    assert root.process.wait(timeout=15) == 0
    assert (tmp_path / "marks").read_text() == "++-"
    until = time.monotonic() + 10
    while json.loads(scoop("info", "--json", env={"SCOOP_BROKER": cluster.url}).stdout)["leased"] != 0:
        assert time.monotonic() < until, "the other one is killed"


@pytest.mark.parametrize("text, why", [
    ("gpu=0", 'where: option needs is "gpu=0": a quantity must be a whole number of at least 1'),
    ("gpu=1,", 'where: option needs is "gpu=1,": must be NAME or NAME=QUANTITY'),
    ("x" * 64, "where: option needs has 64 characters, must be at most 63"),
])
def test_needs_that_are_malformed_are_named(cluster, tmp_path, text, why):
    done = needs(cluster, tmp_path / "marks", text, 1, 0)
    assert done.returncode == 1
    assert why in done.stderr


def test_a_durable_task_waits_for_a_worker_that_has_what_it_needs(start, tmp_path):
    (tmp_path / "redis").mkdir()
    redis = RedisServer(tmp_path / "redis")
    cluster = Cluster(start, tmp_path / "journaled", "--journal", redis.url)
    env = {"SCOOP_BROKER": cluster.url}
    cluster.start_worker(1)
    task = run("scoop", "submit", "--needs", "gpu=1", "echo", "here", env=env).stdout.strip()
    other = run("scoop", "submit", "echo", "there", env=env).stdout.strip()
    assert run("scoop", "result", other, env=env).stdout == "there\n"
    assert run("scoop", "wait", "--timeout-ms", "200", task, env=env).returncode != 0
    cluster.start_worker(1, "--resources", "gpu=1")
    assert run("scoop", "result", task, env=env).stdout == "here\n"
    redis.end()


def test_resources_that_are_malformed_are_named_by_who_was_given_them(tmp_path):
    done = run("scoop-worker", "run", "--broker", f"ipc://{tmp_path}/w", "--resources", "ram=4GB")
    assert done.returncode == 2
    assert 'scoop-worker run: --resources: "ram=4GB": a quantity must be' in done.stderr
    done = run("scoop-broker", "--client-listen", f"ipc://{tmp_path}/c", "--worker-listen", f"ipc://{tmp_path}/w",
               "--resources", "db==2")
    assert done.returncode == 1
    assert '--resources: "db==2": a quantity must be' in done.stderr
