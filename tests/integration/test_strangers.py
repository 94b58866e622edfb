"""Peers without an admitted key, who send what they like to the broker's sockets. After each test the broker says
how many messages it took, handshakes it admitted, sessions, agents and tasks it has: none of any."""

import concurrent.futures
import os
import random

import pytest
import zmq

from programs import eventually
from ssh_site import Site
from strangers import FRUGAL, Stranger, command, curve_hello, greeting, let_in, message, ready
from test_admission import AGENT, CLIENT, answer, secret_pair, server_key

LONG = os.environ.get("SCOOP_FAULTS") == "long"
HANDSHAKE_S = 3.5  # ZMQ_HANDSHAKE_IVL is 3 s


@pytest.fixture(scope="module")
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture
def broker(site, start, record_property):
    """Strangers alone talk to it; `broker.strangers` says how many they were."""
    broker = start("scoop-broker", *site.broker_arguments(""), env=FRUGAL)
    broker.strangers = 0
    yield broker
    came = let_in(broker)
    record_property("strangers", broker.strangers)
    record_property("accepted", int(sum(came.values())))
    assert broker.strangers > 0
    assert not came
    good = answer(site.client_endpoint, CLIENT, secret_pair(site, "client_curve_key"), server_key(site), 5000)
    assert good, "who has a key is welcome all the same"


@pytest.fixture
def knock(site, broker):
    """knock([bytes, ...]) -> a Stranger for each of them at each of the two sockets, who has sent that."""
    def all_of(what):
        strangers = [Stranger(("127.0.0.1", port), data) for data in what
                     for port in (site.client_port, site.worker_port)]
        broker.strangers += len(strangers)
        return strangers

    return all_of


def noise():
    """Random bytes, of which half begin as ZeroMQ does."""
    data = random.randbytes(random.randrange(1, 300))
    return random.choice([b"", b"", greeting(), greeting() + curve_hello()]) + data


def come_and_go(broker, knock, what):
    for stranger in knock(what):
        stranger.close()
    eventually(lambda: broker.descriptors() < 100, "all have gone")


@pytest.mark.fault("G01", short="1 000 connections, not 1 million")
def test_random_bytes_leave_no_trace(broker, knock):
    come_and_go(broker, knock, (noise() for _ in range(100)))
    before = broker.resident_bytes()
    for _ in range(5000 if LONG else 4):
        come_and_go(broker, knock, (noise() for _ in range(100)))
    assert broker.resident_bytes() - before < 8 << 20


SILENT = {
    "nothing": b"",
    "one byte": b"\xff",
    "half a signature": greeting()[:9],
    "half a greeting": greeting()[:40],
    "a greeting": greeting(),
    "half a command": greeting() + curve_hello()[:100],
}


@pytest.mark.fault("G02")
def test_who_falls_silent_in_the_handshake_is_closed_after_three_seconds(knock):
    times = [stranger.closed_after() for stranger in knock(SILENT.values())]
    assert max(times) < HANDSHAKE_S, times


# ZMTP 1.0 has no greeting: a length, flags, an identity. 2.0 has the socket's type behind its revision.
STRANGE = {
    "ZMTP 1.0": b"\x01\x00" + message(b"hello") + bytes(60),
    "ZMTP 1.0 in the clothes of later ones": greeting()[:10] + b"\x00\x05\x00\x00" + bytes(60),
    "ZMTP 2.0": greeting()[:10] + b"\x01\x05\x00\x00" + bytes(60),
    "no mechanism": greeting(b"NULL") + ready(),
    "a user and a password": greeting(b"PLAIN") + command(b"\x05HELLO\x04root\x04root"),
    "GSSAPI": greeting(b"GSSAPI") + command(b"\x08INITIATE" + bytes(20)),
    "a mechanism that is none": greeting(b"curve") + curve_hello(),
    "a mechanism of 20 letters": greeting(b"CURVECURVECURVECURVE") + curve_hello(),
    "a second server": greeting(as_server=1) + curve_hello(),
    "READY without a handshake": greeting() + ready(),
    "INITIATE without a HELLO": greeting() + command(b"\x08INITIATE" + bytes(300)),
    "a message without a handshake": greeting() + message(b"x" * 100),
    "a HELLO whose box does not open": greeting() + curve_hello(),
    "two of them": greeting() + curve_hello() + curve_hello(),
    "a HELLO that is too short": greeting() + command(b"\x05HELLO\x01\x00" + bytes(100)),
    "a HELLO of another version": greeting() + command(b"\x05HELLO\x07\x00" + bytes(192)),
    "HTTP": b"GET / HTTP/1.1\r\nHost: scoop\r\n\r\n" + bytes(64),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n" + bytes(64),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
}


@pytest.mark.fault("G03", "H01")
def test_other_versions_and_mechanisms_are_refused(knock):
    times = [stranger.closed_after() for stranger in knock(STRANGE.values())]
    assert max(times) < HANDSHAKE_S, times


@pytest.mark.fault("G04")
def test_a_frame_that_claims_to_be_huge_is_closed_and_takes_no_memory(broker, knock):
    before = broker.resident_bytes()
    waiting = knock(greeting() + make(b"\x05HELLO" + bytes(1000), size) for make in (command, message)
                    for size in (1 << 24, 1 << 40, 1 << 63, (1 << 64) - 1))
    assert max(stranger.closed_after() for stranger in waiting) < HANDSHAKE_S
    assert broker.resident_bytes() - before < 8 << 20


@pytest.mark.fault("G05")
def test_a_handshake_that_is_cut_at_any_byte_is_ignored(broker, knock):
    whole = greeting() + curve_hello()
    come_and_go(broker, knock, (whole[:size] for size in range(len(whole) + 1)))


@pytest.mark.fault("H01", "H02", "H03")
def test_a_peer_without_the_right_keys_gets_nothing_through(site, broker):
    right, server = secret_pair(site, "client_curve_key"), server_key(site)
    strangers = [
        (CLIENT, None, None),
        (AGENT, None, None),
        (CLIENT, zmq.curve_keypair(), server),
        (AGENT, zmq.curve_keypair(), server),
        (CLIENT, right, zmq.curve_keypair()[0]),  # which it takes for the broker's
        (AGENT, right, zmq.curve_keypair()[0]),
        (AGENT, right, server),  # which is a client's
    ]
    with concurrent.futures.ThreadPoolExecutor(len(strangers)) as pool:
        answers = list(pool.map(
            lambda one: answer(site.client_endpoint if one[0] == CLIENT else site.worker_endpoint, *one), strangers))
    broker.strangers += len(strangers)
    assert answers == [None] * len(strangers)
    broker.wait_for("ev=peer_refused")
