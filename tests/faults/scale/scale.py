#!/usr/bin/python3
"""What much of everything costs: broker, agents and clients of the release build, as real processes of this machine, clients
over TCP with CURVE. Each part prints its figures, with the goal where there is one, and fails when one is missed.

usage: scale.py [PART...] [--tasks N] [--seconds N]    all parts when none is named

  queued  a million tasks of 64 bytes wait: memory of the broker, time of a submit, the order in which they run
  idle    10 000 connections that say nothing: memory, when they are closed, what another client notices
  slow    a client that reads no results: memory, what another client notices
  busy    a client that submits faster than work is done, for --seconds (600): memory
  flood   a client that sends 100 000 messages a second: what another client notices
  soak    --tasks (20 000 000) one after the other: descriptors and memory of broker, agent and executors
"""

import argparse
import contextlib
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "kill"))
sys.path.insert(0, str(FOLDER.parents[1] / "integration"))

import zmq  # noqa: E402
from campaign import Process  # noqa: E402
from fake_broker import text  # noqa: E402
from programs import binary, environment, free_port  # noqa: E402

PROGRAM = "../tests/programs/load"
MIB = 1 << 20
BACKLOG = 90  # of ZeroMQ: connections that wait to be accepted


class Missed(Exception):
    """A figure is not what it should be."""


class Site:
    """A broker, which clients reach over TCP, and agents on a Unix socket."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.keys = {}
        for name in ("broker", "client"):
            public, secret = zmq.curve_keypair()
            self.keys[name] = public, secret
            for suffix, words in (("", secret), (".pub", public)):
                (self.folder / f"{name}{suffix}").write_bytes(words + b"\n")
                (self.folder / f"{name}{suffix}").chmod(0o400)
        self.port = free_port()
        self.workers = f"ipc://{folder}/workers"
        self.broker = Process("broker", "broker", [
            binary("scoop-broker"), "--client-listen", f"tcp://127.0.0.1:{self.port}", "--worker-listen", self.workers,
            "--curve-key", self.folder / "broker", "--client-keys", self.folder / "client.pub",
            "--run-dir", self.folder / "run", "--listen", "127.0.0.1:0"], self.folder)
        self.agents = []
        self.clients = []

    def start_agent(self, slots):
        agent = Process("agent", f"agent-{len(self.agents)}", [
            binary("scoop-worker"), "run", "--broker", self.workers, "--slots", slots, "--programs",
            pathlib.Path(binary(PROGRAM)).parent, "--grace-ms", "0"], self.folder)
        self.agents.append(agent)
        return agent

    def client(self, *words):
        env = {"SCOOP_BROKER": f"tcp://127.0.0.1:{self.port}", "SCOOP_CLIENT_KEY_FILE": str(self.folder / "client"),
               "SCOOP_BROKER_KEY_FILE": str(self.folder / "broker.pub")}
        client = subprocess.Popen([binary(PROGRAM), *map(str, words)], env=environment(env), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.clients.append(client)
        return client

    def lone(self, count=1000):
        """The 99th percentile of submit -> result of another client, in us."""
        client = self.client("lone", count)
        return values_of(client.communicate(timeout=300)[0])["lone_p99_us"]

    def end(self):
        for client in self.clients:
            client.kill()
            client.wait()
            client.stdin.close()
            client.stdout.close()
        for process in [*self.agents, self.broker]:
            process.process.terminate()
            process.process.wait(15)


@contextlib.contextmanager
def site():
    folder = tempfile.mkdtemp(prefix="scoop-scale-")
    there = Site(folder)
    try:
        yield there
    finally:
        there.end()
        shutil.rmtree(folder)


def values_of(lines):
    return {name: float(value) for name, value in re.findall(r"^(\w+) ([\d.]+)$", lines, re.M)}


def wait_for(client, name):
    """Read a client's lines up to this one; all values."""
    lines = ""
    for line in client.stdout:
        lines += line
        if line.startswith(name):
            return values_of(lines)
    raise Missed(f"the client ended without \"{name}\":\n{lines}")


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def highest(pid, seconds, until=lambda: False):
    """The most memory that a process has meanwhile."""
    most, deadline_s = resident(pid), time.monotonic() + seconds
    while time.monotonic() < deadline_s and not until():
        most = max(most, resident(pid))
        time.sleep(0.02)
    return max(most, resident(pid))


