"""A TCP proxy between two programs of a test, and what can go wrong on it.

    proxy = Proxy(port)                  # its own port is proxy.port
    proxy.cut_after = 1000               # each next connection ends after so many bytes of one direction, both ways
    proxy.flip_at = 1000                 # the next connection that carries so many bytes has a bit of that one flipped
    proxy.delay_s = lambda: 0.2          # how long each piece is under way, in either direction
    proxy.stall(); proxy.go_on()         # nothing gets through, and nothing breaks
    proxy.reset()                        # RST to both ends of all connections
    proxy.half_close()                   # the end of one direction
    proxy.on_request = proxy.on_reply = look   # look(bytes) is called before they are passed on, to the one who listens or to
                                         # the one who called; when it returns True the connection ends instead
"""

import queue
import socket
import struct
import threading
import time

ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


class Proxy:
    def __init__(self, port, host="127.0.0.1"):
        self.target = (host, port)
        self.cut_after = None
        self.cut_ends = 0       # how many connections ended so
        self.flip_at = None
        self.flipped = 0
        self.delay_s = None
        self.on_request = self.on_reply = None
        self.carried = 0        # bytes, in both directions
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self._pairs = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self):
        self._open.clear()

    def go_on(self):
        self._open.set()

    def connections(self):
        with self._lock:
            return len(self._pairs)

    def reset(self):
        """Returns how many connections there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            abort(pair)
        return len(pairs)

    def half_close(self):
        with self._lock:
            pairs = list(self._pairs)
        for near, _ in pairs:
            near.shutdown(socket.SHUT_WR)

    def close(self):
        self._listener.close()
        self.go_on()
        self.reset()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target)
            except OSError:
                near.close()
                continue
            pair = (near, far)
            with self._lock:
                self._pairs.add(pair)
            for source, sink in (pair, pair[::-1]):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pieces = queue.SimpleQueue()
                threading.Thread(target=self._take, args=(source, pieces), daemon=True).start()
                threading.Thread(target=self._carry, args=(pair, pieces, sink, self.cut_after), daemon=True).start()

    def _take(self, source, pieces):
        try:
            while data := source.recv(65536):
                pieces.put((time.monotonic() + (self.delay_s() if self.delay_s else 0), data))
        except OSError:
            pass
        pieces.put((0, b""))

    def _carry(self, pair, pieces, sink, cut_after):
        passed = 0
        try:
            while (piece := pieces.get())[1]:
                time.sleep(max(0, piece[0] - time.monotonic()))
                self._open.wait()
                data = self._flip(piece[1], passed)
                look = self.on_request if sink is pair[1] else self.on_reply
                if look is not None and look(data):
                    break
                if cut_after is not None and passed + len(data) >= cut_after:
                    sink.sendall(data[:cut_after - passed])
                    self.cut_ends += 1
                    break
                sink.sendall(data)
                passed += len(data)
                self.carried += len(data)
        except OSError:
            pass
        self._end(pair)

    def _flip(self, data, passed):
        with self._lock:
            if self.flip_at is None or passed + len(data) <= self.flip_at or passed > self.flip_at:
                return data
            at, self.flip_at = self.flip_at - passed, None
            self.flipped += 1
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]

    def _end(self, pair):
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def abort(pair):
    for end in pair:
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            end.shutdown(socket.SHUT_RD)  # wakes the thread that reads it
            end.close()
        except OSError:
            pass
