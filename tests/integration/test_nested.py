"""Functions that submit and wait themselves: docs/NESTED.md, with a real broker and real workers on this machine."""

import os
import pathlib
import signal

import pytest
from programs import binary, eventually, is_alive, run

NESTED = binary("../tests/programs/nested")


def scoop_run(program, *arguments, slots=2, env=None, timeout=60):
    """Run a program under `scoop run` to its end."""
    return run("scoop", "run", "-n", slots, program, *arguments, env=env, timeout=timeout)


def nested(mode, number=0, slots=2, **more):
    """What the program prints in this mode."""
    done = scoop_run(NESTED, mode, number, slots=slots, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("slots", [1, 2, 6])
@pytest.mark.tsan
def test_a_tree_of_depth_12_has_4096_leaves(slots):
    assert scoop_run(binary("examples/tree"), 12, slots=slots).stdout == "4096\n"


@pytest.mark.tsan
def test_a_full_tree_of_20_is_76153():
    assert scoop_run(binary("examples/full_tree"), 20).stdout == "76153\n"


@pytest.mark.parametrize("program, argument, number", [("tree", 6, "64"), ("full_tree", 5, "182")])
def test_without_a_broker_children_are_computed_at_once(program, argument, number):
    assert run(f"examples/{program}", argument).stdout.strip() == number


@pytest.mark.parametrize("slots", [1, 2])
def test_a_hundred_tasks_that_wait_for_each_other_take_no_slot(slots):
    assert nested("chain", 100, slots) == "ok 100 attempts=1"


@pytest.mark.tsan
def test_chains_beside_each_other_do_not_lock():
    assert nested("chains", 100) == "2000"


@pytest.mark.tsan
@pytest.mark.parametrize("mode", ["map", "futures"])
def test_a_function_has_more_children_than_may_be_open(mode):
    assert nested(mode, 5000) == "ok 5000 attempts=1"


@pytest.mark.parametrize("size", [0, 100, 3 << 20])
def test_arguments_and_results_of_children_have_any_size(size):
    assert nested("bytes", size) == "4 of 4"


def test_a_failure_belongs_to_the_task_that_failed():
    assert nested("fail", 5) == "10 of 10"


def test_a_child_that_crashes_is_its_parents_result(tmp_path):
    witness = tmp_path / "witness"
    assert nested("crash", env={"NESTED_WITNESS": str(witness)}) == "ok 203 attempts=1"
    words = [line.split()[0] for line in witness.read_text().splitlines()]
    assert words.count("parent") <= 2, "a crash takes it along once at most"


def test_a_wait_inside_a_function_keeps_its_deadline():
    assert nested("deadline", 300) == "ok 302 attempts=1"


def test_a_function_waits_for_any_of_its_children():
    assert nested("any", 100, slots=3) == "ok 10600 attempts=1"
