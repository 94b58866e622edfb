"""rng as its clients see it, and what every service of the HTTP shell does."""

import concurrent.futures
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from programs import eventually, free_port, run, sanitized
from rawhttp import Connection, ask, metric

pytestmark = pytest.mark.tsan


@pytest.fixture
def rng(start):
    return start("rng", "--listen", "127.0.0.1:0")


def timed(call, *arguments):
    began = time.monotonic()
    return call(*arguments), time.monotonic() - began


# What is answered


def test_root_names_the_host(rng):
    answer = ask(rng.address, "GET", "/")
    assert answer.status == 200
    assert answer.body == f"RNG running on {socket.gethostname()}\n".encode()
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["date"].endswith("GMT")


@pytest.mark.parametrize("target, count", [
    ("/0", 0), ("/1", 1), ("/32", 32), ("/00032", 32), ("/32?x=1", 32), ("/%33%32", 32),
    ("/256", 256), ("/257", 257), ("/1000000", 1000000), ("http://other/32", 32),
])
def test_n_is_answered_with_n_bytes(rng, target, count):
    answer = ask(rng.address, "GET", target)
    assert answer.status == 200
    assert len(answer.body) == count
    assert answer.headers["content-type"] == "application/octet-stream"


def test_two_draws_differ(rng):
    assert ask(rng.address, "GET", "/32").body != ask(rng.address, "GET", "/32").body


@pytest.mark.fault("J21")
@pytest.mark.parametrize("target", [
    "/-1", "/+5", "/1.5", "/0x10", "/32/", "/abc", "/%2d1", "/32%00", "/%zz", "/%3", "//32",
    "/32%2f", "/1e3", "/%d9%a3", "/../32", "*",
])
def test_everything_else_is_404(rng, target):
    answer = ask(rng.address, "GET", target)
    assert answer.status == 404
    assert b'"error":"not_found"' in answer.body
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.fault("J08")
@pytest.mark.parametrize("method, target", [
    ("POST", "/32"), ("PUT", "/"), ("DELETE", "/32"), ("OPTIONS", "/"), ("PATCH", "/0"),
    ("POST", "/health"),
])
def test_a_wrong_method_is_405_and_told_the_right_ones(rng, method, target):
    answer = ask(rng.address, method, target)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.fault("J21")
@pytest.mark.parametrize("target", [
    "/67108865", "/99999999999", "/" + "9" * 40, "/" + "0" * 30 + "67108865",
])
def test_too_many_bytes_are_413_however_many_digits(rng, target):
    answer = ask(rng.address, "GET", target)
    assert answer.status == 413
    assert b"67108864" in answer.body


def test_the_limit_can_be_set(start):
    rng = start("rng", "--listen", "127.0.0.1:0", env={"RNG_MAX_BYTES": "10"})
    assert ask(rng.address, "GET", "/10").status == 200
    assert ask(rng.address, "GET", "/11").status == 413


def test_64_mib_are_streamed_at_constant_memory(rng):
    before = rng.resident_bytes()
    with Connection(rng.address) as connection:
        connection.send(b"GET /67108864 HTTP/1.1\r\nHost: t\r\n\r\n")
        head = connection._until(b"\r\n\r\n")
        assert b"Content-Length: 67108864" in head
        left, highest = 67108864 - len(connection.pending), before
        while left > 0:
            data = connection.socket.recv(1 << 20)
            assert data
            left -= len(data)
            highest = max(highest, rng.resident_bytes())
    assert left == 0
    assert highest - before < (32 if sanitized() else 4) << 20


# HTTP


def test_head_has_the_head_of_get_and_no_body(rng):
    for target in ("/", "/32", "/67108864", "/health", "/abc", "/99999999999"):
        get_status = ask(rng.address, "GET", target if target != "/67108864" else "/32").status
        answer = ask(rng.address, "HEAD", target)
        assert answer.status == get_status
        assert int(answer.headers["content-length"]) > 0
        with Connection(rng.address) as connection:
            connection.send(f"HEAD {target} HTTP/1.0\r\n\r\n".encode())
            connection.answer(head_only=True)
            assert connection.closed()


