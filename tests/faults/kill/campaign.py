#!/usr/bin/python3
"""The kill campaign: real processes on this machine, of which one after the other gets SIGKILL at a random time and is
started again at once, while clients submit tasks whose results can be checked. Afterwards history.py says what happened to
each task, from what clients and functions wrote down.

One broker with its journal in a Redis (appendfsync always), agents with executors of the program "campaign", clients with
tasks of their session over TCP with CURVE, clients with durable tasks (which are killed, too).

usage: campaign.py [--seed N] [--tasks N] [--broker N] [--agent N] [--executor N] [--redis N] [--client N] [--folder DIR]
The numbers are goals: it ends when there were as many tasks, and as many kills of each kind. --seconds N: it ends then in any case.
"""

import argparse
import collections
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/integration"))

import zmq  # noqa: E402
from history import DELIVERED, History, count  # noqa: E402
from programs import binary, environment, free_port  # noqa: E402

PROGRAM = "../tests/programs/campaign"
# Kills of each kind are independent of each other; these are mean times between two.
MEAN_S = {"broker": 1.0, "agent": 1.2, "executor": 0.2, "redis": 2.0, "client": 4.0}
DRAIN_S = 150    # when nothing is killed any more all must end; a client that has no broker gives up after 120 s
PROGRESS_S = 10
TICK_S = 0.02


class Process:
    """A program that is started again after it was killed; what it says is in a file."""

    def __init__(self, kind, name, command, folder, env=None):
        self.kind = kind
        self.name = name
        self.command = [str(word) for word in command]
        self.log = folder / f"{name}.txt"
        self.env = environment(env)
        self.process = None
        self.starts = 0
        self.start()

    def start(self):
        self.starts += 1
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        self.process.kill()
        self.process.wait()

    def has_ended(self):
        return self.process.poll() is not None

    def is_ready(self):
        """A client says so, once it has a handler for SIGTERM."""
        return self.has_ended() or self.log.read_text(errors="replace").count("campaign: ready") == self.starts

    def children(self):
        found = []
        try:
            for task in os.listdir(f"/proc/{self.pid}/task"):
                found += pathlib.Path(f"/proc/{self.pid}/task/{task}/children").read_text().split()
        except OSError:
            pass
        return [int(pid) for pid in found]

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


