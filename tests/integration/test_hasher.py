"""hasher as its clients see it; what it shares with rng is in test_rng.py."""

import concurrent.futures
import hashlib
import os
import random
import signal
import socket
import time

import pytest

from programs import run, sanitized
from rawhttp import Connection, ask, chunked, metric

pytestmark = pytest.mark.tsan

CHUNKED = b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"


def post_head(length, more=b""):
    return b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n%s\r\n" % (length, more)


@pytest.fixture
def hasher(start):
    return start("hasher", "--listen", "127.0.0.1:0")


def digest(data):
    return hashlib.sha256(data).hexdigest().encode()


def test_root_names_the_host(hasher):
    answer = ask(hasher.address, "GET", "/")
    assert answer.body == f"HASHER running on {socket.gethostname()}\n".encode()
    assert ask(hasher.address, "HEAD", "/").status == 200


def test_a_body_is_answered_with_its_digest(hasher):
    for size in [0, 1, 31, 32, 33, 1 << 20] + [random.randrange(100000) for _ in range(94)]:
        body = os.urandom(size)
        answer = ask(hasher.address, "POST", "/", body)
        assert answer.status == 200
        assert answer.body == digest(body)
        assert answer.headers["content-type"] == "text/plain"


def test_a_post_without_any_length_is_an_empty_body(hasher):
    assert ask(hasher.address, "POST", "/").body == digest(b"")
    assert ask(hasher.address, "POST", "/", version="1.0").body == digest(b"")


@pytest.mark.parametrize("pieces", [[], [b"abc"], [b"a"] * 1000, [b"x" * 70000, b"y" * 130000]])
def test_a_chunked_body(hasher, pieces):
    with Connection(hasher.address) as connection:
        for _ in range(2):
            connection.send(CHUNKED + chunked(*pieces))
            assert connection.answer().body == digest(b"".join(pieces))


@pytest.mark.parametrize("chunks", [b"zz\r\nabc\r\n", b"-3\r\nabc\r\n", b"3\r\nabcde\r\n", b"\r\n"])
def test_malformed_chunks_are_400(hasher, chunks):
    with Connection(hasher.address) as connection:
        connection.send(CHUNKED + chunks)
        assert connection.answer().status == 400
        assert connection.closed()


def test_requests_on_one_connection_do_not_mix(hasher):
    bodies = [os.urandom(random.randrange(2000)) for _ in range(50)]
    with Connection(hasher.address) as connection:
        for body in bodies:
            connection.send(post_head(len(body)) + body)
        for body in bodies:
            assert connection.answer().body == digest(body)


def test_expect_100_continue_is_answered_before_the_body(hasher):
    with Connection(hasher.address) as connection:
        connection.send(post_head(3, b"Expect: 100-continue\r\n"))
        assert connection._until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        assert connection.send(b"abc").answer().body == digest(b"abc")


@pytest.mark.fault("J05", "J07")
@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_two_gib_are_refused_before_the_body(hasher, expect):
    with Connection(hasher.address) as connection:
        began = time.monotonic()
        connection.send(post_head(2147483648, expect))
        answer = connection.answer()
        assert answer.status == 413
        assert b"1073741824" in answer.body
        assert answer.headers["connection"] == "close"
        assert time.monotonic() - began < 0.5
        assert connection.closed()


def test_a_client_that_sends_on_still_sees_the_413(start):
    hasher = start("hasher", "--listen", "127.0.0.1:0", env={"HASHER_MAX_BYTES": "1000"})
    body = b"x" * (8 << 20)
    with Connection(hasher.address) as connection:
        connection.send(post_head(len(body)) + body)
        assert connection.answer().status == 413
        assert connection.closed()
    assert ask(hasher.address, "POST", "/", b"x" * 1000).status == 200