def test_http_1_0_closes_unless_asked_to_keep_alive(rng):
    with Connection(rng.address) as connection:
        assert connection.send(b"GET /4 HTTP/1.0\r\n\r\n").answer().status == 200
        assert connection.closed()
    with Connection(rng.address) as connection:
        for _ in range(3):
            connection.send(b"GET /4 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            assert len(connection.answer().body) == 4


def test_http_1_1_keeps_the_connection(rng):
    with Connection(rng.address) as connection:
        for target in (b"/4", b"/abc", b"/99999999999", b"/health", b"/0"):
            connection.send(b"GET %s HTTP/1.1\r\nHost: t\r\n\r\n" % target)
            assert "connection" not in connection.answer().headers


@pytest.mark.fault("J19")
def test_pipelined_requests_are_answered_in_order(rng):
    with Connection(rng.address) as connection:
        connection.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: t\r\n\r\n" % n for n in range(100)))
        assert [len(connection.answer().body) for _ in range(100)] == list(range(100))


def test_a_request_may_come_byte_by_byte(rng):
    with Connection(rng.address) as connection:
        for byte in b"GET /7 HTTP/1.1\r\nHost: t\r\n\r\n":
            connection.send(bytes([byte]))
        assert len(connection.answer().body) == 7


AMBIGUOUS = {
    "two lengths": b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "length and coding": b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n"
                         b"Transfer-Encoding: chunked\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length : 3\r\n\r\nabc",
    "signed length": b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: +3\r\n\r\nabc",
    "hexadecimal length": b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 0x3\r\n\r\nabc",
    "length of 2^64": b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551616\r\n\r\n",
    "negative length": b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n",
    "list of lengths": b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 3, 3\r\n\r\nabc",
    "unknown coding": b"GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "a coding behind a vertical tab": b"GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
    "two fields of codings": b"GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n"
                             b"Transfer-Encoding: identity\r\n\r\n",
    "two codings": b"GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
    "chunks in 1.0": b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: t\r\nnonsense\r\n\r\n",
    "space in the target": b"GET / 32 HTTP/1.1\r\nHost: t\r\n\r\n",
    "odd header name": b"GET / HTTP/1.1\r\nHost: t\r\nX(y): 1\r\n\r\n",
    "no header name": b"GET / HTTP/1.1\r\nHost: t\r\n: 1\r\nX: 2\r\n\r\n",
    "two lengths, the second 0": b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n"
                                 b"Content-Length: 0\r\n\r\nabc",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: t\r\n\r\n",
    "no CR at all": b"GET / HTTP/1.1\nHost: t\n\n",
    "no CR after the request line": b"GET / HTTP/1.1\nHost: t\r\n\r\n",
    "no CR after a field": b"GET / HTTP/1.1\r\nHost: t\nX: y\r\n\r\n",
    "no CR in the empty line": b"GET / HTTP/1.1\r\nHost: t\r\n\n",
    "no CR, and a field without a name for it": b"GET / HTTP/1.1\r\nHost: t\nX: y\nZ: z\n:\r\n\r\n",
    "no CR, and a zero byte for it": b"GET / HTTP/1.1\r\nHost: t\nX: y\0\r\n\r\n",
    "CR in a value": b"GET / HTTP/1.1\r\nHost: t\rX: y\r\n\r\n",
    "zero byte in a value": b"GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n",
    "zero byte in the target": b"GET /\0 HTTP/1.1\r\nHost: t\r\n\r\n",
    "control character in a value": b"GET / HTTP/1.1\r\nHost: t\r\nX: a\x01b\r\n\r\n",
    "DEL in a value": b"GET / HTTP/1.1\r\nHost: t\r\nX: a\x7fb\r\n\r\n",
    "folded field": b"GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n",
    "folded by a tab": b"GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n\tb\r\n\r\n",
    "folded coding": b"GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "folded before the first field": b"GET / HTTP/1.1\r\n X: a\r\nHost: t\r\n\r\n",
}


# Of docs/FAULTS.md.
ROWS = {
    "J09": ["length and coding"],
    "J10": ["two lengths", "two lengths, the second 0"],
    "J11": ["space before colon"],
    "J12": ["signed length", "hexadecimal length", "list of lengths", "length of 2^64", "negative length"],
    "J13": ["unknown coding", "two codings", "chunks in 1.0", "a coding behind a vertical tab",
            "two fields of codings"],
    "J14": ["no CR at all", "no CR after the request line", "no CR after a field", "no CR in the empty line",
            "CR in a value", "no CR, and a field without a name for it", "no CR, and a zero byte for it"],
    "J15": ["folded field", "folded by a tab", "folded coding", "folded before the first field"],
    "J16": ["zero byte in a value", "zero byte in the target", "control character in a value", "DEL in a value"],
    "J17": ["two hosts"],
    "J20": ["two spaces", "space in the target"],
}


def rows_of(name):
    return [pytest.mark.fault(row) for row, names in ROWS.items() if name in names]


@pytest.mark.parametrize("name", [pytest.param(name, marks=rows_of(name)) for name in AMBIGUOUS])
def test_what_is_ambiguous_is_400_and_closes(rng, name):
    with Connection(rng.address) as connection:
        connection.send(AMBIGUOUS[name] + b"GET /32 HTTP/1.1\r\nHost: t\r\n\r\n")
        answer = connection.answer()
        assert answer.status == (413 if name == "length of 2^64" else 400)
        assert answer.headers["connection"] == "close"
        # libmicrohttpd 0.9.75 repeats the head of its own 400 for a bad length; nothing is served.
        assert b" 200 " not in answer.body + connection.rest()


@pytest.mark.fault("J18")
@pytest.mark.parametrize("fields", [
    b"", b"X:\r\n", b"X:y\r\n", b"X: \t y \t \r\n", b"X: \xe4\xff\r\n", b"Cookie: a=b; c=\"d\"\r\n", b"!#$%&'*+-.^_`|~: x\r\n",
    b"Content-Length: 00\r\n", b"".join(b"X-%d: %s\r\n" % (n, b"y" * n) for n in range(100)),
])
def test_what_is_unusual_and_clear_is_served(rng, fields):
    requests = [b"GET /32?a=%41&b HTTP/1.1\r\nHost: t\r\n" + fields + b"\r\n",
                b"\r\nHEAD http://t/32 HTTP/1.1\r\n" + fields + b"Host: t\r\n\r\n",
                b"GET /32 HTTP/1.0\r\n" + fields + b"\r\n"]
    with Connection(rng.address) as connection:
        for request in requests:
            connection.send(request)
            assert connection.answer(head_only=request.startswith(b"\r\nHEAD")).status == 200


# What is no request line, and what it is answered with. Where libmicrohttpd finds no blank in it, the connection is
# closed without a word.
JUNK = [(line, status) for status, lines in {
    400: ["GET", "GET /", "GET / ", " GET / HTTP/1.1", "\tGET / HTTP/1.1", "GET / HTTP/1.1 ", "GET / HTTP/1.1 x", "GET / HTTP",
          "GET / HTTP/", "GET / HTTP/1", "GET / HTTP/1.", "GET / HTTP/.1", "GET / HTTP/x.y", "GET / http/1.1", "GET / HTTPS/1.1",
          "GET / HTTP/1.1.1", "GET / HTTP/11", "GET / HTTP/01.1", "GET / HTTP/1.10", "GET / HTTP/+1.1", "GET / HTTP/-1.1",
          "GET / HTTP/1,1", "GET / 1.1", "GET / FTP/1.1", "GET\t/\tHTTP/1.1", "GET\x0b/ HTTP/1.1", "G\0ET / HTTP/1.1",
          "G(T / HTTP/1.1", "G:T / HTTP/1.1", "{} / HTTP/1.1", "\xc7ET / HTTP/1.1", "GET /\x7f HTTP/1.1", "GET /\x01 HTTP/1.1",
          ": / HTTP/1.1", "/ GET HTTP/1.1", "HTTP/1.1 GET /", "HTTP/1.1 200 OK", "SSH-2.0-x", "*1", "PING", "\x16\x03\x01"],
    505: ["GET / HTTP/0.9", "GET / HTTP/2.0", "GET / HTTP/3.0", "GET / HTTP/9.9", "PRI * HTTP/2.0"],
    405: ["get / HTTP/1.1", "Get / HTTP/1.1", "GETT / HTTP/1.1", "TRACE / HTTP/1.1", "CONNECT / HTTP/1.1", "X / HTTP/1.1",
          "!#$%&'*+-.^_`|~ / HTTP/1.1", "M-SEARCH / HTTP/1.1", "DELETE / HTTP/1.1", "PROPFIND / HTTP/1.1"],
}.items() for line in lines]


@pytest.mark.fault("J20", weaker="a line that is nothing like a request is closed without an answer")
@pytest.mark.parametrize("status", [400, 405, 505])
def test_junk_for_a_request_line_has_one_answer_that_says_so(rng, status):
    wrong = []
    for line in (line for line, wanted in JUNK if wanted == status):
        with Connection(rng.address) as connection:
            connection.send(line.encode("latin-1") + b"\r\nHost: t\r\nConnection: close\r\n\r\n")
            try:
                answer = connection.answer()
                rest = connection.rest()
            except EOFError:
                if status != 400 or connection.pending:
                    wrong.append((line, connection.pending))
                continue
            if answer.status != status or rest:
                wrong.append((line, answer, rest))
    assert not wrong


def test_a_body_where_none_belongs_is_413_and_closes(rng):
    with Connection(rng.address) as connection:
        connection.send(b"GET /32 HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello")
        answer = connection.answer()
        assert answer.status == 413
        assert answer.headers["connection"] == "close"
        assert connection.closed()


def test_a_head_that_is_too_large_is_refused(rng):
    with Connection(rng.address) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: t\r\n" + b"X: %s\r\n" % (b"y" * 60000))
        assert connection.answer().status in (413, 414, 431)
        assert connection.closed()


# Delay and concurrency: who waits, and for whom


LESSON = {"RNG_DELAY_MS": "100", "RNG_CONCURRENCY": "1"}


def test_ten_at_100_ms_one_at_a_time_take_a_second(start):
    rng = start("rng", "--listen", "127.0.0.1:0", env=LESSON)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers, took = timed(lambda: list(pool.map(
            lambda _: ask(rng.address, "GET", "/1").status, range(10))))
    assert answers == [200] * 10
    assert 1.0 <= took < 1.5


def test_fifty_wait_in_one_queue_and_health_does_not(start):
    rng = start("rng", "--listen", "127.0.0.1:0", env={**LESSON, "RNG_DELAY_MS": "20"})

    def one(_):
        ask(rng.address, "GET", "/1")
        return time.monotonic()

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        began = time.monotonic()
        ends = [pool.submit(one, number) for number in range(50)]
        # Most of them: some may have been answered before the last has asked.
        eventually(lambda: metric(rng.address, "http_requests") > 20, "a long queue")
        for target in ("/health", "/metrics"):
            answer, took = timed(ask, rng.address, "GET", target)
            assert answer.status == 200 and took < 0.1
        ends = sorted(end.result() for end in ends)
    assert ends[-1] - began >= 1.0
    # Strictly one after another: no two are closer than the delay, but for what scheduling blurs.
    gaps = sorted(b - a for a, b in zip(ends, ends[1:]))
    assert gaps[len(gaps) // 4] > 0.015


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_ping_waits_for_its_turn_but_is_not_delayed(start, method):
    rng = start("rng", "--listen", "127.0.0.1:0", env=LESSON)
    assert timed(ask, rng.address, method, "/")[0].status == 200
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(ask, rng.address, "GET", "/1") for _ in range(5)]
        eventually(lambda: metric(rng.address, "http_requests") > 5, "all have asked")
        answer, took = timed(ask, rng.address, method, "/")
        assert answer.status == 200 and 0.25 < took < 0.7
        assert all(one.result().status == 200 for one in waiting)


def test_a_delay_alone_holds_all_at_the_same_time(start):
    rng = start("rng", "--listen", "127.0.0.1:0", "--delay-ms", "100")
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        _, took = timed(lambda: list(pool.map(lambda _: ask(rng.address, "GET", "/1"), range(30))))
    assert 0.1 <= took < 0.6


def test_a_client_that_gives_up_does_not_block_the_queue(start):
    rng = start("rng", "--listen", "127.0.0.1:0", env=LESSON)
    for _ in range(3):
        with Connection(rng.address) as connection:
            connection.send(b"GET /1 HTTP/1.1\r\nHost: t\r\n\r\n")
    answer, took = timed(ask, rng.address, "GET", "/1")
    assert answer.status == 200 and took < 0.8


@pytest.mark.skipif(shutil.which("httping") is None, reason="httping is not installed")
def test_httping_finds_the_queue_of_ten_miners(start):
    rng = start("rng", "--listen", "127.0.0.1:0", env=LESSON)
    done = threading.Event()

    def mine():
        with Connection(rng.address) as connection:
            while not done.is_set():
                connection.send(b"GET /32 HTTP/1.1\r\nHost: t\r\n\r\n").answer()

    def average():
        command = ["httping", "-c", "3", "-i", "0.1", rng.url]
        httping = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert httping.returncode == 0, httping.stdout + httping.stderr
        assert "3 connects, 3 ok" in httping.stdout
        return float(re.search(r"= [\d.]+/([\d.]+)/", httping.stdout).group(1))

    assert average() < 20
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        for _ in range(10):
            pool.submit(mine)
        eventually(lambda: metric(rng.address, "http_connections") > 10, "all connected")
        try:
            assert 600 <= average() <= 1300
        finally:
            done.set()


# Life


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_a_second(rng, number):
    with Connection(rng.address) as idle:
        idle.send(b"GET /4 HTTP/1.1\r\nHost: t\r\n\r\n").answer()
        code, took = timed(rng.stop, number)
        assert code == 0 and took < 1.0
        assert idle.closed()


def test_sigterm_finishes_what_runs_and_turns_away_what_queues(start):
    rng = start("rng", "--listen", "127.0.0.1:0", "--delay-ms", "500", "--concurrency", "1")
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(ask, rng.address, "GET", "/1") for _ in range(5)]
        # That of the metrics is one, too.
        eventually(lambda: metric(rng.address, "http_requests") > 5, "all have asked")
        code, took = timed(rng.stop)
        statuses = sorted(answer.result().status for answer in answers)
    assert code == 0 and took < 1.0
    assert statuses == [200, 503, 503, 503, 503]


