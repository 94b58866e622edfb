"""A broker for one agent, of the layouts in docs/PROTOCOL.md, in the hands of a test."""

import struct
import time
from collections import namedtuple

import zmq

VERSION = 1
EPOCH = 7 << 40
(HELLO, WELCOME, REFUSED, GONE, ACK, PING, BYE, FUNCTION, SUBMIT, RESULTS, TASKS, OUTCOMES, REVOKE,
 DRAIN) = range(1, 15)
WANT, PIECE = 22, 23
PROGRAM = 3  # what is wanted
GONE_FLAG = 1
OK, FAILED, CRASHED, LOST, TIMEOUT, CANCELLED, REFUSED_TASK = range(7)
RESEND = 1
VARIABLE = 0xFFFFFFFF
BUILTIN = bytes(32)
SESSION = 1

Outcome = namedtuple("Outcome", "id attempt kind run_us bytes")
Want = namedtuple("Want", "task attempt what key offset length")
Failure = namedtuple("Failure", "code host text")


def text(value):
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def read_text(data, at):
    (size,) = struct.unpack_from(">H", data, at)
    return data[at + 2 : at + 2 + size].decode(), at + 2 + size


def failure(outcome):
    (code,) = struct.unpack_from(">I", outcome.bytes)
    host, at = read_text(outcome.bytes, 4)
    words, at = read_text(outcome.bytes, at)
    assert at == len(outcome.bytes)
    return Failure(code, host, words)


class FakeBroker:
    def __init__(self, endpoint, lease_ms=3000, uploads=False):
        self.uploads = uploads
        self.wants = []      # that came and were not answered
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.bind(endpoint)
        self.lease_ms = lease_ms
        self.route = None
        self.hello = 0       # the number of the HELLO that opened the link
        self.link = 0
        self.sent = 0
        self.kept = []       # sequenced frames, for sending again
        self.received = 0
        self.slots = None
        self.hello_count = 0  # links
        self.seen = []       # types of sequenced frames
        self.outcomes = {}   # by id
        self.order = []      # ids in the order of their outcomes
        self.frames = 0      # OUTCOMES frames
        self.answer_pings = True
        self.functions = 0

    def close(self):
        self.socket.close(0)
        self.context.term()

    # ---- sending ----

    def _frame(self, kind, count, body, sequenced, flags=0):
        if sequenced:
            self.sent += 1
        head = struct.pack(">BBHIQQQ", VERSION, kind, flags, count, self.hello if kind == WELCOME else self.link,
                           self.sent if sequenced else 0, self.received)
        if sequenced:
            self.kept.append(head + body)
        self.socket.send_multipart([self.route, head + body])

    def _send_again(self, after):
        """On a slow machine a connection breaks now and then, and what was under way is lost."""
        for frame in self.kept[after:]:
            self.socket.send_multipart([self.route, frame])

    def function(self, name, argument_bytes, result_bytes, program="", sha256=BUILTIN):
        number = self.functions
        self.functions += 1
        body = struct.pack(">III", number, argument_bytes, result_bytes) + sha256
        self._frame(FUNCTION, 1, body + text(program) + text(name), True)
        return number

    def tasks(self, tasks):
        """[(id, function, argument, limit_ms, attempt)], the last two may be missing."""
        body = b""
        for task in tasks:
            number, function, argument, limit_ms, attempt = (*task, 0, 1)[:5] if len(task) < 5 else task
            body += struct.pack(">QIIIHHI", number, function, limit_ms, SESSION, attempt, 0, len(argument))
            body += argument
        self._frame(TASKS, len(tasks), body, True)

    def revoke(self, ids):
        self._frame(REVOKE, len(ids), b"".join(struct.pack(">Q", i) for i in ids), True)

    def piece(self, want, data, total, gone=False):
        """The answer to a WANT; a text where it is gone."""
        body = struct.pack(">QHBB", want.task, want.attempt, want.what, GONE_FLAG if gone else 0) + want.key
        self._frame(PIECE, 1, body + struct.pack(">QQI", want.offset, total, len(data)) + data, True)

    def give(self, content):
        """Answer all that is wanted with pieces of this; returns how many there were."""
        wants, self.wants = self.wants, []
        for want in wants:
            self.piece(want, content[want.offset : want.offset + want.length], len(content))
        return len(wants)

    def gone(self):
        self._frame(GONE, 0, b"", False)

    # ---- receiving ----

    def pump(self, seconds=0.01):
        if not self.socket.poll(int(seconds * 1000)):
            return False
        route, data = self.socket.recv_multipart()
        version, kind, flags, count, link, seq, ack = struct.unpack_from(">BBHIQQQ", data)
        assert version == VERSION
        body = data[32:]
        if kind == HELLO:
            self._welcome(route, link, body)
        elif link == self.link:
            self.route = route
            if kind == ACK and flags & RESEND:
                self._send_again(ack)
            elif seq > self.received + 1:
                self._frame(ACK, 0, b"", False, RESEND)
            elif seq == 0 or seq > self.received:
                self._take(kind, count, seq, body)
        return True

    def _welcome(self, route, link, body):
        role, _, _, self.slots = struct.unpack_from(">BIQI", body)
        assert role == 2
        self.route = route
        if link != self.hello:  # else it says HELLO again because we are slow
            self.hello = link
            self.link = link ^ EPOCH
            self.sent = self.received = self.functions = 0
            self.kept = []
            self.hello_count += 1
        self._frame(WELCOME, 1, struct.pack(">QIIIQI", EPOCH, self.lease_ms, 1000, 1000, 1 << 20, self.uploads) + text("0"),
                    False)

    def _take(self, kind, count, seq, body):
        if seq:
            self.received = seq
            self.seen.append(kind)
        if kind == PING and self.answer_pings:
            _, clock = struct.unpack(">QQ", body)
            self._frame(PING, 1, struct.pack(">QQ", self.sent, clock), False)
        if kind == BYE:
            self._frame(ACK, 0, b"", False)
        if kind == WANT:
            task, attempt, what, _ = struct.unpack_from(">QHBB", body)
            self.wants.append(Want(task, attempt, what, body[12:44], *struct.unpack_from(">QI", body, 44)))
        if kind == OUTCOMES:
            self.frames += 1
            self._take_outcomes(count, body)

    def _take_outcomes(self, count, body):
        at = 0
        for _ in range(count):
            number, attempt, kind, _, run_us, size = struct.unpack_from(">QHBBII", body, at)
            at += 20
            assert number not in self.outcomes, f"two outcomes of task {number}"
            self.outcomes[number] = Outcome(number, attempt, kind, run_us, body[at : at + size])
            self.order.append(number)
            at += size
        assert at == len(body)

    def pump_until(self, condition, seconds=10, what="the condition"):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{what} did not come true within {seconds} s"
            self.pump()

    def wait_for_agent(self):
        self.pump_until(lambda: self.link, what="a HELLO")

    def wait_for(self, ids, seconds=10):
        """The outcomes of these tasks, in this order."""
        self.pump_until(lambda: all(i in self.outcomes for i in ids), seconds, "all outcomes")
        return [self.outcomes[i] for i in ids]
