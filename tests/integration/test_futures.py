"""Many futures at once: waiting for some of them, in the order of their ends, and callbacks."""

import json
import os
import pathlib

import pytest
from programs import binary, run

FUTURES = binary("../tests/programs/futures")
STREAMS = binary("../tests/programs/streams")
THREADS = binary("../tests/programs/threads")
HOST = os.uname().nodename


def on_slots(mode, number=0, slots=2, program=FUTURES):
    """A mode of the program, with this many slots; its output."""
    done = run("scoop", "run", "-n", slots, program, mode, number, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def serially(mode, number=0, program=FUTURES):
    done = run(program, mode, number)
    assert done.returncode == 0
    return done.stdout


def test_wait_any_returns_with_the_first_and_keeps_its_deadline():
    assert on_slots("any", 5000, slots=3) == (
        "first: 1\ntimeout\nnone of 3 futures was done within 100 ms\n"
        "kept: 1\nnothing is left\n"
    )


def test_wait_all_tells_how_many_are_done_and_keeps_its_deadline():
    assert on_slots("all", 1000, slots=3) == (
        "timeout\n1 of 4 futures were not done within 50 ms\ndone: 3\nok\ndone: 4\n"
    )


def test_a_wait_never_raises_the_error_of_a_future():
    expected = "all: ok\nany: ok\nerror: \n0: failed\n1: ok 50\n"
    assert on_slots("failed", 5) == expected
    assert serially("failed", 5) == expected


@pytest.mark.tsan
@pytest.mark.parametrize("count", [1, 20000])
def test_an_iterator_hands_out_each_future_once(count):
    expected = f"nothing is left: {count - 1} of {count - 1}\n"
    assert on_slots("completed", count) == expected
    assert serially("completed", count) == expected


def test_an_iterator_takes_more_futures_while_it_is_used():
    assert on_slots("added", 1000) == f"sum: {1000 * 1001 // 2}\n"
    assert serially("added", 1000) == f"sum: {1000 * 1001 // 2}\n"


def test_a_future_that_is_freed_before_its_turn_counts_as_ended():
    assert on_slots("freed", 1000) == "timeout\nok 1\n"


@pytest.mark.tsan
@pytest.mark.parametrize("count", [10, 20000])
def test_map_as_completed_tells_which_task_failed_and_hands_out_all_others(count):
    expected = (
        f"3 failed: fails_on_3: task 3 of {count} failed on host {HOST}: bad number 3\n"
        f"{count - 1} of {count}\n"
    )
    assert on_slots("map", count) == expected
    assert serially("map", count) == expected


def test_an_iterator_that_is_freed_early_leaves_nothing():
    assert on_slots("left", 5000) == "ok 0\n"


@pytest.mark.tsan
def test_callbacks_run_in_the_waiting_thread_in_their_order():
    assert on_slots("then", 300) == (
        "wait\nfirst failed\nsecond failed\nwaited\nat once ok\n"
        "scoop_then: there is no function to call\n"
    )


def test_serially_callbacks_run_at_once():
    assert serially("then") == (
        "first failed\nsecond failed\nwait\nwaited\nat once ok\n"
        "scoop_then: there is no function to call\n"
    )


def test_a_callback_that_is_due_runs_before_a_wait_for_its_future_returns():
    assert on_slots("due", 1) == "done\ncalled ok\nwaited\n"


def test_a_callback_may_free_its_future_and_start_the_next():
    assert on_slots("chain", 100) == f"sum: {101 * 102 // 2 - 1}\n"
    assert serially("chain", 100) == f"sum: {101 * 102 // 2 - 1}\n"


def test_a_future_that_is_freed_is_not_called_for_and_one_of_a_closed_session_is():
    assert on_slots("forgotten", 5000) == "timeout\nclosed shut down\nok 0\n"


@pytest.mark.tsan
def test_the_descriptor_is_readable_when_a_future_ended_since_the_last_look():
    expected = "at first: 1\nprocessed: 0\nended: 5 1\ncalled: 1\nprocessed: 0\n"
    assert on_slots("poll", 20) == expected
    assert serially("poll", 1) == expected


def test_workers_are_waited_for_and_the_deadline_is_kept():
    assert on_slots("workers", 3, slots=3) == (
        "ok\ntimeout\n3 of 4 slots are there after 100 ms\nkept: 1\n"
    )
    assert serially("workers", 3) == "ok\nok\n\nkept: 1\n"


@pytest.fixture
def cluster(start, tmp_path):
    """A broker and as many workers as wanted: cluster(3, slots=2) is their list; cluster.env."""
    folder = tmp_path / "cluster"
    folder.mkdir(mode=0o700)
    start("scoop-broker", "--client-listen", f"ipc://{folder}/client", "--worker-listen",
          f"ipc://{folder}/worker")
    programs = f"{pathlib.Path(FUTURES).parent}:{binary('examples')}"

    def workers(count, slots):
        return [start("scoop-worker", "run", "--broker", f"ipc://{folder}/worker", "--slots", slots,
                      "--programs", programs, ready=None) for _ in range(count)]
    workers.env = {"SCOOP_BROKER": f"ipc://{folder}/client"}
    return workers


def test_each_runs_once_on_every_worker(cluster):
    workers = cluster(3, slots=2)
    done = run(FUTURES, "each", 6, env=cluster.env)
    assert sorted(done.stdout.splitlines()) == sorted(f"{HOST} {w.pid}" for w in workers)


@pytest.mark.parametrize("slots", [1, 3])
def test_map_reduce_is_a_tree_of_tasks_whatever_the_slots(cluster, slots):
    cluster(1, slots)
    assert run("examples/map_reduce", 1000, env=cluster.env, timeout=60).stdout == "871: 178 steps\n"
    # Each of the thousand tasks does one element and adds the sums of the halves that it gave away.
    info = json.loads(run("scoop", "info", "--json", env=cluster.env).stdout)
    assert info["done"] == 1000


def test_serially_each_is_here():
    assert serially("each") == f"{HOST} {os.getpid()}\n"


def test_a_stream_keeps_the_order_and_hands_failures_to_its_sink():
    expected = "3 bad number 3\nok\n4999 right, 1 failed\n3 bad number 3\nok\n99 right, {} given\n"
    assert on_slots("stream", 5000, program=STREAMS) == expected.format(109)
    assert serially("stream", 5000, program=STREAMS) == expected.format(109)


def test_a_stream_of_large_arguments_keeps_few_of_them_in_memory():
    assert on_slots("large_stream", 20, program=STREAMS) == "20 of 20, 8 at a time\n"


def test_a_stream_keeps_its_deadline():
    assert on_slots("late_stream", 5000, program=STREAMS) == (
        "sleeps_ms: not all tasks ended before the deadline\n"
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000, 10001])
def test_map_reduce_and_map_scan_sum_in_the_order_of_the_elements(count):
    expected = f"1, {count} of {count}\n"
    assert on_slots("sums", count, program=STREAMS) == expected
    assert serially("sums", count, program=STREAMS) == expected


