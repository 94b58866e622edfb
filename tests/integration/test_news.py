"""What is heard of a task while it runs: that it does, how far it is, and pieces of its result."""

import json
import os

import pytest
from programs import binary, eventually, run

NEWS = binary("../tests/programs/news")


def on_slots(*words, slots=2, program=NEWS):
    done = run("scoop", "run", "-n", slots, program, *words, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def serially(*words):
    done = run(NEWS, *words)
    assert done.returncode == 0
    return done.stdout


@pytest.mark.tsan
def test_a_function_that_says_how_far_it_is_is_heard_in_order():
    assert on_slots("steps", 4, 150) == "running 1\n1/4\n2/4\n3/4\n4/4\nok: 4, running 0\n"
    assert serially("steps", 4, 1) == "4/4\nok: 4, running 0\n", "it has ended when it can be asked"


def test_the_last_progress_of_a_short_task_is_known_at_its_end():
    assert on_slots("short", 300) == "300 of 300\n"
    assert serially("short", 300) == "300 of 300\n"


def test_pieces_of_a_result_come_in_order():
    assert on_slots("pieces", 1000) == "1000 came, 0 are missing\nok: 1000, running 0\n"
    assert serially("pieces", 1000) == "1000 came, 0 are missing\nok: 1000, running 0\n"


def test_an_execution_that_is_lost_leaves_its_pieces_and_the_next_begins_anew(tmp_path):
    assert on_slots("again", tmp_path / "file") == (
        "try 1, piece 0: a\ntry 1, piece 1: b\ntry 2, piece 0: A\ntry 2, piece 1: B\n2/3\n")


@pytest.mark.parametrize("slots", [1, 3])
def test_a_task_that_waits_for_its_children_is_running_and_hears_of_them(slots):
    assert on_slots("children", slots=slots) == "it was running and half done: 1\nok: 1, running 0\n"


@pytest.mark.tsan
def test_many_threads_may_look_at_futures_while_these_run():
    assert on_slots("threads", 3) == "3 of 3\n"


@pytest.fixture
def cluster(start, tmp_path):
    """A worker with the programs of these tests: cluster(slots) is its broker, cluster.broker() is one that takes its
    place."""
    url, workers = f"ipc://{tmp_path}/client", f"ipc://{tmp_path}/worker"

    def broker(env=None):
        return start("scoop-broker", "--client-listen", url, "--worker-listen", workers, env=env)

    def started(slots, env=None):
        first = broker(env)
        start("scoop-worker", "run", "--broker", workers, "--slots", slots, "--programs", os.path.dirname(NEWS),
              env=env, ready="link_open")
        return first

    started.broker = broker
    started.env = {"SCOOP_BROKER": url}
    return started


def test_a_flood_of_pieces_holds_up_no_function_and_does_not_grow_the_broker(cluster):
    # What the sanitizer keeps of freed memory would hide what the broker keeps.
    env = {"ASAN_OPTIONS": "abort_on_error=1:quarantine_size_mb=1"}
    broker = cluster(2, env)
    before = broker.resident_bytes()
    done = run(NEWS, "flood", 4000, env={**cluster.env, **env}, timeout=60)
    assert done.stdout == (
        "beside it: ok\nordered: 1, some: 1, bounded: 1\nok: 4000, running 0\n"), done.stderr
    assert broker.resident_bytes() - before < 24 << 20, "of 125 MiB"


def test_when_the_broker_is_lost_a_task_runs_no_more_until_it_begins_anew(cluster, start):
    broker = cluster(1)
    holder = start("../tests/programs/news", "steps", 5, 150, env=cluster.env, ready=None)
    holder.wait_for("2/5", stdout=True)
    broker.kill()
    cluster.broker()
    assert holder.wait() == 0
    *heard, end = holder.lines
    assert end == "ok: 5, running 0"
    again = heard.index("running 1", 1)
    assert heard[:again] in (["running 1", "1/5", "2/5"], ["running 1", "1/5", "2/5", "3/5"])
    assert heard[again:] == ["running 1", "1/5", "2/5", "3/5", "4/5", "5/5"]


def test_status_lists_the_slowest_tasks_with_their_progress(cluster, start):
    cluster(2)
    start("../tests/programs/news", "steps", 4, 200, env=cluster.env, ready=None)

    def status(*words):
        return run("scoop", "status", *words, env=cluster.env).stdout

    def half_done():
        return next((task for task in json.loads(status("--json"))["running"] if task["done"] >= 2), None)

    task = eventually(half_done, "the task is half done")
    assert (task["program"], task["function"], task["client"]) == ("news", "step", "news")
    assert (task["host"], task["attempt"], task["total"], task["waiting"]) == (os.uname().nodename, 1, 4, False)
    assert 300 <= task["running_ms"] <= 5000
    line = eventually(lambda: next((line for line in status().splitlines() if line.startswith("news:step ")), None),
                      "it is listed")
    assert line.split()[:4] == ["news:step", "news", os.uname().nodename, "1"]
    assert line.endswith((" 50%", " 75%", "100%"))
    eventually(lambda: "SLOWEST" not in status() and json.loads(status("--json"))["running"] == [], "it has ended")


def test_the_example_shows_parts_of_its_result_as_they_are_found():
    *gaps, count = on_slots(100000, program=binary("examples/progress"), slots=1).splitlines()
    assert (gaps[0], gaps[-1], count) == ("1 numbers after 2", "72 numbers after 31397", "9592 primes")