def test_sigterm_does_not_wait_for_a_long_delay(start):
    rng = start("rng", "--listen", "127.0.0.1:0", "--delay-ms", "30000")
    with Connection(rng.address) as connection:
        connection.send(b"GET /1 HTTP/1.1\r\nHost: t\r\n\r\n")
        eventually(lambda: metric(rng.address, "http_requests") == 2, "it has asked")
        code, took = timed(rng.stop)
        assert code == 0 and took < 1.0
        assert connection.answer().status == 503


@pytest.mark.parametrize("delay_ms", [0, 10])
def test_sigterm_cuts_a_reader_that_does_not_read(start, delay_ms):
    rng = start("rng", "--listen", "127.0.0.1:0", "--delay-ms", delay_ms)
    with Connection(rng.address) as connection:
        connection.send(b"GET /67108864 HTTP/1.1\r\nHost: t\r\n\r\n")
        connection.socket.recv(100)
        code, took = timed(rng.stop)
        assert code == 0 and took < 1.0


def test_slow_heads_are_cut_while_others_are_served(rng):
    began = time.monotonic()
    slow = [Connection(rng.address) for _ in range(50)]
    for connection in slow:
        connection.send(b"GET /1 HT")
    assert timed(ask, rng.address, "GET", "/1")[1] < 0.2
    for connection in slow:
        assert connection.closed()
        connection.socket.close()
    assert 3.5 < time.monotonic() - began < 6
    assert metric(rng.address, r'http_refused_total\{reason="slow"\}') == 50