class Campaign:
    def __init__(self, folder, seed, goals, say, agents=3, slots=2, sessions=3, durables=2, mean_s=None):
        self.folder = pathlib.Path(folder)
        self.seed = seed
        self.goals = goals
        self.say = say
        self.dice = random.Random(seed)
        self.mean_s = {**MEAN_S, **(mean_s or {})}
        self.kills = collections.Counter()
        self.problems = []
        self.delivered = 0
        self.read_to = collections.Counter()
        self.begin_s = time.monotonic()
        self.start_all(agents, slots, sessions, durables)
        self.due_s = {kind: self.next_s(kind) for kind in self.mean_s}

    # ---- starting ----

    def start_all(self, agents, slots, sessions, durables):
        self.make_keys()
        self.redis = self.start_redis()
        self.broker = self.start_broker()
        self.agents = [self.start_agent(number, slots) for number in range(agents)]
        self.sessions = [self.start_client("session", number, 1500) for number in range(sessions)]
        self.durables = [self.start_client("durable", 100 + number, 300) for number in range(durables)]

    def make_keys(self):
        for name in ("broker_key", "client_key"):
            public, secret = zmq.curve_keypair()
            for path, text in ((self.folder / name, secret), (self.folder / f"{name}.pub", public)):
                path.write_bytes(text + b"\n")
                path.chmod(0o400)

    def start_redis(self):
        data = self.folder / "redis"
        data.mkdir()
        self.redis_port = free_port()
        return Process("redis", "redis", ["redis-server", "--port", self.redis_port, "--bind", "127.0.0.1", "--dir", data,
                                          "--appendonly", "yes", "--appendfsync", "always", "--save", ""], self.folder)

    def start_broker(self):
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.workers = f"ipc://{self.folder}/workers"
        return Process("broker", "broker", [
            binary("scoop-broker"), "--client-listen", self.endpoint, "--worker-listen", self.workers,
            "--curve-key", self.folder / "broker_key", "--client-keys", self.folder / "client_key.pub",
            "--run-dir", self.folder / "run", "--listen", "127.0.0.1:0",
            "--journal", f"redis://127.0.0.1:{self.redis_port}", "--journal-mark", self.folder / "mark"], self.folder)

    def start_agent(self, number, slots):
        return Process("agent", f"agent-{number}", [
            binary("scoop-worker"), "run", "--broker", self.workers, "--slots", slots, "--programs",
            pathlib.Path(binary(PROGRAM)).parent, "--grace-ms", "0"], self.folder,
                       {"EVIDENCE": str(self.folder / "evidence")})

    def start_client(self, verb, number, window):
        return Process("client" if verb == "durable" else "session", f"client-{number}", [
            binary(PROGRAM), verb, self.folder / f"client-{number}.log", number, self.seed, window], self.folder,
                       {"SCOOP_BROKER": self.endpoint, "SCOOP_CLIENT_KEY_FILE": str(self.folder / "client_key"),
                        "SCOOP_BROKER_KEY_FILE": str(self.folder / "broker_key.pub")})

    def everyone(self):
        return [*self.sessions, *self.durables, *self.agents, self.broker, self.redis]

    # ---- killing ----

    def next_s(self, kind):
        return time.monotonic() + self.dice.expovariate(1 / self.mean_s[kind])

    def event(self, kind, pid):
        self.kills[kind] += 1
        with open(self.folder / "events", "a", encoding="ascii") as events:
            events.write(f"{time.monotonic_ns()} {kind} {pid}\n")

    def kill_executor(self):
        pids = self.dice.choice(self.agents).children()
        if not pids:
            return
        pid = self.dice.choice(sorted(pids))
        self.event("executor", pid)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            self.kills["executor"] -= 1  # it has just ended with its agent

    def kill_one(self, kind):
        if kind == "executor":
            self.kill_executor()
            return
        victim = self.dice.choice([process for process in self.everyone() if process.kind == kind])
        self.event(kind, victim.pid)
        victim.kill()
        victim.start()

    def kill_what_is_due(self):
        for kind, due_s in self.due_s.items():
            if time.monotonic() >= due_s:
                self.kill_one(kind)
                self.due_s[kind] = self.next_s(kind)

    # ---- watching ----

    def look(self):
        """Nobody may end but by us."""
        for process in self.everyone():
            if process.has_ended():
                self.problems.append(f"{process.name} ended by itself with {process.process.returncode}; its last lines:\n"
                                     f"{process.tail()}")
        for client in [*self.sessions, *self.durables]:
            path = self.folder / f"{client.name}.log"
            if path.exists():
                more, self.read_to[path] = count(path, DELIVERED, self.read_to[path])
                self.delivered += more

    def reached(self):
        return self.delivered >= self.goals["tasks"] and all(
            self.kills[kind] >= self.goals.get(kind, 0) for kind in self.mean_s)

    def progress(self):
        kills = ", ".join(f"{kind} {self.kills[kind]}" for kind in self.mean_s)
        return (f"{time.monotonic() - self.begin_s:5.0f} s: {self.delivered} of {self.goals['tasks']} tasks; "
                f"kill -9: {kills}")

    def run(self, seconds=None):
        """Until the goals are reached."""
        shown_s = looked_s = time.monotonic()
        while not self.problems and not self.reached():
            self.kill_what_is_due()
            now_s = time.monotonic()
            if now_s - looked_s > 0.5:
                looked_s = now_s
                self.look()
            if now_s - shown_s > PROGRESS_S:
                shown_s = now_s
                self.say(self.progress())
            if seconds is not None and now_s - self.begin_s > seconds:
                break
            time.sleep(TICK_S)
        self.say(self.progress())

    def drain(self):
        """Nothing is killed any more: all that was asked for must end."""
        deadline_s = time.monotonic() + DRAIN_S
        clients = [*self.sessions, *self.durables]
        while not all(client.is_ready() for client in clients) and time.monotonic() < deadline_s:
            time.sleep(TICK_S)
        for client in clients:
            client.process.terminate()
        for client in clients:
            try:
                code = client.process.wait(max(0.1, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                code = "nothing: it still waits"
            if code != 0:
                self.problems.append(f"{client.name} ended with {code}; its last lines:\n{client.tail()}")

    def end(self):
        """Nobody is left."""
        for process in self.everyone():
            if not process.has_ended():
                process.process.terminate()
        for process in self.everyone():
            try:
                process.process.wait(15)
            except subprocess.TimeoutExpired:
                self.problems.append(f"{process.name} does not end on SIGTERM")
                process.kill()
        for path in self.folder.glob("*.txt"):
            text = path.read_text(errors="replace")
            if "Sanitizer" in text or "runtime error:" in text:
                self.problems.append(f"{path.name}: a sanitizer found something")

    def judge(self):
        """Lines of what is wrong, then a line that sums up; is all well?"""
        history = History(self.folder, self.seed).read()
        lines = [*self.problems, *history.report()]
        kills = ", ".join(f"{self.kills[kind]} {kind}" for kind in self.mean_s)
        lines.append(f"seed {self.seed}, {time.monotonic() - self.begin_s:.0f} s; kill -9: {kills}; {history.summary()}")
        return lines, not self.problems and not history.problems


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--tasks", type=int, default=2000000)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--folder", help="where it is kept; else it goes away when all was well")
    for kind, goal in (("broker", 200), ("agent", 200), ("executor", 1000), ("redis", 100), ("client", 50)):
        parser.add_argument(f"--{kind}", type=int, default=goal)
    return parser.parse_args()


def main():
    given = options()
    if given.folder:
        pathlib.Path(given.folder).mkdir(mode=0o700)
    folder = given.folder or tempfile.mkdtemp(prefix="scoop-kill-")
    campaign = Campaign(folder, given.seed, vars(given), lambda line: print(line, flush=True))
    try:
        campaign.run(given.seconds)
        campaign.drain()
    finally:
        campaign.end()
    lines, well = campaign.judge()
    print("\n".join(lines))
    if well and not given.folder:
        shutil.rmtree(folder)
    elif not well:
        print(f"what is left of it: {folder}", file=sys.stderr)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
