"""HTTP by hand: requests as bytes, answers taken apart; a test says exactly what is sent."""

import re
import socket

TIMEOUT_S = 10


class Answer:
    def __init__(self, head, body):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.version, status, self.reason = first.split(" ", 2)
        self.status = int(status)
        self.headers = {}
        for line in lines:
            name, value = line.split(":", 1)
            assert name.lower() not in self.headers, f"{name} twice"
            self.headers[name.lower()] = value.strip()
        self.body = body

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:200]!r}"


class Connection:
    """A connection that keeps what came in too early."""

    def __init__(self, address, timeout=TIMEOUT_S):
        self.socket = socket.create_connection(address, timeout)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def _more(self):
        data = self.socket.recv(1 << 16)
        self.pending += data
        return data

    def _until(self, mark):
        while mark not in self.pending:
            if not self._more():
                raise EOFError(f"closed after {self.pending!r}")
        part, self.pending = self.pending.split(mark, 1)
        return part

    def _exactly(self, count):
        while len(self.pending) < count:
            if not self._more():
                raise EOFError(f"closed after {len(self.pending)} of {count} bytes")
        part, self.pending = self.pending[:count], self.pending[count:]
        return part

    def answer(self, head_only=False):
        """The next answer; to a HEAD request with head_only."""
        head = self._until(b"\r\n\r\n")
        answer = Answer(head, b"")
        if not head_only and answer.status not in (204, 304):
            answer.body = self._exactly(int(answer.headers["content-length"]))
        return answer

    def rest(self):
        """Everything until the server closes."""
        try:
            while self._more():
                pass
        except ConnectionResetError:
            pass
        return self.pending

    def closed(self):
        """Has the server closed, with nothing more to say? Waits for it."""
        try:
            return self.pending == b"" and self._more() == b""
        except ConnectionResetError:
            return True


def ask(address, method, target, body=None, headers=(), version="1.1"):
    """One request on a connection of its own."""
    lines = [f"{method} {target} HTTP/{version}", "Host: test", "Connection: close", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    data = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")
    with Connection(address) as connection:
        return connection.send(data).answer(head_only=method == "HEAD")


def chunked(*pieces):
    """A body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def metric(address, pattern):
    """The value of the first line of /metrics that the pattern matches."""
    text = ask(address, "GET", "/metrics").body.decode()
    found = re.search(rf"^{pattern} (\S+)$", text, re.M)
    return float(found.group(1)) if found else 0.0
