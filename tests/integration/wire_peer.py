"""A client or an agent in the hands of a test, of the layouts in docs/PROTOCOL.md: it keeps the rules unless told not to."""

import random
import struct
import sys
import time

import zmq

from fake_broker import (ACK, BUILTIN, BYE, FUNCTION, GONE, HELLO, OUTCOMES, PING, REFUSED, RESULTS, SUBMIT, TASKS,
                         VARIABLE, VERSION, WELCOME, read_text, text)

CLIENT, AGENT = 1, 2
QUERY, STATUS, PARKED, CANCEL, NOTES, INPUT, NEED, WANT, PIECE, FORGET = range(15, 25)
TYPE_END = 25
REASON_VERSION, REASON_ROLE, REASON_FRAME, REASON_LIMIT = range(1, 5)
LOOSE = (HELLO, ACK, PING, QUERY)  # without a number


def frame(kind, link, body=b"", count=0, seq=0, ack=0, version=VERSION, flags=0):
    return struct.pack(">BBHIQQQ", version, kind, flags, count, link, seq, ack) + body


def hello_body(role, incarnation=None, slots=None, name="test"):
    slots = (2 if role == AGENT else 0) if slots is None else slots
    return (struct.pack(">BIQII", role, 1, incarnation or random.getrandbits(63) + 1, slots, 0) + text("host") +
            text(name) + text("0") + text(""))


def function_body(number, name, argument=VARIABLE, result=VARIABLE, program="", sha256=BUILTIN):
    return struct.pack(">III", number, argument, result) + sha256 + text(program) + text(name)


def run_body(function, arguments, first_no=1, argument=VARIABLE, limit_ms=0):
    """A run of SUBMIT, without options."""
    head = struct.pack(">HHIIIQ", function, 0, len(arguments), argument, limit_ms, first_no)
    if argument == VARIABLE:
        arguments = [struct.pack(">I", len(data)) + data for data in arguments]
    return head + b"".join(arguments)


def outcome_body(task, attempt, kind, data):
    return struct.pack(">QHBBII", task, attempt, kind, 0, 1, len(data)) + data


class Peer:
    def __init__(self, endpoint, role, keys=None, incarnation=None, context=None):
        """keys: (public, secret, the broker's public), all Z85."""
        self.context = context or zmq.Context()
        self.own_context = context is None
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        if keys:
            self.socket.curve_publickey, self.socket.curve_secretkey, self.socket.curve_serverkey = keys
        self.socket.connect(endpoint)
        self.role = role
        self.greeted = random.getrandbits(63) + 1  # the number of HELLO
        self.link = self.greeted  # until WELCOME
        self.incarnation = incarnation or random.getrandbits(63) + 1
        self.sent = self.received = 0
        self.kinds = []      # of all frames that came
        self.refused = None  # (reason, text)
        self.results = []    # (no, outcome, bytes)
        self.tasks = []      # (id, attempt, argument)
        self.numbers = {}    # of functions

    def close(self):
        self.socket.close()
        if self.own_context:
            self.context.term()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- sending ----

    def raw(self, data):
        self.socket.send(data)

    def make(self, kind, body=b"", count=1, **changes):
        """The next frame of this kind, as it goes out."""
        if kind not in LOOSE and "seq" not in changes:
            self.sent += 1
            changes["seq"] = self.sent
        return frame(kind, self.link, body, count, ack=self.received, **changes)

    def send(self, kind, body=b"", count=1, **changes):
        data = self.make(kind, body, count, **changes)
        self.raw(data)
        return data

    def hello(self, seconds=5):
        """Say HELLO until there is an answer; True: WELCOME."""
        self.send(HELLO, hello_body(self.role, self.incarnation))
        self.until(lambda: {WELCOME, REFUSED} & set(self.kinds), seconds)
        return WELCOME in self.kinds

    def define(self, number, name, **more):
        self.send(FUNCTION, function_body(number, name, **more))

    def submit(self, function, arguments, first_no=1, **more):
        return self.send(SUBMIT, run_body(function, arguments, first_no, **more), len(arguments))

    def answer(self, task, data=b"", outcome=0):
        """The end of a task that came: (id, attempt, ...)."""
        return self.send(OUTCOMES, outcome_body(task[0], task[1], outcome, data))

    # ---- receiving ----

    def pump(self, seconds=0.01):
        if not self.socket.poll(int(seconds * 1000)):
            return False
        self._take(self.socket.recv())
        return True

    def _take(self, data):
        _, kind, _, count, link, seq, _ = struct.unpack_from(">BBHIQQQ", data)
        if link not in (self.link, self.greeted) or 0 < seq <= self.received:
            return
        self.kinds.append(kind)
        self.received = max(self.received, seq)
        body = data[32:]
        if kind == WELCOME:
            self.link = self.greeted ^ struct.unpack_from(">Q", body)[0]
        elif kind == REFUSED:
            self.refused = (struct.unpack_from(">H", body)[0], read_text(body, 2)[0])
        elif kind == RESULTS:
            self._take_results(count, body)
        elif kind == TASKS:
            self._take_tasks(count, body)

    def _take_results(self, count, body):
        at = 0
        for _ in range(count):
            no, outcome, _, _, _, size = struct.unpack_from(">QBBHII", body, at)
            self.results.append((no, outcome, body[at + 20 : at + 20 + size]))
            at += 20 + size

    def _take_tasks(self, count, body):
        at = 0
        for _ in range(count):
            task, _, _, _, attempt, _, size = struct.unpack_from(">QIIIHHI", body, at)
            self.tasks.append((task, attempt, body[at + 28 : at + 28 + size]))
            at += 28 + size

    def until(self, condition, seconds=5, what="what was waited for"):
        """Take in frames, and renew the link by PING, until the condition holds."""
        end = time.monotonic() + seconds
        ping = time.monotonic() + 1
        while not condition():
            now = time.monotonic()
            assert now < end, f"{what} did not come within {seconds} s; there came {self.kinds}, {self.refused}"
            if now > ping and WELCOME in self.kinds and not self.refused:
                self.send(PING, struct.pack(">QQ", self.sent, 1))
                ping = now + 1
            self.pump()

    def for_a_while(self, seconds):
        """Take in whatever comes."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump()

    def ended(self, seconds=5):
        """Wait for the end of the link; the reason."""
        self.until(lambda: self.refused or GONE in self.kinds, seconds, "the end of the link")
        return self.refused[0] if self.refused else None

    def bye(self):
        self.send(BYE, count=0)
        self.pump(1)


def flood(endpoint, seconds):
    """A client that sends as fast as it goes; says how much."""
    with Peer(endpoint, CLIENT) as peer:
        assert peer.hello()
        print("begin", flush=True)
        data, sent, end = peer.make(PING, struct.pack(">QQ", 0, 1)), 0, time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                for _ in range(100):
                    peer.socket.send(data, zmq.DONTWAIT)
                    sent += 1
            except zmq.Again:
                pass
            for _ in range(100):  # what it is answered
                if not peer.pump(0):
                    break
        print(sent)


if __name__ == "__main__":
    flood(sys.argv[1], float(sys.argv[2]))
