"""Rows that the simulator shows: worlds in which just this goes wrong, checked at every step; see docs/TRUST.md."""

import re
import subprocess

import catalogue
import pytest
from programs import build_folder, environment

WORLDS = 20000 if catalogue.LONG else 40


def row(name, *kinds, **less):
    return pytest.param(kinds, id=name, marks=pytest.mark.fault(name, **less))


def simulate(*arguments):
    return subprocess.run([build_folder() / "bin" / "simulate", *arguments], env=environment(), text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False)


def without_all_but(kinds):
    every = re.search(r"nothing of this kind happens:\n(.*)", simulate("--help").stdout, re.S).group(1).split()
    assert set(kinds) <= set(every)
    return [word for kind in every if kind not in kinds for word in ("--without", kind)]


@pytest.mark.parametrize("kinds", [
    row("A10", "client-crash"),
    row("A14", "agent-crash", "reset", "delay"),
    row("A15", "broker-crash", "durable"),
    row("B07", "drift", "cancel", "agent-stall", "agent-pause"),
    row("B10", "broker-pause", "agent-pause", weaker="for 7 s, not an hour"),
    row("C07", "drop", "duplicate", "reorder"),
    row("C13", "clog"),
    row("D05", "broker-crash", "durable", "client-crash"),
    row("M01", "cancel"),
    row("M02", "cancel", "delay"),
    row("M03", "cancel", "hangs"),
    row("M04", "cancel", "delay", "reorder"),
    row("M05", "cancel", "duplicate"),
    row("M06", "cancel", "duplicate", "reorder"),
    row("M07", "cancel", "broker-crash", "durable"),
    row("M08", "cancel", "agent-crash", "agent-pause", "agent-stall"),
    row("M09", "agent-stall", "echo", "delay"),
    row("M10", "reset", "hangs"),
    row("M11", "reset", "drop", "duplicate"),
    row("M12", "drop", "reset"),
    row("M13", "drop", "reset", "durable"),
    row("M14", "agent-stall", "delay", "reset"),
    row("M15", "hangs", "delay", "expiry"),
    row("M16", "client-crash", "one-way", "reset", "delay"),
])
def test_nothing_is_violated_in_worlds_where_this_goes_wrong(kinds):
    ended = simulate("--seeds", str(WORLDS), *without_all_but(kinds))
    assert ended.returncode == 0, ended.stdout[-4000:]
    assert ended.stdout.endswith(": no violation\n")