def settled(pid):
    """Its memory, when that has not grown by more than 1 % in three seconds."""
    deadline_s, before = time.monotonic() + 120, 0
    while (now := highest(pid, 3)) > before * 1.01 and time.monotonic() < deadline_s:
        before = now
    return now


def show(what, value, unit, goal=None):
    """A figure; `goal`: it may be that much."""
    missed = goal is not None and value > goal
    wanted = "" if goal is None else f"  (goal: at most {goal:g}{', MISSED' if missed else ''})"
    print(f"  {what}: {value:.4g} {unit}{wanted}", flush=True)
    return [what] if missed else []


def queued(options):
    with site() as s:
        count = options.queued
        empty = resident(s.broker.pid)
        client = s.client("queue", count)
        values = wait_for(client, "queued")
        full = resident(s.broker.pid)
        missed = show(f"memory of the broker with {count} tasks of 64 bytes", full / MIB, "MiB", 300)
        show("of this for each task", (full - empty) / count, "bytes")
        show("a submit, p99 of the first tenth", values["first_p99_us"], "us")
        missed += show("p99 of the last tenth", values["last_p99_us"], "us", 2 * values["first_p99_us"] + 5)
        s.start_agent(1)
        client.stdin.write("\n")
        client.stdin.flush()
        return missed + show("tasks that ran out of order", wait_for(client, "out_of_order")["out_of_order"], "", 0)


class Idlers:
    """Connections that say nothing: how many were made, and how long each lasted that was closed."""

    def __init__(self, port):
        self.port = port
        self.poll = select.epoll()
        self.made = 0
        self.open = {}
        self.since_s = {}
        self.lasted_s = []

    def more(self, count):
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(("127.0.0.1", self.port))
            self.open[sock.fileno()] = sock
            self.since_s[sock.fileno()] = time.monotonic()
            self.poll.register(sock.fileno(), select.EPOLLIN)
            self.made += 1

    def look(self):
        for fd, _ in self.poll.poll(0.02):
            if self.is_closed(fd):
                self.poll.unregister(fd)
                self.open.pop(fd).close()
                self.lasted_s.append(time.monotonic() - self.since_s[fd])

    def is_closed(self, fd):
        try:
            while self.open[fd].recv(4096):  # the broker's greeting
                pass
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True