def test_sums_of_more_than_a_message_holds():
    assert on_slots("large_sums", 300, program=STREAMS) == "1\n"


@pytest.mark.parametrize("failures, output, tries", [(2, "ok 28\n", 3), (9, "failed -1\n", 3)])
def test_a_part_of_a_sum_is_tried_again_as_often_as_asked_and_not_by_its_parents(
        tmp_path, failures, output, tries):
    marks = tmp_path / "marks"
    done = run("scoop", "run", "-n", 2, STREAMS, "retried_sums", failures, env={"MARKS": str(marks)})
    assert (done.stdout, marks.stat().st_size) == (output, tries)


@pytest.mark.parametrize("count", [4, 1000])
def test_a_sum_fails_as_its_element_and_leaves_the_result_alone(count):
    for output in on_slots("bad_sums", count, program=STREAMS), serially("bad_sums", count, program=STREAMS):
        lines = output.splitlines()
        assert len(lines) == 2
        assert lines[0].startswith("failed 42: fails_on_3 by add: scoop.reduce: ")
        assert lines[1].startswith("failed 42: fails_on_3 by add: scoop.scan: ")
        assert all(line.endswith(": bad number 3") for line in lines)


@pytest.mark.tsan
def test_every_call_may_be_made_beside_others_from_many_threads():
    done = run("scoop", "run", "-n", 2, THREADS, 18, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "342 of 342\n", "")


@pytest.mark.tsan
@pytest.mark.parametrize("slots", [1, 3])
def test_every_call_that_waits_may_be_made_inside_a_function_and_none_is_left_to_the_next(slots):
    done = run("scoop", "run", "-n", slots, THREADS, 78, "inside", timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "78 of 78\n", "")
