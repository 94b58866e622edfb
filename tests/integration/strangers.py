"""Peers without an admitted key, byte by byte: ZMTP by hand, and the broker's own count of what it let in.

Sources: ZeroMQ RFC 23 (ZMTP 3.0), RFC 26 (CurveZMQ).
"""

import random
import socket
import struct
import time

from programs import environment
from rawhttp import metric

# Freed memory is used again at once, also with the sanitizer: then growth is growth.
FRUGAL = {"ASAN_OPTIONS": environment()["ASAN_OPTIONS"] + ":quarantine_size_mb=1"}

# What has to stay at zero while only strangers knock.
COUNTERS = (
    r'scoop_messages_total\{role="client"\}', r'scoop_messages_total\{role="worker"\}',
    r'scoop_handshakes_admitted_total\{role="client"\}', r'scoop_handshakes_admitted_total\{role="worker"\}',
    "scoop_tasks_accepted_total", "scoop_sessions", "scoop_agents", "scoop_constants", "scoop_tasks_durable",
)


def greeting(mechanism=b"CURVE", major=3, minor=0, as_server=0, filler=bytes(31)):
    return (b"\xff" + bytes(8) + b"\x7f" + bytes([major, minor]) + mechanism.ljust(20, b"\0") + bytes([as_server]) +
            filler)


def command(body, size=None):
    """A command frame; `size` lies about its length."""
    size = len(body) if size is None else size
    head = b"\x04" + bytes([size]) if size < 256 else b"\x06" + struct.pack(">Q", size)
    return head + body


def message(body, size=None, more=False):
    """A message frame."""
    size = len(body) if size is None else size
    flags = 1 if more else 0
    head = bytes([flags, size]) if size < 256 else bytes([flags | 2]) + struct.pack(">Q", size)
    return head + body


def ready(mechanism=b"", **properties):
    """The command READY of the mechanism NULL."""
    body = b"\x05READY" + mechanism
    for name, value in {"Socket_Type": b"DEALER", "Identity": b"", **properties}.items():
        name = name.replace("_", "-").encode()
        body += bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
    return command(body)


def curve_hello(box=None):
    """The command HELLO of CURVE, whose box no key opens."""
    return command(b"\x05HELLO\x01\x00" + bytes(72) + random.randbytes(32) + bytes(8) + (box or random.randbytes(80)))


class Stranger:
    """A TCP (host, port) or Unix (path) connection."""

    def __init__(self, place, data=b""):
        if isinstance(place, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(10)
            self.socket.connect(place)
        else:
            self.socket = socket.create_connection(place, 10)
        self.began = time.monotonic()
        if data:
            self.send(data)

    def send(self, data):
        """The other side may have closed already."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def closed_after(self, seconds=10):
        """Seconds from connecting until the other side has closed; what it says meanwhile is read away."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(1 << 16):
                pass
        except (ConnectionResetError, BrokenPipeError):
            pass
        return time.monotonic() - self.began

    def receive(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError(f"closed after {len(data)} of {count} bytes")
            data += part
        return data

    def read_frame(self):
        """(flags, body) of the next frame."""
        flags, size = self.receive(2)
        if flags & 2:
            size = struct.unpack(">Q", bytes([size]) + self.receive(7))[0]
        return flags, self.receive(size)

    def open(self):
        """The handshake without a key, as it is right on a socket of the file system."""
        self.send(greeting(b"NULL") + ready())
        self.receive(64)
        assert self.read_frame()[1].startswith(b"\x05READY")
        return self

    def close(self):
        self.socket.close()


def let_in(broker):
    """What the broker counts of what it let in: {name: value}, none of them 0."""
    values = {name: metric(broker.address, name) for name in COUNTERS}
    return {name: value for name, value in values.items() if value}
