"""Rows that need much of everything; see scale/scale.py. Only in the long form, with the release build beside this one: memory
and time mean little under sanitizers."""

import subprocess
import sys

import catalogue
import pytest
from programs import ROOT, environment

SCALE = ROOT / "tests/faults/scale/scale.py"
RELEASE = ROOT / "build"
NOT_HERE = "only in the long form, and with the release build"


def row(name, part, **less):
    return pytest.param(part, id=name, marks=pytest.mark.fault(name, **less))


@pytest.mark.skipif(not catalogue.LONG or not (RELEASE / "tests/programs/load").exists(), reason=NOT_HERE)
@pytest.mark.parametrize("part", [
    row("E01", "queued"),
    row("E02", "busy"),
    row("E03", "idle"),
    row("E05", "slow"),
    row("E16", "soak", weaker="20 million tasks, not 100"),
    row("G14", "flood"),
])
def test_its_figures_are_within_their_goals(part):
    done = subprocess.run([sys.executable, SCALE, part], env=environment({"SCOOP_BUILD": str(RELEASE)}), text=True,
                          capture_output=True, timeout=2400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