@pytest.mark.fault("J06")
def test_endless_chunks_are_413_when_the_limit_is_passed(start):
    hasher = start("hasher", "--listen", "127.0.0.1:0", env={"HASHER_MAX_BYTES": "100000"})
    before = hasher.resident_bytes()
    with Connection(hasher.address) as connection:
        connection.send(CHUNKED)
        sent = 0
        try:
            while sent < 256 << 20:
                connection.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                sent += 65536
        except OSError:
            pass
        assert connection.answer().status == 413
    assert 100000 < sent < 200 << 20
    assert hasher.resident_bytes() - before < (32 if sanitized() else 2) << 20
    assert metric(hasher.address, r'http_refused_total\{reason="too_large"\}') == 1


def test_300_mib_are_hashed_at_constant_memory(hasher):
    block, count = os.urandom(1 << 20), 300
    sha = hashlib.sha256()
    with Connection(hasher.address, timeout=60) as connection:
        connection.send(post_head(count << 20))
        before = None
        for _ in range(count):
            connection.send(block)
            sha.update(block)
            before = before or hasher.resident_bytes()
        assert hasher.resident_bytes() - before < (32 if sanitized() else 2) << 20
        assert connection.answer().body == sha.hexdigest().encode()


def test_a_body_that_stalls_is_given_up(hasher):
    with Connection(hasher.address) as connection:
        began = time.monotonic()
        connection.send(post_head(100) + b"half")
        assert connection.closed()
        assert 3.5 < time.monotonic() - began < 6


def test_a_body_that_breaks_off_leaves_the_service_well(hasher):
    for _ in range(20):
        with Connection(hasher.address) as connection:
            connection.send(post_head(100) + b"half")
    assert ask(hasher.address, "POST", "/", b"abc").body == digest(b"abc")


@pytest.mark.fault("J08")
@pytest.mark.parametrize("method, target, status", [
    ("PUT", "/", 405), ("DELETE", "/", 405), ("POST", "/x", 404), ("GET", "/x", 404),
])
def test_other_methods_and_paths(hasher, method, target, status):
    answer = ask(hasher.address, method, target, b"body")
    assert answer.status == status
    if status == 405:
        assert answer.headers["allow"] == "GET, HEAD, POST"


def test_fifty_posts_with_the_lesson_s_delay_take_less_than_a_second(start):
    hasher = start("hasher", "--listen", "127.0.0.1:0", env={"HASHER_DELAY_MS": "100"})
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        began = time.monotonic()
        answers = list(pool.map(
            lambda n: ask(hasher.address, "POST", "/", b"%d" % n).body, range(50)))
        took = time.monotonic() - began
    assert answers == [digest(b"%d" % n) for n in range(50)]
    assert 0.1 <= took < 1.0


def test_concurrency_is_a_limit_after_the_body(start):
    hasher = start("hasher", "--listen", "127.0.0.1:0", "--delay-ms", "50", "--concurrency", "2")
    with Connection(hasher.address) as slow:  # holds no place while its body comes in
        slow.send(post_head(3) + b"ab")
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            began = time.monotonic()
            list(pool.map(lambda _: ask(hasher.address, "POST", "/", b"x"), range(10)))
            took = time.monotonic() - began
        assert 0.25 <= took < 0.8
        assert slow.send(b"c").answer().body == digest(b"abc")


def test_sigterm_finishes_a_body_that_is_coming_in(hasher):
    with Connection(hasher.address) as connection:
        connection.send(post_head(3) + b"ab")
        time.sleep(0.1)
        hasher.send_signal(signal.SIGTERM)
        hasher.wait_for("ev=draining")
        answer = connection.send(b"c").answer()
        assert answer.body == digest(b"abc")
        assert answer.headers["connection"] == "close"
        assert hasher.wait() == 0


def test_health_and_bad_settings(hasher):
    assert run("hasher", "--health", "--listen", hasher.fields["address"]).returncode == 0
    done = run("hasher", env={"HASHER_MAX_BYTES": "1 GiB"})
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "HASHER_MAX_BYTES" in done.stderr
