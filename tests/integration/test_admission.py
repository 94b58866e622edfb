"""Who may talk to the broker over TCP. That others get nothing through is in test_strangers.py."""

import ctypes
import os
import pathlib
import struct
import threading
import time

import pytest
import zmq
from fake_broker import text
from programs import descendants, eventually, run
from rawhttp import ask
from ssh_site import Site

HELLO, WELCOME = 1, 2
CLIENT, AGENT = 1, 2
WAIT_MS = 1200


@pytest.fixture(scope="module")
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture
def broker(site, start):
    return start("scoop-broker", *site.broker_arguments(""))


def hello(role):
    header = struct.pack(">BBHIQQQ", 1, HELLO, 0, 1, 4711, 0, 0)
    slots = 2 if role == AGENT else 0
    return (header + struct.pack(">BIQII", role, 1, 815, slots, 0) + text("host") + text("name") +
            text("0") + text(""))


def secret_pair(site, name):
    secret = site.text(name).strip().encode()
    return zmq.curve_public(secret), secret


def answer(endpoint, role, pair=None, server=None, wait_ms=WAIT_MS):
    """Say HELLO; return the type of the frame that comes back, None when there is none."""
    context = zmq.Context()
    peer = context.socket(zmq.DEALER)
    peer.linger = 0
    if pair:
        peer.curve_publickey, peer.curve_secretkey = pair
        peer.curve_serverkey = server
    peer.connect(endpoint)
    peer.send(hello(role))
    came = peer.poll(wait_ms)
    frame = peer.recv() if came else None
    peer.close()
    context.term()
    return frame[1] if frame else None


def server_key(site):
    return site.text("broker_curve_key.pub").strip().encode()


def test_a_client_with_an_admitted_key_is_welcome(site, broker):
    pair = secret_pair(site, "client_curve_key")
    assert answer(site.client_endpoint, CLIENT, pair, server_key(site), 5000) == WELCOME


def test_refusals_are_told_once_a_second_at_most(site, broker):
    begin = time.monotonic()
    for _ in range(3):
        answer(site.client_endpoint, CLIENT, zmq.curve_keypair(), server_key(site), 300)
    broker.wait_for("ev=peer_refused")
    assert broker.log.count("ev=peer_refused") <= 2 + time.monotonic() - begin


def test_strangers_do_not_disturb_the_others(site, broker):
    context = zmq.Context()
    strangers = []
    for _ in range(50):
        peer = context.socket(zmq.DEALER)
        peer.linger = 0
        peer.curve_publickey, peer.curve_secretkey = zmq.curve_keypair()
        peer.curve_serverkey = server_key(site)
        peer.connect(site.client_endpoint)
        peer.send(b"x" * 1000)
        strangers.append(peer)
    pair = secret_pair(site, "client_curve_key")
    assert answer(site.client_endpoint, CLIENT, pair, server_key(site), 5000) == WELCOME
    for peer in strangers:
        peer.close()
    context.term()


@pytest.mark.fault("H02")
def test_the_command_line_needs_the_keys_too(site, broker):
    good = run("scoop", "info", env=site.client_environment())
    assert good.returncode == 0, good.stderr
    other = site.write("stranger_key", zmq.curve_keypair()[1].decode() + "\n")
    bad = run("scoop", "info", env={**site.client_environment(), "SCOOP_CLIENT_KEY_FILE": other},
              timeout=60)
    assert bad.returncode != 0
    eventually(lambda: "ev=peer_refused" in broker.log, "the refusal is logged")


def test_sockets_of_the_file_system_need_no_keys(start, tmp_path):
    broker = start("scoop-broker", "--client-listen", f"ipc://{tmp_path}/c", "--worker-listen",
                   f"ipc://{tmp_path}/w", "--curve-key", "/no/such/file")
    assert answer(f"ipc://{tmp_path}/c", CLIENT, wait_ms=5000) == WELCOME
    assert "admission_started" not in broker.log


def test_workers_over_ssh_need_a_tcp_socket(tmp_path):
    done = run("scoop-broker", "--client-listen", f"ipc://{tmp_path}/c", "--worker-listen",
               f"ipc://{tmp_path}/w", "--workers", "127.0.0.2")
    assert done.returncode == 1
    assert "tcp:// worker-listen" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("variable, value", [
    ("BROKER_CLIENT_LISTEN", "nonsense"),
    ("BROKER_CLIENT_LISTEN", "ipc://relative"),
    ("BROKER_WORKER_LISTEN", "tcp://*"),
])
def test_an_endpoint_that_is_none_is_one_clear_line(variable, value):
    done = run("scoop-broker", env={variable: value})
    assert done.returncode == 2
    assert done.stderr == (
        f'scoop-broker: {variable}: "{value}" is not tcp://HOST:PORT or ipc:///PATH\n')


PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000


def thread_of(program, name):
    for pid in [program.pid, *descendants(program.pid)]:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            if (task / "comm").read_text().strip() == name:
                return int(task.name)
    raise AssertionError(f"{program.name} has no thread {name}")


class Stopped:
    """One thread of a program stands still for good, as if it were dead; the others do not. A debugger does that, which is
    a thread of its own here and has to stay."""

    def __init__(self, thread):
        self.thread, self.over, self.done = thread, threading.Event(), threading.Event()
        self.debugger = threading.Thread(target=self.hold)
        self.debugger.start()
        assert self.done.wait(5)

    def hold(self):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(PTRACE_SEIZE, self.thread, None, None) == 0 and \
                libc.ptrace(PTRACE_INTERRUPT, self.thread, None, None) == 0:
            os.waitpid(self.thread, WALL)
            self.done.set()
            self.over.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.debugger.join()


@pytest.mark.fault("H05")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may stop a thread of another process")
def test_without_the_thread_that_admits_nobody_gets_in_and_the_health_check_fails(site, broker):
    pair = secret_pair(site, "client_curve_key")
    assert answer(site.client_endpoint, CLIENT, pair, server_key(site), 5000) == WELCOME
    assert ask(broker.address, "GET", "/health").status == 200
    with Stopped(thread_of(broker, "admit")):
        assert answer(site.client_endpoint, CLIENT, pair, server_key(site)) is None
        assert answer(site.worker_endpoint, AGENT, zmq.curve_keypair(), server_key(site)) is None
        eventually(lambda: ask(broker.address, "GET", "/health").status == 503, "it is not well")
        assert b"admission" in ask(broker.address, "GET", "/health").body
    eventually(lambda: answer(site.client_endpoint, CLIENT, pair, server_key(site)) == WELCOME, "it goes on")
