"""The checker of histories finds what it is there for."""

import pytest
from chronicle import History

GOOD = ["submit 3 - 0", "start 3 - 0", "end 3 - 9", "deliver 3 ok 9"]


def problems(tmp_path, lines, **options):
    path = tmp_path / "history"
    path.write_text("".join(f"{1000 + time} {line} 42\n" for time, line in enumerate(lines)))
    return History(path).problems(**options)


@pytest.mark.parametrize("lines", [
    GOOD,
    ["submit 3 - 0", "start 3 - 0", "start 3 - 0", "end 3 - 9", "end 3 - 9", "deliver 3 ok 9"],
    ["submit 3 - 0", "cancel 3 never-ran 0", "deliver 3 cancelled -1"],
    ["submit 3 - 0", "start 3 - 0", "cancel 3 stopped 0", "deliver 3 cancelled -1"],
    [*GOOD, "cancel 3 too-late 0"],
    ["submit 3 - 0", "ack 3 refused 0"],
    ["submit 3 - 0", "ack 3 ok 0", *GOOD[1:]],
])
def test_what_is_promised_is_no_problem(tmp_path, lines):
    assert problems(tmp_path, lines) == []


@pytest.mark.parametrize("lines, problem", [
    (GOOD[:3], "is lost: it was accepted, and no result came"),
    (["submit 3 - 0", "ack 3 ok 0"], "is lost: it was accepted, and no result came"),
    ([*GOOD, GOOD[3]], "was delivered 2 times"),
    ([*GOOD[:3], "deliver 3 ok 16"], "has a wrong value, 16"),
    ([GOOD[0], GOOD[1], GOOD[3], GOOD[2]], "was delivered before it had ended anywhere"),
    ([*GOOD[:3], "deliver 3 lost -1"], "ended as lost"),
    (["submit 3 - 0", "deliver 3 cancelled -1"], "ended as cancelled"),
    (["submit 3 - 0", "cancel 3 never-ran 0", "deliver 3 cancelled -1", "start 3 - 0"],
     "was said to have never run, and began"),
    ([*GOOD, "cancel 3 discarded 0"], "was cancelled (discarded), and delivered"),
    (["submit 3 - 0", "ack 3 refused 0", "start 3 - 0"], "was refused, and began"),
    (GOOD[1:], "began, and nobody submitted it"),
])
def test_what_is_not_kept_is_named(tmp_path, lines, problem):
    assert problems(tmp_path, lines) == [f"task 3 {problem}"]


def test_two_clients_get_the_same_outcome_once_each(tmp_path):
    assert problems(tmp_path, [*GOOD, GOOD[3]], clients=2) == []
    assert problems(tmp_path, [*GOOD, "deliver 3 lost -1"], clients=2) == [
        "task 3 was delivered with two outcomes", "task 3 ended as lost"]


def test_a_task_that_began_too_often_is_named(tmp_path):
    assert problems(tmp_path, [GOOD[0], GOOD[1], *GOOD[1:]], runs_allowed=1) == [
        "task 3 began 2 times; 1 were allowed"]


def test_a_line_that_was_cut_off_is_none(tmp_path):
    path = tmp_path / "history"
    path.write_text("1 submit 3 - 0 42\n2 start 3")
    assert [event.what for event in History(path).events()] == ["submit"]
