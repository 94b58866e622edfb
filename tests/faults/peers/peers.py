#!/usr/bin/python3
"""The same faults done to scoop and to its peers, and the same question: was the one right result of each task that had
been submitted delivered exactly once, at most 30 s after the fault? Prints a table for docs/TRUST.md.

usage: peers.py [--only SYSTEM] [--row ROW] [--beside N]
"""

import argparse
import collections
import concurrent.futures
import pathlib
import signal
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "integration")]

import systems  # noqa: E402

TASKS = 12
LIMIT_S = 30
POISON = 5


class Run:
    """One system, one fault."""

    def __init__(self, make, poison=-1):
        self.folder = tempfile.TemporaryDirectory(prefix="peers")
        self.system = make(pathlib.Path(self.folder.name), poison)
        self.out = open(f"{self.folder.name}/results", "ab+")
        self.clients = []
        self.wanted = set()

    def results(self):
        return pathlib.Path(f"{self.folder.name}/results").read_text(encoding="ascii", errors="replace").splitlines()

    def begin(self, first=0, count=TASKS):
        self.clients.append(self.system.client(first, count, self.out))
        self.wanted |= set(range(first, first + count))
        return self.clients[-1]

    def started(self):
        """Wait for the first result: then all are submitted, and some run."""
        self.wait(lambda: self.results(), 60, "no first result")

    def wait(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(what)
            self.system.supervise()
            time.sleep(0.05)

    def pause(self, seconds):
        """A part of the fault, not a wait for something."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() >= end, seconds + 5, "")

    def complete(self):
        return {line.split()[0] for line in self.results()} >= {str(i) for i in self.wanted}

    def verdict(self, asked_again=False):
        """Whatever more comes within a second after all are there would be a second one, unless that was asked for."""
        try:
            self.wait(self.complete, LIMIT_S, "")
            self.pause(1)
        except TimeoutError:
            pass
        seen = collections.defaultdict(list)
        for line in dict.fromkeys(self.results()) if asked_again else self.results():
            seen[line.split()[0]].append(" ".join(line.split()[1:]))
        lost = sum(str(i) not in seen for i in self.wanted)
        twice = sum(len(seen[str(i)]) > 1 for i in self.wanted)
        good = {str(i): ["failed"] if i == self.poison() else [str(i * i + 1)] for i in self.wanted}
        told = sum(seen[i] == ["failed"] != good[i] for i in good)
        wrong = sum(seen[i] not in ([], good[i], ["failed"]) and len(seen[i]) == 1 for i in good)
        words = [f"{lost} of {len(self.wanted)} never came" if lost else "", f"{told} of {len(self.wanted)} failed" if told
                 else "", f"{twice} twice" if twice else "", f"{wrong} wrong" if wrong else ""]
        return ", ".join(filter(None, words)) or "yes"

    def poison(self):
        return int(self.system.env["PEERS_POISON"])

    def end(self):
        self.system.end()
        self.out.close()
        self.folder.cleanup()


def scheduler_killed(run):
    run.system.start()
    run.begin()
    run.started()
    run.system.kill(run.system.scheduler)
    run.system.scheduler = run.system.begin_scheduler()
    return run.verdict()


def everything_killed(run):
    run.system.start()
    run.begin()
    run.started()
    run.system.kill(run.system.scheduler)
    for worker in run.system.workers:
        run.system.kill(worker)
    run.system.scheduler = run.system.begin_scheduler()
    return run.verdict()


def worker_killed(run):
    run.system.start()
    run.begin()
    run.started()
    worker, run.system.workers[0] = run.system.workers[0], None
    run.system.kill(worker)
    return run.verdict()


def worker_stopped(run):
    run.system.start()
    run.begin()
    run.started()
    worker, run.system.workers[0] = run.system.workers[0], None
    run.system.signal(worker, signal.SIGSTOP)
    return run.verdict()


def worker_came_back(run):
    run.system.start()
    run.begin()
    run.started()
    run.system.signal(run.system.workers[0], signal.SIGSTOP)
    run.pause(12)
    run.system.signal(run.system.workers[0], signal.SIGCONT)
    return run.verdict()


def client_killed(run):
    run.system.start()
    client = run.begin()
    run.started()
    run.system.kill(client)
    if run.system.collect(0, TASKS, run.out) is None:
        return "no: they are its own"
    return run.verdict(asked_again=True)


def client_stopped(run):
    run.system.start()
    client = run.begin()
    run.started()
    run.system.signal(client, signal.SIGSTOP)
    run.begin(100, 4)
    run.wait(lambda: sum(line.startswith("10") and len(line.split()[0]) == 3 for line in run.results()) == 4, LIMIT_S,
             "the other one waits")
    run.system.signal(client, signal.SIGCONT)
    return run.verdict()


def poison(run):
    run.system.start()
    run.begin()
    return run.verdict()


def stranger(run):
    run.system.start()
    return f"no: {run.system.password}" if not run.system.stranger() else f"taken (there is: {run.system.password})"


ROWS = {
    "scheduler": ("kill -9 of the scheduler while tasks run and wait; started again", scheduler_killed),
    "all": ("kill -9 of scheduler and workers; started again", everything_killed),
    "worker": ("kill -9 of one of two workers", worker_killed),
    "stopped": ("SIGSTOP of one of two workers, for good", worker_stopped),
    "back": ("SIGSTOP of one of two workers for 12 s, then SIGCONT", worker_came_back),
    "client": ("kill -9 of the client; another one asks", client_killed),
    "reader": ("SIGSTOP of a client while another submits; then SIGCONT", client_stopped),
    "poison": ("a task that kills its worker's process each time: told as failed once, all others right", poison),
    "stranger": ("a task of somebody without password or key", stranger),
}


def attempt(make, row):
    _, inject = ROWS[row]
    run = Run(make, POISON if row == "poison" else -1)
    try:
        return inject(run)
    except (TimeoutError, AssertionError) as problem:
        return f"no: {problem}"
    finally:
        run.end()


def all_rows(make, rows):
    found = {}
    for row in rows:
        found[row] = attempt(make, row)
        print(f"{make.name} ({make.mode}): {row}: {found[row]}", file=sys.stderr, flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="one system, by the name of its class")
    parser.add_argument("--row", choices=ROWS, help="one fault")
    parser.add_argument("--beside", type=int, default=3, help="systems at a time (3)")
    given = parser.parse_args()
    makes = [make for make in systems.ALL if given.only in (None, make.__name__)]
    rows = [given.row] if given.row else list(ROWS)
    with concurrent.futures.ThreadPoolExecutor(given.beside) as pool:
        columns = list(pool.map(lambda make: all_rows(make, rows), makes))
    print("| | " + " | ".join(f"{make.name}: {make.mode}" for make in makes) + " |")
    print("|---" * (len(makes) + 1) + "|")
    for row in rows:
        print(f"| {ROWS[row][0]} | " + " | ".join(column[row] for column in columns) + " |")
    good = ("yes", "no: they are its own", "no: CURVE keys")
    return any(value not in good for make, column in zip(makes, columns) if make.name == "scoop"
               for value in column.values())


if __name__ == "__main__":
    sys.exit(main())
