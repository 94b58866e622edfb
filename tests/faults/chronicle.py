"""What happened to each task, as clients and functions wrote it down themselves (programs/chronicle.c), and whether that is
what docs/PROTOCOL.md promises. No counter of a program is believed.

    history = History(path)
    assert history.problems() == []
"""

import collections
import os
import pathlib

Event = collections.namedtuple("Event", "ns what number word value pid")


class History:
    def __init__(self, path):
        self.path = pathlib.Path(path)

    def events(self, what=None):
        """In the order in which they were written; a line that a death cut short is none."""
        if not self.path.exists():
            return []
        lines = (line.split() for line in self.path.read_text().splitlines() if line.count(" ") == 5)
        return [Event(int(ns), event, int(number), word, int(value), int(pid))
                for ns, event, number, word, value, pid in lines if what in (None, event)]

    def count(self, what):
        """How many events of this kind there are; quick, for those who wait for them."""
        return self.path.read_bytes().count(f" {what} ".encode()) if self.path.exists() else 0

    def begin_anew(self):
        """Nothing happened yet. Who writes goes on at the beginning of the file."""
        if self.path.exists():
            os.truncate(self.path, 0)

    def problems(self, runs_allowed=None, clients=1):
        """Sentences that say what was not kept; [] when all was. To be asked when all clients have ended.

        runs_allowed: how often a task may have begun; None: as often as it likes.
        clients: how many may have asked for a task's result, each of which gets it once.
        """
        tasks = collections.defaultdict(lambda: collections.defaultdict(list))
        for event in self.events():
            tasks[event.number][event.what].append(event)
        return [f"task {number} {problem}" for number, task in sorted(tasks.items())
                for problem in problems_of(task, number, runs_allowed, clients)]


def problems_of(task, number, runs_allowed, clients):
    """task: the events of one task, by kind."""
    delivered, started = task["deliver"], task["start"]
    answers = {event.word for event in task["cancel"]}
    accepted = not task["ack"] or any(event.word == "ok" for event in task["ack"])
    if started and not task["submit"]:
        yield "began, and nobody submitted it"
    if task["submit"] and accepted and not delivered:
        yield "is lost: it was accepted, and no result came"
    if len(delivered) > clients:
        yield f"was delivered {len(delivered)} times"
    if len({(event.word, event.value) for event in delivered}) > 1:
        yield "was delivered with two outcomes"
    for event in delivered:
        yield from problems_of_delivery(event, task, number, answers)
    if started and "never-ran" in answers:
        yield "was said to have never run, and began"
    if started and not accepted and not any(event.word not in ("ok", "refused") for event in task["ack"]):
        yield "was refused, and began"
    if runs_allowed is not None and len(started) > runs_allowed:
        yield f"began {len(started)} times; {runs_allowed} were allowed"


def problems_of_delivery(delivery, task, number, answers):
    cancelled = answers - {"too-late"}
    if delivery.word == "ok":
        if delivery.value != number ** 2:
            yield f"has a wrong value, {delivery.value}"
        if not any(end.ns <= delivery.ns for end in task["end"]):
            yield "was delivered before it had ended anywhere"
        if cancelled:
            yield f"was cancelled ({', '.join(sorted(cancelled))}), and delivered"
    elif delivery.word != "cancelled" or not cancelled:
        yield f"ended as {delivery.word}"
