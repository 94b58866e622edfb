"""The kill campaign in its short form, and its checker: what it must notice. The long form is ./check kill."""

import pathlib
import sys

import pytest
from programs import sanitized

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "kill"))
import history  # noqa: E402
from campaign import Campaign  # noqa: E402
from history import ACCEPTED, AGAIN, ASKED, DELIVERED, FORGOTTEN, RECORD, RUN, SETTLED_NS  # noqa: E402

GOALS = {"tasks": 2000, "broker": 4, "agent": 3, "executor": 10, "redis": 2, "client": 2}
MEAN_S = {"broker": 2.0, "agent": 2.0, "executor": 0.6, "redis": 3.0, "client": 3.0}
SEED = 4711


@pytest.mark.fault("A02", weaker="some kills; ./check kill has hundreds, at 10 k tasks/s and not at 100 k")
@pytest.mark.fault("D02", weaker="some kills; ./check kill has a hundred, at 500 durable tasks/s and not at 50 k")
def test_nothing_is_lost_told_twice_or_wrong_while_everything_is_killed(tmp_path):
    folder = tmp_path / "k"
    folder.mkdir(mode=0o700)
    said = []
    campaign = Campaign(folder, SEED, GOALS, said.append, agents=2, sessions=2, durables=2,
                        mean_s=MEAN_S if sanitized() else None)
    try:
        campaign.run(40)
        campaign.drain()
    finally:
        campaign.end()
    lines, well = campaign.judge()
    assert well, "\n".join([*said, *lines])
    assert campaign.reached(), said


# ---- the checker ----


class Told:
    """A campaign that never was: what its clients and functions would have written down."""

    def __init__(self, folder):
        self.folder = folder
        self.time_ns = 10**9
        (folder / "client-0.log").touch()
        (folder / "evidence").touch()

    def write(self, path, kind, no=0, status=0, child=0, wrong=0, value=None, mark=1, pid=1):
        self.time_ns += 1000
        if value is None:
            value = history.result_of(SEED, 0, no) if kind != RUN else history.value_of(SEED, 0, no, child)
        with open(self.folder / path, "ab") as file:
            file.write(RECORD.pack(kind, status, child, wrong, 0, no, self.time_ns, value, mark, pid, 1))

    def client(self, kind, **what):
        self.write("client-0.log", kind, **what)

    def runs(self, **what):
        self.write("evidence", RUN, **what)

    def found(self):
        return [(what, text) for what, _, _, text in history.History(self.folder, SEED).read().problems]


@pytest.fixture
def told(tmp_path):
    told = Told(tmp_path)
    told.client(ASKED)
    told.runs()
    return told


def test_the_checker_is_content_with_a_task_that_ran_and_was_delivered(told):
    told.client(DELIVERED)
    assert told.found() == []


def test_the_checker_is_content_with_a_task_that_ran_twice_and_was_delivered_once(told):
    told.runs(mark=2)
    told.client(DELIVERED, mark=2)
    assert told.found() == []


def test_the_checker_notices_a_lost_task(told):
    assert told.found() == [("lost", "it was asked for and never delivered")]


def test_the_checker_notices_a_result_that_came_twice(told):
    told.client(DELIVERED)
    told.client(DELIVERED)
    assert told.found() == [("twice", "it was delivered once more")]


@pytest.mark.parametrize("what, text", [
    ({"value": 5}, "its value is another one"),
    ({"mark": 5}, "no execution of it gave this result"),
    ({"wrong": 1}, "its result has other bytes"),
    ({"status": 4}, "it ended with status 4"),
])
def test_the_checker_notices_a_wrong_result(told, what, text):
    told.client(DELIVERED, **what)
    assert told.found() == [("wrong", text)]


def test_the_checker_notices_a_result_of_an_execution_of_another_task(told):
    told.client(ASKED, no=1)
    told.runs(no=1, mark=2)
    told.client(DELIVERED, mark=2)
    told.client(DELIVERED, no=1, mark=2)
    assert told.found() == [("wrong", "no execution of it gave this result")]


def test_the_checker_notices_a_function_that_was_given_another_argument(told):
    told.runs(value=5)
    told.client(DELIVERED)
    assert told.found() == [("wrong", "a function was given another argument")]


def test_the_checker_notices_a_durable_outcome_that_changes(told):
    told.runs(mark=2)
    told.client(ACCEPTED)
    told.client(DELIVERED)
    told.client(AGAIN, mark=2)
    assert told.found() == [("wrong", "asked for once more it has another result")]


def test_the_checker_notices_a_forgotten_task_that_runs_again(told):
    told.client(DELIVERED)
    told.client(FORGOTTEN)
    told.time_ns += SETTLED_NS
    told.runs(mark=2)
    assert told.found() == [("wrong", "it ran again after it was forgotten")]


def test_the_checker_takes_a_crash_only_where_its_executors_were_killed_three_times(told):
    for mark, pid in ((2, 2), (3, 3)):
        told.runs(mark=mark, pid=pid)
    told.client(DELIVERED, status=history.STATUS_CRASHED)
    (told.folder / "events").write_text("5 executor 1\n6 executor 2\n")
    assert told.found() == [("wrong", "it ended with status 2")]
    (told.folder / "events").write_text("5 executor 1\n6 executor 2\n7 executor 3\n")
    assert told.found() == []


def test_the_story_of_a_task_has_its_records_and_the_kills_about_that_time(told):
    told.client(DELIVERED)
    (told.folder / "events").write_text(f"{told.time_ns + 5} broker 77\n{told.time_ns + 5 * 10**9} broker 78\n")
    story = history.History(told.folder, SEED).story(0, 0)
    assert [line.split("s  ")[1].split(" ")[0] for line in story] == ["asked", "run", "delivered", "--"]
    assert story[-1].endswith("-- broker 77")