def idle(options):
    """No more wait to be accepted than a listener takes, else some would never come to be."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))
    with site() as s:
        s.start_agent(2)
        before_us = s.lone()
        before = most = resident(s.broker.pid)
        usual = descriptors(s.broker.pid) + 8  # another client comes
        client = s.client("lone", 1000)
        idlers, most_open, still_open, begin_s = Idlers(s.port), 0, 1, time.monotonic()
        while (idlers.made < options.connections or still_open > 0) and time.monotonic() - begin_s < 60:
            still_open = descriptors(s.broker.pid) - usual
            most_open = max(most_open, still_open)
            most = max(most, resident(s.broker.pid))
            if idlers.made < options.connections and len(idlers.lasted_s) + still_open > idlers.made - BACKLOG:
                idlers.more(min(80, options.connections - idlers.made))
            idlers.look()
        during_us = values_of(client.communicate(timeout=300)[0])["lone_p99_us"]
        show("connections", idlers.made, "")
        show("of them at the same time", most_open, "")
        missed = show("memory of the broker for them", (most - before) / MIB, "MiB", 64)
        missed += show("that are not closed in the end", max(still_open, 0), "", 0)
        missed += show("the longest one lasts", max(idlers.lasted_s), "s", 5)
        show("another client's submit -> result, p99 before", before_us, "us")
        return missed + show("and meanwhile", during_us, "us", 2 * before_us)


def slow(options):
    with site() as s:
        s.start_agent(2)
        client = s.client("stream", 1000000, 0)  # all of its credit
        wait_for(client, "done")
        usual = settled(s.broker.pid)
        before_us = s.lone()
        client.send_signal(signal.SIGSTOP)
        most = highest(s.broker.pid, 10)
        during_us = s.lone()
        client.send_signal(signal.SIGCONT)
        wait_for(client, "done")
        missed = show("memory of the broker for a client that stands still", (most - usual) / MIB, "MiB", 1)
        show("another client's submit -> result, p99 before", before_us, "us")
        return missed + show("and meanwhile", during_us, "us", 2 * before_us)


def busy(options):
    with site() as s:
        s.start_agent(2)
        s.client("stream", 3000000, 0)
        full = settled(s.broker.pid)
        later = highest(s.broker.pid, options.seconds)
        show("memory of the broker when the client has used up its credit", full / MIB, "MiB")
        return show(f"more after {options.seconds} s", (later - full) / MIB, "MiB", full / MIB / 100)


def flooder(s):
    """An admitted client that has said HELLO, by hand."""
    peer = zmq.Context.instance().socket(zmq.DEALER)
    peer.linger = 0
    peer.curve_publickey, peer.curve_secretkey = s.keys["client"]
    peer.curve_serverkey = s.keys["broker"][0]
    peer.connect(f"tcp://127.0.0.1:{s.port}")
    hello = struct.pack(">BBHIQQQ", 1, 1, 0, 1, 4711, 0, 0) + struct.pack(">BIQII", 1, 1, 815, 0, 0)
    peer.send(hello + text("host") + text("flooder") + text("0") + text(""))
    if not peer.poll(5000):
        raise Missed("the flooder is not welcome")
    return peer


def flood(options):
    ping = struct.pack(">BBHIQQQ", 1, 7, 0, 1, 4711, 0, 0) + struct.pack(">QQ", 0, 0)
    with site() as s:
        s.start_agent(2)
        before_us = s.lone()
        peer = flooder(s)
        client = s.client("lone", 1000)
        sent, begin_s = 0, time.monotonic()
        while client.poll() is None:
            for _ in range(100):
                with contextlib.suppress(zmq.Again):
                    peer.send(ping, zmq.DONTWAIT)
                    sent += 1
            with contextlib.suppress(zmq.Again):
                while True:
                    peer.recv(zmq.DONTWAIT)
            ahead_s = sent / 100000 - (time.monotonic() - begin_s)
            if ahead_s > 0:
                time.sleep(ahead_s)
        during_us = values_of(client.stdout.read())["lone_p99_us"]
        show("messages a second of one client", sent / (time.monotonic() - begin_s), "")
        show("another client's submit -> result, p99 before", before_us, "us")
        missed = show("and meanwhile", during_us, "us", 2 * before_us)
        peer.close()
        return missed


def soak(options):
    """Medians of what is seen in the fifth tenth, when the heap has seen the most that is ever under way, and in the last."""
    with site() as s:
        agent = s.start_agent(2)
        client = s.client("stream", 50000, options.tasks)
        begin_s, tenths = time.monotonic(), [[] for _ in range(11)]
        for line in client.stdout:
            name, value = line.split()
            if name == "ended":
                break
            tenths[10 * int(value) // options.tasks].append(measure(s, agent))
        show("tasks", int(value), "")
        show("tasks a second", int(value) / (time.monotonic() - begin_s), "")
        missed = []
        for name in tenths[4][0]:
            files = [middle(seen, name, 0) for seen in tenths[:10]]
            memory = [middle(seen, name, 1) for seen in tenths[:10]]
            missed += show(f"{name}: more descriptors", files[9] - files[4], "", 0)
            missed += show(f"{name}: more memory", 100 * (memory[9] / memory[4] - 1), "%", 1)
            print(f"    MiB in each tenth: {' '.join(f'{bytes / MIB:.2f}' for bytes in memory)}", flush=True)
        return missed


def middle(seen, name, index):
    """The median of a figure; infinite when the process is not there any more, or was not yet."""
    return statistics.median([measured[name][index] for measured in seen if name in measured] or [float("inf")])


def measure(s, agent):
    processes = {"broker": s.broker.pid, "agent": agent.pid}
    for number, pid in enumerate(sorted(agent.children())):
        processes[f"executor {number} ({pid})"] = pid
    return {name: (descriptors(pid), resident(pid)) for name, pid in processes.items()}


PARTS = {"queued": queued, "idle": idle, "slow": slow, "busy": busy, "flood": flood, "soak": soak}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", metavar="PART", choices=[[], *PARTS])
    parser.add_argument("--tasks", type=int, default=20000000)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--queued", type=int, default=1000000)
    parser.add_argument("--connections", type=int, default=10000)
    options = parser.parse_args()
    missed = []
    for name in options.part or PARTS:
        print(f"{name}:", flush=True)
        missed += [f"{name}: {what}" for what in PARTS[name](options)]
    print(f"missed: {'; '.join(missed)}" if missed else "every goal was met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
