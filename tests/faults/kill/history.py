"""What happened to each task of a kill campaign, read from what its clients and functions wrote down (evidence.h), and
what of it must not have happened. Nothing here asks scoop.

A task of a session that was asked for, and is not delivered in the end, is lost. So is a durable one. A result that came
twice is delivered twice. It is wrong when it is an error, when its value or its bytes are not what the task has to
compute, when no execution of this very task gave it, or when a durable task has another one when it is asked again. A
task that its client has forgotten must not begin again.

usage: history.py FOLDER SEED                what is wrong, and a last line that sums up
       history.py FOLDER SEED CLIENT NUMBER  everything that is known of one task
"""

import array
import collections
import pathlib
import struct
import sys

RECORD = struct.Struct("=BBBBIQQQQII")
ASKED, ACCEPTED, RUN, DELIVERED, AGAIN, FORGETS, FORGOTTEN = range(1, 8)
NAMES = ["", "asked", "accepted", "run", "delivered", "again", "forgets", "forgotten"]
STATUS_OK, STATUS_CRASHED = 0, 2
MASK = (1 << 64) - 1
CHILDREN = 3
CRASHES_MAX = 3       # promise 5: so often in an executor that dies, and it is given up
SETTLED_NS = 10 * 10**9  # so long after it was forgotten no host can have it any more

Evidence = collections.namedtuple(
    "Evidence", "kind status child wrong client no time_ns value mark pid attempts")


def mix(x):
    x = (x + 0x9e3779b97f4a7c15) & MASK
    x = ((x ^ (x >> 30)) * 0xbf58476d1ce4e5b9) & MASK
    x = ((x ^ (x >> 27)) * 0x94d049bb133111eb) & MASK
    return x ^ (x >> 31)


def value_of(seed, client, no, child=0):
    return mix(seed ^ mix(client << 48 ^ child << 40 ^ no))


def nests(no):
    """work.c: kind_of()."""
    return no % 20000 % 500 == 250


def result_of(seed, client, no):
    last = CHILDREN if nests(no) else 0
    return sum(value_of(seed, client, no, child) for child in range(last + 1)) & MASK


def records(path):
    """All records of a file, as tuples; a file is read in parts."""
    with open(path, "rb") as file:
        while part := file.read(RECORD.size * 65536):
            yield from RECORD.iter_unpack(part[:len(part) - len(part) % RECORD.size])


def count(path, kind, offset=0):
    """How many records of this kind are in the file from `offset` on, and where it ends."""
    with open(path, "rb") as file:
        file.seek(offset)
        part = file.read()
    part = part[:len(part) - len(part) % RECORD.size]
    return part[::RECORD.size].count(kind), offset + len(part)


class Client:
    """What is known of the tasks of one client, by number."""

    def __init__(self):
        self.asked = bytearray()
        self.delivered = bytearray()
        self.forgotten = {}
        self.marks = array.array("Q")  # of the first execution of each, 0: none
        self.more_marks = collections.defaultdict(list)
        self.results = {}  # of durable ones, until they are forgotten

    def room(self, no):
        if no >= len(self.asked):
            more = no + 65536 - len(self.asked)
            self.asked.extend(bytes(more))
            self.delivered.extend(bytes(more))
            self.marks.extend([0] * more)

    def ran(self, no, mark):
        self.room(no)
        if self.marks[no] == 0:
            self.marks[no] = mark
        else:
            self.more_marks[no].append(mark)

    def was_run_by(self, no, mark):
        return mark != 0 and (self.marks[no] == mark or mark in self.more_marks.get(no, ()))