def test_no_descriptor_and_no_memory_is_left_behind(rng):
    for _ in range(50):
        ask(rng.address, "GET", "/1")
    descriptors = eventually(lambda: rng.descriptors(), "descriptors")
    memory = rng.resident_bytes()
    for _ in range(500):
        ask(rng.address, "GET", "/300")
    eventually(lambda: rng.descriptors() <= descriptors, "descriptors closed")
    if not sanitized():  # which keeps freed memory for a while
        assert rng.resident_bytes() - memory < 2 << 20


# Logs, health, settings


def test_each_request_is_one_line(rng):
    ask(rng.address, "GET", "/32?q=1")
    ask(rng.address, "HEAD", "/a%22%0ab")
    assert rng.stop() == 0
    assert sum("ev=request" in line for line in rng.lines) == 2
    rng.wait_for(' method=GET path="/32" status=200 bytes=32 ', stdout=True)
    rng.wait_for(' method=HEAD path="/a\\"\\x0ab" status=404 bytes=0 ', stdout=True)


def test_the_access_log_can_be_switched_off(start):
    rng = start("rng", "--listen", "127.0.0.1:0", env={"ACCESS_LOG": "no"})
    ask(rng.address, "GET", "/32")
    assert rng.stop() == 0
    assert rng.lines == []


