"""Rows that unit tests show: the pure core, where a race is an order of calls."""

import subprocess

import pytest
from programs import build_folder, environment


def row(name, program, tests, **less):
    """A row of docs/FAULTS.md, and the unit tests that show it: "suite/test", all of them with '*'."""
    return pytest.param(program, tests, id=name, marks=pytest.mark.fault(name, **less))


@pytest.mark.parametrize("program, tests", [
    row("A10", "broker", "core/leaves_nothing_of_a_session_that_ends"),
    row("B02", "broker", "core/blames_nobody_for_a_time_in_which_it_was_stopped_itself",
        weaker="the core alone"),
    row("G13", "broker", "core/opens_only_so_many_sessions_for_one_key"),
    row("H06", "broker", "admit/finds_a_door_that_was_left_open"),
    row("J25", "rng", "rng/answers_503_and_no_zeros_without_entropy"),
    row("J25", "rng", "rng/cuts_a_stream_when_entropy_fails_in_the_middle"),
    row("M01", "broker", "cancel/before_it_is_leased_says_never_ran_and_it_never_runs"),
    row("M02", "broker", "cancel/while_its_agent_has_not_begun_it_says_never_ran_when_the_agent_does"),
    row("M03", "broker", "cancel/while_it_runs_says_stopped_when_the_agent_has_killed_it"),
    row("M04", "broker", "cancel/that_crosses_the_outcome_of_the_attempt_says_discarded"),
    row("M05", "broker", "cancel/after_the_end_changes_nothing"),
    row("M06", "broker", "cancel/twice_is_answered_once"),
    row("M08", "broker", "cancel/of_a_task_requeued_from_a_silent_agent_never_says_never_ran"),
    row("M09", "broker", "core/drops_outcomes_with_an_old_token"),
    row("M10", "broker", "core/keeps_an_agent_that_reconnects_in_time"),
    row("M11", "broker", "core/takes_a_repeated_submit_frame_once"),
    row("M12", "base", "link/ignores_a_frame_that_comes_twice"),
    row("M13", "base", "link/repairs_the_loss_of_any_one_frame"),
])
def test_it_is_shown_by_a_unit_test(program, tests):
    ended = subprocess.run([build_folder() / "tests" / f"test_{program}", "--filter", tests], env=environment(),
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Tested: 0 " not in ended.stderr, f"there is no test {tests}"
