"""What is heard of a task while it runs: that it does, how far it is, and pieces of its result."""

import pytest
from programs import binary, run

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


def test_a_task_that_waits_for_its_children_is_running_and_hears_nothing_of_them():
    assert on_slots("children") == "it was running: 1\nok: 1, running 0\n"


@pytest.mark.tsan
def test_many_threads_may_look_at_futures_while_these_run():
    assert on_slots("threads", 3) == "3 of 3\n"


def test_a_flood_of_pieces_holds_up_no_function_and_does_not_grow_the_broker(start, tmp_path):
    # What the sanitizer keeps of freed memory would hide what the broker keeps.
    env = {"ASAN_OPTIONS": "abort_on_error=1:quarantine_size_mb=1"}
    client, workers = f"ipc://{tmp_path}/client", f"ipc://{tmp_path}/worker"
    broker = start("scoop-broker", "--client-listen", client, "--worker-listen", workers, env=env)
    start("scoop-worker", "run", "--broker", workers, "--slots", 2, "--programs", NEWS.rsplit("/", 1)[0], env=env,
          ready="link_open")
    before = broker.resident_bytes()
    done = run(NEWS, "flood", 4000, env={"SCOOP_BROKER": client, **env}, timeout=60)
    assert done.stdout == (
        "beside it: ok\nin order: 1, some: 1, bounded: 1\nok: 4000, running 0\n"), done.stderr
    assert broker.resident_bytes() - before < 24 << 20, "of 125 MiB"


def test_the_example_shows_parts_of_its_result_as_they_are_found():
    *gaps, count = on_slots(100000, program=binary("examples/progress"), slots=1).splitlines()
    assert (gaps[0], gaps[-1], count) == ("1 numbers after 2", "72 numbers after 31397", "9592 primes")
