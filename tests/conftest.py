"""For all tests: those that show a row of docs/FAULTS.md name one that exists, and what came of them is written down."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "faults"))
import catalogue  # noqa: E402


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # the workers of xdist tell their controller
        config.pluginmanager.register(Log(os.environ.get("SCOOP_FAULTS_LOG")))


def pytest_collection_modifyitems(items):
    known = catalogue.rows()
    for item in items:
        for row, weaker in catalogue.marked(item):
            if row not in known:
                raise pytest.UsageError(f"{item.nodeid}: docs/FAULTS.md has no row {row!r}")
            item.user_properties.append(("fault", [row, weaker]))
        if "SCOOP_FAULTS_CARRIED" in os.environ:
            catalogue.carry(item, os.environ["SCOOP_FAULTS_CARRIED"])


def reason_of(report):
    """One line, without tabs."""
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ").replace("\t", " ").splitlines()[0]
    return ""


class Log:
    def __init__(self, path):
        self.path = path

    def pytest_runtest_logreport(self, report):
        if not self.path or (report.when != "call" and report.passed):
            return
        outcome = "failed" if hasattr(report, "wasxfail") else report.outcome
        with open(self.path, "a", encoding="utf-8") as log:
            for name, (row, weaker) in (one for one in report.user_properties if one[0] == "fault"):
                log.write("\t".join((row, outcome, weaker, reason_of(report), report.nodeid)) + "\n")
