#!/usr/bin/env python3
"""The rows of docs/FAULTS.md, and what came of them.

A test that shows a row says so, wherever it is:

    @pytest.mark.fault("A01")                                   # or several: ("F01", "F02")
    @pytest.mark.fault("A03", short="5 times, not 100")         # less than the row wants, but for the long form
    @pytest.mark.fault("B01", weaker="without late results")    # less than the row wants, in any form

`weaker` and `short` are reasons; a row of which nothing else was shown counts as weaker, and not as passed. The long form
is that of ./check faults-long. Where SCOOP_FAULTS_LOG names a file, pytest writes there what came of each such test.

usage: catalogue.py LOG...    prints the table of all rows; its last line is "N of ALL rows passed"
       catalogue.py --write   brings the table of docs/TRUST.md up to date: which rows have a test, in full or weaker
"""

import collections
import os
import pathlib
import re
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "FAULTS.md"
TRUST = TESTS.parent / "docs" / "TRUST.md"
LONG = os.environ.get("SCOOP_FAULTS") == "long"

Row = collections.namedtuple("Row", "id where fault expected")
Record = collections.namedtuple("Record", "row outcome weaker reason test")


def rows():
    """All rows of the page, by id."""
    lines = re.findall(r"^\| ([A-M]\d\d) \| ([DPW ]+) \| (.+) \| (.+) \|$", PAGE.read_text(), re.M)
    return {row.id: row for row in (Row(*line) for line in lines)}


def marked(item):
    """What a test's markers say: [(row, why it is weaker or "")]."""
    return [(row, marker.kwargs.get("weaker") or ("" if LONG else marker.kwargs.get("short", "")))
            for marker in item.iter_markers("fault") for row in marker.args]


def verdict(records):
    """What came of a row, and why: of its tests those that are not weaker count, when there are some."""
    whole = [record for record in records if not record.weaker] or records
    for outcome, among in (("failed", records), ("skipped", whole)):
        reasons = [record.reason or record.test for record in among if record.outcome == outcome]
        if reasons:
            return outcome, reasons[0]
    if not whole:
        return "not tried", ""
    weaker = sorted({record.weaker for record in whole if record.weaker})
    return ("weaker", "; ".join(weaker)) if weaker else ("passed", "")


def read(paths):
    """The records of all logs, by row."""
    found = collections.defaultdict(list)
    for path in paths:
        for line in pathlib.Path(path).read_text().splitlines():
            record = Record(*line.split("\t"))
            found[record.row].append(record)
    return found


def table(found):
    """The lines of the table."""
    counts = collections.Counter()
    for row in rows().values():
        outcome, reason = verdict(found[row.id])
        counts[outcome] += 1
        yield f"{row.id}  {row.where:5}  {outcome:9}  {row.fault}{f' ({reason})' if reason else ''}"
        for test in sorted({record.test for record in found[row.id]}):
            yield f"{'':23}by {test}"
    total = sum(counts.values())
    yield ""
    yield ", ".join(f"{counts[name]} {name}" for name in ("failed", "skipped", "weaker", "not tried"))
    yield f"{counts['passed']} of {total} rows passed"


def carried():
    """The rows that tests carry, whether they can be run here or not: {row: in full?}. All tests are collected for it."""
    found = collections.defaultdict(bool)
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as log:
        for folder in ("integration", "faults", "swarm"):
            subprocess.run([sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider", TESTS / folder],
                           env={**os.environ, "SCOOP_FAULTS": "long", "SCOOP_FAULTS_CARRIED": log.name},
                           stdout=subprocess.DEVNULL, check=True)
        for line in log:
            row, less = line.split()
            found[row] |= less == "full"
    return found


def carry(item, path):
    """Tell carried() about the markers of one test."""
    with open(path, "a", encoding="utf-8") as log:
        for marker in item.iter_markers("fault"):
            log.writelines(f"{row} {'weaker' if marker.kwargs.get('weaker') else 'full'}\n" for row in marker.args)


def groups():
    """The lines of docs/TRUST.md: | A. Processes are killed | 16 rows | 5 in full | those weaker | those without |"""
    shown = carried()
    for group, title in re.findall(r"^## ([A-M])\. (.+)$", PAGE.read_text(), re.M):
        ids = [row for row in rows() if row.startswith(group)]
        weaker = [row for row in ids if row in shown and not shown[row]]
        none = [row for row in ids if row not in shown]
        yield f"| {group}. {title} | {len(ids)} | {len(ids) - len(weaker) - len(none)} | " \
            f"{' '.join(weaker) or '-'} | {' '.join(none) or '-'} |"


def write_groups():
    text = TRUST.read_text()
    for line in groups():
        text = re.sub(rf"^\| {line[2]}\. .*$", line, text, flags=re.M)
    TRUST.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        sys.exit(write_groups())
    print("\n".join(table(read(sys.argv[1:]))))
