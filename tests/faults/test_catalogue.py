"""The table of rows itself."""

import collections

import catalogue
import pytest


def test_no_row_is_named_that_is_not_in_the_catalogue():
    assert set(catalogue.carried()) <= set(catalogue.rows())


def test_the_page_says_how_many_rows_have_a_test():
    lines = catalogue.TRUST.read_text().splitlines()
    assert [line for line in catalogue.groups() if line not in lines] == [], "catalogue.py --write puts them there"


def record(outcome, weaker="", reason=""):
    return catalogue.Record("A01", outcome, weaker, reason, "a test")


@pytest.mark.parametrize("records, verdict", [
    ([], ("not tried", "")),
    ([record("passed")], ("passed", "")),
    ([record("passed"), record("failed")], ("failed", "a test")),
    ([record("passed"), record("skipped", reason="no root")], ("skipped", "no root")),
    ([record("passed", weaker="5 times")], ("weaker", "5 times")),
    ([record("passed", weaker="5 times"), record("passed")], ("passed", "")),
    ([record("failed", weaker="5 times"), record("passed")], ("failed", "a test")),
])
def test_a_row_counts_as_passed_only_when_all_of_it_was_shown(records, verdict):
    assert catalogue.verdict(records) == verdict


def test_the_table_has_every_row_and_ends_with_how_many_passed():
    found = collections.defaultdict(list, {"A01": [record("passed")], "A02": [record("passed", weaker="5 times")]})
    lines = list(catalogue.table(found))
    total = len(catalogue.rows())
    assert lines[-1] == f"1 of {total} rows passed"
    assert lines[-2] == f"0 failed, 0 skipped, 1 weaker, {total - 2} not tried"
    assert sum(line[:3] in catalogue.rows() for line in lines) == total