def test_health_asks_the_running_instance(rng):
    _, port = rng.address
    for listen in (f"127.0.0.1:{port}", f"0.0.0.0:{port}"):
        done = run("rng", "--health", env={"LISTEN": listen})
        assert done.returncode == 0 and done.stdout.count("\n") == 1, done
    rng.stop()
    done = run("rng", "--health", "--listen", f"127.0.0.1:{port}")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "Connection refused" in done.stderr


def test_health_gives_up_after_two_seconds():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        done, took = timed(run, "rng", "--health", "--listen", f"127.0.0.1:{deaf.getsockname()[1]}")
    assert done.returncode == 1 and 1.9 < took < 3


@pytest.mark.parametrize("arguments, env, named", [
    (["--listen", "nowhere"], {}, "--listen"),
    (["--delay-ms", "-1"], {}, "--delay-ms"),
    ([], {"RNG_DELAY_MS": "100ms"}, "RNG_DELAY_MS"),
    ([], {"RNG_CONCURRENCY": "one"}, "RNG_CONCURRENCY"),
    ([], {"RNG_MAX_BYTES": "99999999999999999999"}, "RNG_MAX_BYTES"),
    ([], {"ACCESS_LOG": "perhaps"}, "ACCESS_LOG"),
    (["--nonsense"], {}, "--nonsense"),
    (["operand"], {}, "operand"),
])
def test_a_bad_setting_is_one_line_and_exit_2(arguments, env, named):
    done = run("rng", *arguments, env=env)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and named in done.stderr


def test_an_address_in_use_is_one_line_and_exit_1(rng):
    done = run("rng", "--listen", f"127.0.0.1:{rng.address[1]}")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "Address already in use" in done.stderr


def test_it_listens_on_ipv6(start):
    port = free_port()
    rng = start("rng", "--listen", f"[::1]:{port}")
    assert rng.fields["address"] == f"[::1]:{port}"
    assert ask(("::1", port), "GET", "/").status == 200
    assert run("rng", "--health", "--listen", f"[::]:{port}").returncode == 0
