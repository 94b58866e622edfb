"""What is told of running tasks: their output at the root, and the trace."""

import json
import os
import re
import subprocess

import pytest
from programs import binary, environment, eventually, run

HOST = os.uname().nodename
SPEAK = binary("../tests/programs/speak")
LABEL = re.compile(rf"{re.escape(HOST)}/\d+\| ")


def scoop_run(*words, env=None):
    return run("scoop", "run", "-n", "2", *words, env=env)


@pytest.mark.tsan
def test_lines_of_functions_appear_at_the_root_whole_and_labelled():
    done = scoop_run(SPEAK)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert last == "the root's own line, at the end"
    assert all(LABEL.match(line) for line in lines)
    texts = sorted(LABEL.sub("", line) for line in lines)
    assert texts == sorted([f"whole {i}" for i in range(200)] +
                           [f"first half of {i}, second half of {i}" for i in range(200)])
    errors = [LABEL.sub("", line) for line in done.stderr.splitlines() if LABEL.match(line)]
    assert sorted(errors) == sorted(f"error {i}" for i in range(200))


def test_output_can_be_turned_off():
    done = scoop_run("--quiet", SPEAK)
    assert (done.returncode, done.stdout) == (0, "the root's own line, at the end\n")
    assert "error" not in done.stderr


def test_a_wrong_setting_of_output_is_named():
    done = scoop_run(SPEAK, env={"SCOOP_OUTPUT": "loud"})
    assert done.returncode == 1
    assert 'SCOOP_OUTPUT: "loud" is not "labelled" or "none"' in done.stderr


def test_the_last_words_of_a_crashed_function_are_shown():
    done = scoop_run(SPEAK, "die")
    assert done.returncode == 1
    assert [LABEL.sub("", line) for line in done.stdout.splitlines()] == 3 * ["last words"]


def test_what_children_print_is_shown_and_traced_like_the_rest(tmp_path):
    trace = tmp_path / "trace.json"
    done = scoop_run("--trace", trace, SPEAK, "descend")
    assert done.returncode == 0, done.stderr
    *lines, _ = done.stdout.splitlines()
    assert [LABEL.sub("", line) for line in lines] == [f"level {i}" for i in range(1, 6)]
    tasks = [event for event in json.loads(trace.read_text()) if event["ph"] == "X"]
    assert [task["name"] for task in tasks] == 5 * ["descend"]


def test_a_flood_of_output_is_cut_and_counted_and_holds_up_no_function(tmp_path):
    """Nobody reads the root's stdout for as long as the function prints."""
    done = tmp_path / "done"
    with subprocess.Popen([binary("scoop"), "run", "-n", "1", SPEAK, "flood"],
                          env=environment({"SPEAK_DONE": str(done)}), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as root:
        eventually(done.exists, "the function has written all its lines", timeout=60)
        out, err = root.communicate(timeout=60)
    lines = out.splitlines()
    lost = sum(map(int, re.findall(r"scoop: (\d+) lines of output were dropped", err)))
    assert root.returncode == 0, err
    assert lines[-1] == "the root's own line, at the end"
    assert lost > 0
    assert lost + len(lines) - 1 == 500000, "each line is shown or counted"


def test_a_trace_shows_every_task_once_on_its_executor(tmp_path):
    trace = tmp_path / "trace.json"
    done = scoop_run("--trace", trace, binary("examples/abs"))
    assert done.returncode == 0, done.stderr
    events = json.loads(trace.read_text())
    tasks = [event for event in events if event["ph"] == "X"]
    names = {event["args"]["name"] for event in events if event["ph"] == "M"}
    assert sorted(task["args"]["task"] for task in tasks) == list(range(1, 1001))
    assert {HOST} <= names <= {HOST, "executor 0", "executor 1"}
    assert {task["args"]["outcome"] for task in tasks} == {"ok"}
    for lane in {task["tid"] for task in tasks}:
        spans = sorted((task["ts"], task["dur"]) for task in tasks if task["tid"] == lane)
        overlaps = [b for (a, run_us), (b, _) in zip(spans, spans[1:]) if a + run_us > b]
        assert not overlaps, "an executor runs one task at a time"


def test_a_trace_that_cannot_be_written_is_named(tmp_path):
    done = scoop_run(binary("examples/abs"), env={"SCOOP_TRACE": str(tmp_path / "no" / "where")})
    assert done.returncode == 1
    assert f"trace {tmp_path}/no/where: No such file or directory" in done.stderr
