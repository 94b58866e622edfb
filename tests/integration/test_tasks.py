"""What can be asked for a task, with a real broker and a real worker: retries, expiry, priority, cancel."""

import time

import pytest
from programs import binary, run

OPTIONS = binary("../tests/programs/options")


def options(mode, *arguments, slots=1):
    return run("scoop", "run", "-n", slots, OPTIONS, mode, *arguments)


def test_a_failed_task_is_tried_again_after_its_pauses(tmp_path):
    before = time.monotonic()
    done = options("retry", tmp_path / "marks", 2, 3, 100)
    assert done.stdout == "ok 3 3 0 \n"
    assert time.monotonic() - before > 0.3


def test_the_last_failure_is_delivered_when_no_retry_is_left(tmp_path):
    assert options("retry", tmp_path / "marks", 9, 2, 0).stdout == "failed -1 3 3 try 3 failed\n"


def test_a_final_failure_is_not_tried_again(tmp_path):
    assert options("forever", tmp_path / "marks", 5).stdout == "failed -1 1 4 no try will help\n"


def test_retries_are_made_serially_too(tmp_path):
    assert run(OPTIONS, "retry", tmp_path / "marks", 2, 3, 100000).stdout == "ok 3 3 0 \n"


def test_a_task_that_is_not_started_in_time_expires(tmp_path):
    assert options("expire", tmp_path / "marks").stdout == "expired -1 0 100 not started within 100 ms\n"
    assert (tmp_path / "marks").read_text() == "0"


@pytest.mark.tsan
def test_a_higher_priority_starts_first(tmp_path):
    assert options("priority", tmp_path / "marks").returncode == 0
    assert (tmp_path / "marks").read_text() == "0ecbda"


def test_an_option_out_of_its_range_is_named(tmp_path):
    done = options("retry", tmp_path / "marks", 0, 1001, 0)
    assert "attempt: option retries is 1001, must be between 0 and 1000" in done.stderr


@pytest.mark.tsan
def test_cancel_says_what_became_of_the_task(tmp_path):
    done = options("cancel", tmp_path / "marks")
    assert done.stdout.splitlines() == [
        "never ran", "stopped", "stopped",
        "cancelled -1 1 2 cancelled while it ran, and stopped",
        "too late", "ok 0 1 0 "]
    assert (tmp_path / "marks").read_text() == "0"


@pytest.mark.tsan
@pytest.mark.parametrize("start", [lambda *words: options(*words, slots=2), lambda *words: run(OPTIONS, *words)],
                         ids=["on workers", "serially"])
def test_a_task_submitted_again_under_its_name_is_the_same_until_all_have_freed_it(start, tmp_path):
    done = start("unique", tmp_path / "marks")
    assert done.stdout.splitlines() == [
        'other: option unique is "name", which is a task of attempt',
        "attempt: option unique is for scoop_submit()",
        "ok 1 1 0 ", "ok 1 1 0 ", "ok 2 1 0 "], done.stderr
    assert (tmp_path / "marks").read_text() == "uu"