class History:
    def __init__(self, folder, seed):
        self.folder = pathlib.Path(folder)
        self.seed = seed
        self.clients = collections.defaultdict(Client)
        self.problems = []  # (what, client, no, text)
        self.counts = collections.Counter()
        self.killed = set()

    def logs(self):
        return sorted(self.folder.glob("client-*.log"))

    def note(self, what, client, no, text):
        self.counts[what] += 1
        self.problems.append((what, client, no, text))

    def read(self):
        """Everything; afterwards counts and problems are complete."""
        self.killed = {int(line.split()[2]) for line in self.events() if line.split()[1] == "executor"}
        for path in self.logs():
            for record in records(path):
                if record[0] == FORGOTTEN:
                    self.clients[record[4]].forgotten[record[5]] = record[6]
        for record in records(self.folder / "evidence"):
            self.take_run(Evidence(*record))
        for path in self.logs():
            for record in records(path):
                self.take(Evidence(*record))
        for number, client in self.clients.items():
            for no in range(len(client.asked)):
                if client.asked[no] and not client.delivered[no]:
                    self.note("lost", number, no, "it was asked for and never delivered")
        return self

    def events(self):
        path = self.folder / "events"
        return path.read_text().splitlines() if path.exists() else []

    def take_run(self, run):
        self.counts["executions"] += 1
        client = self.clients[run.client]
        if run.value != value_of(self.seed, run.client, run.no, run.child):
            self.note("wrong", run.client, run.no, "a function was given another argument")
        if run.child == 0:
            client.ran(run.no, run.mark)
        forgotten_ns = client.forgotten.get(run.no)
        if forgotten_ns is not None and run.time_ns > forgotten_ns + SETTLED_NS:
            self.note("wrong", run.client, run.no, "it ran again after it was forgotten")

    def take(self, record):
        client = self.clients[record.client]
        client.room(record.no)
        if record.kind == ASKED:
            self.counts["asked"] += not client.asked[record.no]
            client.asked[record.no] = 1
        elif record.kind == DELIVERED:
            self.take_delivered(client, record)
        elif record.kind == AGAIN and (record.status, record.value, record.mark) != client.results.get(record.no):
            self.note("wrong", record.client, record.no, "asked for once more it has another result")
        elif record.kind == ACCEPTED:
            self.counts["durable"] += 1
        elif record.kind == FORGOTTEN:
            client.results.pop(record.no, None)

    def take_delivered(self, client, record):
        if client.delivered[record.no]:
            self.note("twice", record.client, record.no, "it was delivered once more")
        self.counts["delivered"] += not client.delivered[record.no]
        client.delivered[record.no] = 1
        client.results[record.no] = (record.status, record.value, record.mark)
        if len(client.results) > 100000:  # of a session: nobody asks again
            client.results.clear()
        if record.status == STATUS_CRASHED and self.crashes(record) >= CRASHES_MAX:
            self.counts["given up"] += 1
        elif record.status != STATUS_OK:
            self.note("wrong", record.client, record.no, f"it ended with status {record.status}")
        elif record.wrong:
            self.note("wrong", record.client, record.no, "its result has other bytes")
        elif record.value != result_of(self.seed, record.client, record.no):
            self.note("wrong", record.client, record.no, "its value is another one")
        elif not client.was_run_by(record.no, record.mark):
            self.note("wrong", record.client, record.no, "no execution of it gave this result")

    def crashes(self, record):
        """How often it had begun in an executor that was killed later."""
        return sum(run.pid in self.killed for run in map(Evidence._make, records(self.folder / "evidence"))
                   if (run.client, run.no, run.child) == (record.client, record.no, 0))

    def story(self, client, no):
        """Lines: all that is known of a task, with what was killed from a second before to a second after."""
        paths = [*self.logs(), self.folder / "evidence"]
        found = [record for path in paths for record in map(Evidence._make, records(path))
                 if (record.client, record.no) == (client, no)]
        if not found:
            return ["nothing is known of it"]
        times = [record.time_ns for record in found]
        first, last = min(times) - 10**9, max(times) + 10**9
        lines = [(record.time_ns,
                  f"{NAMES[record.kind]}{f' child {record.child}' if record.child else ''} by {record.pid}: status "
                  f"{record.status}, value {record.value:016x}, mark {record.mark:016x}, attempts {record.attempts}"
                  f"{', WRONG' if record.wrong else ''}") for record in found]
        for line in self.events():
            time_ns, what = line.split(" ", 1)
            if first <= int(time_ns) <= last:
                lines.append((int(time_ns), f"-- {what}"))
        return [f"{(time_ns - first) / 10**9 - 1:10.4f} s  {text}" for time_ns, text in sorted(lines)]

    def report(self, most=5):
        """What is wrong, with the story of the first ones."""
        for what, client, no, text in self.problems[:most]:
            yield f"{what}: task {no} of client {client}: {text}"
            yield from (f"    {line}" for line in self.story(client, no))
        if len(self.problems) > most:
            yield f"... and {len(self.problems) - most} more"

    def summary(self):
        c = self.counts
        return (f"{c['asked']} tasks, {c['durable']} of them durable, {c['executions']} executions"
                f"{', %d rightly given up' % c['given up'] if c['given up'] else ''}: "
                f"{c['lost']} lost, {c['twice']} delivered twice, {c['wrong']} wrong")


def main(words):
    if len(words) not in (2, 4):
        sys.exit(__doc__)
    history = History(words[0], int(words[1]))
    if len(words) == 4:
        print("\n".join(history.story(int(words[2]), int(words[3]))))
        return 0
    for line in history.read().report():
        print(line)
    print(history.summary())
    return 1 if history.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
