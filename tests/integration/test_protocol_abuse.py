"""Peers that were let in and do not keep the rules of docs/PROTOCOL.md: their link ends, others notice nothing."""

import os
import pathlib
import struct
import subprocess
import sys
import time

import pytest

from fake_broker import (ACK, BYE, DRAIN, FUNCTION, GONE, HELLO, OK, OUTCOMES, PING, REFUSED, REFUSED_TASK,
                         RESULTS, REVOKE, SUBMIT, TASKS, VERSION, WELCOME)
from programs import eventually
from rawhttp import metric
from strangers import FRUGAL, Stranger, message
from wire_peer import (AGENT, CANCEL, CLIENT, FORGET, INPUT, NEED, NOTES, PARKED, PIECE, QUERY, REASON_FRAME,
                       REASON_LIMIT, REASON_ROLE, REASON_VERSION, STATUS, TYPE_END, WANT, Peer, frame, function_body,
                       hello_body, outcome_body, run_body)

LONG = os.environ.get("SCOOP_FAULTS") == "long"


class Broker:
    def __init__(self, start, folder):
        self.program = start("scoop-broker", "--client-listen", f"ipc://{folder}/c", "--worker-listen",
                             f"ipc://{folder}/w", "--listen", "127.0.0.1:0", env=FRUGAL)
        self.start, self.folder, self.peers = start, folder, []

    def url(self, role):
        return f"ipc://{self.folder}/{'c' if role == CLIENT else 'w'}"

    def peer(self, role, welcome=True, **more):
        peer = Peer(self.url(role), role, **more)
        self.peers.append(peer)
        assert not welcome or peer.hello()
        return peer

    def count(self, name):
        return metric(self.program.address, name)

    def becomes(self, name, value):
        """The metrics follow ten times a second."""
        return eventually(lambda: self.count(name) == value, f"{name} is {value}")

    def worker(self, slots=2):
        worker = self.start("scoop-worker", "run", "--broker", self.url(AGENT), "--slots", slots, ready=None)
        worker.wait_for("ev=link_open")
        return worker

    def works(self):
        """A client that keeps the rules gets its result."""
        client = self.peer(CLIENT)
        client.define(0, "absolute", argument=4, result=4)
        client.submit(0, [struct.pack("=i", -7)], argument=4)
        client.until(lambda: client.results, 10)
        assert client.results == [(1, OK, struct.pack("=i", 7))]
        client.bye()

    def end(self):
        for peer in self.peers:
            peer.close()


@pytest.fixture
def broker(start, tmp_path):
    broker = Broker(start, tmp_path)
    yield broker
    broker.end()
    assert broker.program.process.poll() is None


def ends(broker, kind, body, role=CLIENT, count=1, **changes):
    """Who sends such a frame has its link ended for it; the reason."""
    before = broker.count("scoop_frames_malformed_total")
    with Peer(broker.url(role), role) as peer:
        assert peer.hello()
        if role == CLIENT:
            peer.define(0, "absolute", argument=4, result=4)
            peer.define(1, "command")
        peer.send(kind, body, count, **changes)
        reason = peer.ended()
    eventually(lambda: broker.count("scoop_frames_malformed_total") > before, "it is counted")
    return reason


@pytest.mark.fault("G06")
@pytest.mark.parametrize("changes, reason", [
    pytest.param({"kind": 0}, REASON_FRAME, id="type-0"),
    pytest.param({"kind": TYPE_END}, REASON_FRAME, id="the-next-type"),
    pytest.param({"kind": 255}, REASON_FRAME, id="type-255"),
    pytest.param({"version": 0}, REASON_VERSION, id="version-0"),
    pytest.param({"version": 255}, REASON_VERSION, id="version-255"),
    pytest.param({"kind": ACK, "flags": 2}, REASON_FRAME, id="an-unknown-flag"),
    pytest.param({"kind": PING, "flags": 1}, REASON_FRAME, id="the-flag-of-another-type"),
    pytest.param({"kind": SUBMIT, "flags": 0x8000}, REASON_FRAME, id="the-highest-flag"),
    pytest.param({"kind": BYE, "seq": 0}, REASON_FRAME, id="without-a-number"),
    pytest.param({"kind": PING, "seq": 3}, REASON_FRAME, id="with-a-number"),
])
def test_an_unknown_type_version_or_flag_ends_the_link_and_is_counted(broker, changes, reason):
    assert ends(broker, **{"kind": ACK, "body": b"", "count": 0, **changes}) == reason
    broker.program.wait_for("ev=peer_refused")


@pytest.mark.fault("G16", weaker="version 1 is the first one, so there is no version before it that has to work")
def test_a_newer_protocol_version_is_refused_with_the_reason(broker):
    peer = broker.peer(CLIENT, welcome=False)
    peer.send(HELLO, hello_body(CLIENT), version=VERSION + 1)
    peer.until(lambda: peer.refused)
    assert peer.refused == (REASON_VERSION, "this broker speaks protocol version 1")
    assert broker.count("scoop_sessions") == 0


@pytest.mark.fault("G07", "G17")
@pytest.mark.parametrize("role, kinds", [
    pytest.param(CLIENT, [WELCOME, REFUSED, GONE, RESULTS, TASKS, OUTCOMES, REVOKE, DRAIN, STATUS, PARKED, NOTES, NEED],
                 id="client"),
    pytest.param(AGENT, [WELCOME, REFUSED, GONE, RESULTS, TASKS, REVOKE, QUERY, STATUS, NEED, FORGET, SUBMIT, INPUT,
                         CANCEL], id="agent"),
])
def test_a_frame_of_another_role_ends_the_link_and_is_logged(broker, role, kinds):
    for kind in kinds:
        before = broker.program.log.count("ev=peer_refused")
        assert ends(broker, kind, b"", role, count=0) == REASON_FRAME
        assert broker.program.log.count("ev=peer_refused") == before + 1
    assert broker.count("scoop_tasks_accepted_total") == 0


@pytest.mark.fault("G07")
@pytest.mark.parametrize("role", [CLIENT, AGENT])
def test_who_says_hello_in_another_role_is_refused(broker, role):
    peer = broker.peer(role, welcome=False)
    peer.send(HELLO, hello_body(AGENT if role == CLIENT else CLIENT))
    assert peer.ended() == REASON_ROLE
    assert broker.count("scoop_sessions") + broker.count("scoop_agents") == 0


@pytest.mark.fault("G17")
@pytest.mark.parametrize("name", ["broker.shutdown", "broker.stop", "broker.", "broker.set\0"])
def test_a_function_of_the_broker_that_is_none_is_refused(broker, name):
    client = broker.peer(CLIENT)
    client.define(0, name)
    if "\0" in name:
        assert client.ended() == REASON_FRAME
        return
    client.submit(0, [b""])
    if broker.count("scoop_agents") == 0:
        broker.worker()  # to an agent it is a builtin that is not there
    client.until(lambda: client.results, 10)
    assert client.results[0][:2] == (1, REFUSED_TASK)


HUGE = 0xFFFFFFFF
WRONG = {
    "a function twice": (FUNCTION, function_body(0, "absolute"), CLIENT),
    "a function beyond the last": (FUNCTION, function_body(1024, "absolute"), CLIENT),
    "a function number that wraps": (FUNCTION, function_body(HUGE, "absolute"), CLIENT),
    "a name longer than the frame": (FUNCTION, function_body(5, "")[:-2] + struct.pack(">H", 0xFFFF), CLIENT),
    "a name above the limit": (FUNCTION, function_body(5, "x" * 4097), CLIENT),
    "a run of nothing": (SUBMIT, run_body(0, [], argument=4), CLIENT),
    "a run longer than the frame says": (SUBMIT, run_body(0, [bytes(4)] * 2, argument=4), CLIENT),
    "a run of 4 billion": (SUBMIT, struct.pack(">HHIIIQ", 0, 0, HUGE, 4, 0, 1), CLIENT),
    "an argument of another size": (SUBMIT, run_body(0, [bytes(8)], argument=8), CLIENT),
    "an argument that is longer than the frame": (SUBMIT, run_body(1, [b""])[:-4] + struct.pack(">I", 1000), CLIENT),
    "an argument of 4 GiB": (SUBMIT, run_body(1, [b""])[:-4] + struct.pack(">I", HUGE), CLIENT),
    "an unknown function": (SUBMIT, run_body(7, [b""]), CLIENT),
    "a function number beyond the table": (SUBMIT, run_body(0xFFFF, [b""]), CLIENT),
    "a task number ahead": (SUBMIT, run_body(1, [b""], 2), CLIENT),
    "task number 0": (SUBMIT, run_body(1, [b""], 0), CLIENT),
    "unknown options": (SUBMIT, struct.pack(">HHIIIQ", 0, 0x8000, 1, 4, 0, 1) + bytes(4), CLIENT),
    "options that are cut": (SUBMIT, struct.pack(">HHIIIQ", 0, 1, 1, 4, 0, 1) + bytes(1), CLIENT),
    "4 billion inputs": (SUBMIT, struct.pack(">HHIIIQI", 0, 8, 1, 4, 0, 1, HUGE) + bytes(4), CLIENT),
    "a cancel of nothing that was": (CANCEL, struct.pack(">Q", 1), CLIENT),
    "a cancel of task 0": (CANCEL, struct.pack(">Q", 0), CLIENT),
    "a cancel of the last number": (CANCEL, struct.pack(">Q", (1 << 64) - 1), CLIENT),
    "a cancel that is cut": (CANCEL, bytes(7), CLIENT),
    "more behind the last record": (BYE, b"x", CLIENT),
    "a want of nothing known": (WANT, struct.pack(">QHBB", 1, 1, 9, 0) + bytes(44), CLIENT),
    "a piece that is cut": (PIECE, bytes(12), CLIENT),
    "an outcome that is cut": (OUTCOMES, bytes(19), AGENT),
    "an outcome that is none": (OUTCOMES, outcome_body(1, 1, 200, b""), AGENT),
    "an outcome longer than the frame": (OUTCOMES, struct.pack(">QHBBII", 1, 1, 0, 0, 1, HUGE), AGENT),
    "a parked that is cut": (PARKED, bytes(8), AGENT),
    "a note that is cut": (NOTES, bytes(9), AGENT),
}


@pytest.mark.fault("G08")
def test_lengths_numbers_and_records_that_are_wrong_end_the_link(broker):
    for what, (kind, body, role) in WRONG.items():
        assert ends(broker, kind, body, role) in (REASON_FRAME, REASON_LIMIT), what
    assert broker.becomes("scoop_sessions", 0) and broker.becomes("scoop_agents", 0)
    assert broker.count("scoop_tasks_ready") == 0


@pytest.mark.fault("G08")
def test_a_frame_that_is_cut_at_any_byte_does_nothing(broker):
    client = broker.peer(CLIENT)
    whole = [client.make(FUNCTION, function_body(0, "absolute", argument=4, result=4)),
             client.make(SUBMIT, run_body(0, [bytes(4)], argument=4)), client.make(CANCEL, struct.pack(">Q", 1))]
    peer = broker.peer(CLIENT)
    for data in whole:
        for size in range(len(data)):
            cut = bytearray(data[:size])
            if size >= 16:
                if peer.refused or GONE in peer.kinds:
                    peer.close()
                    peer = broker.peer(CLIENT)
                cut[8:16] = struct.pack(">Q", peer.link)
            if size >= 24:
                cut[16:24] = struct.pack(">Q", peer.sent + 1)
            peer.raw(bytes(cut))
            if size >= 16:
                peer.ended()
    assert broker.count("scoop_tasks_accepted_total") == 0


# ---- what is right, and comes again, or from another ----


def begin(broker):
    """A client with one task, and the agent that holds it."""
    client, agent = broker.peer(CLIENT), broker.peer(AGENT)
    client.define(0, "absolute", argument=4, result=4)
    submit = client.submit(0, [struct.pack("=i", -7)], argument=4)
    agent.until(lambda: agent.tasks)
    return client, agent, submit


@pytest.mark.fault("G09")
def test_frames_that_come_again_have_no_effect(broker):
    client, agent, submit = begin(broker)
    for _ in range(5):
        client.raw(submit)
    done = agent.answer(agent.tasks[0], b"\1\0\0\0")
    for _ in range(5):
        agent.raw(done)
    client.until(lambda: client.results)
    cancel = client.send(CANCEL, struct.pack(">Q", 1))
    client.raw(cancel)
    client.raw(submit)
    client.for_a_while(0.3)
    agent.for_a_while(0.1)
    assert client.results == [(1, OK, b"\1\0\0\0")]
    assert len(agent.tasks) == 1
    assert (client.refused, agent.refused) == (None, None)
    assert broker.count("scoop_tasks_accepted_total") == 1


@pytest.mark.fault("G09", "G10")
def test_a_frame_that_was_heard_is_worth_nothing_to_another_peer(broker):
    client, agent, submit = begin(broker)
    other_client, other_agent = broker.peer(CLIENT), broker.peer(AGENT)
    other_agent.raw(frame(OUTCOMES, other_agent.link, outcome_body(*agent.tasks[0][:2], OK, b"\2\0\0\0"), 1, 1))
    other_client.raw(submit)  # the link is another's; on a socket without keys it moves there, and no more
    other_client.for_a_while(0.2)
    agent.answer(agent.tasks[0], b"\1\0\0\0")
    client.until(lambda: client.results)
    assert client.results == [(1, OK, b"\1\0\0\0")]
    assert not other_client.results
    assert broker.becomes("scoop_outcomes_stale_total", 1)
    assert broker.count("scoop_tasks_accepted_total") == 1


@pytest.mark.fault("G10")
def test_an_outcome_with_another_token_is_ignored_and_counted(broker):
    client, agent, _ = begin(broker)
    task, attempt, _ = agent.tasks[0]
    wrong = [(task, attempt + 1), (task, 0), (task + 1, attempt), (task ^ 1 << 63, attempt), (0, attempt)]
    for one in wrong:
        agent.answer(one, b"\2\0\0\0")
    agent.answer((task, attempt), b"\1\0\0\0")
    agent.answer((task, attempt), b"\3\0\0\0")
    client.until(lambda: client.results)
    client.for_a_while(0.2)
    assert client.results == [(1, OK, b"\1\0\0\0")]
    assert broker.becomes("scoop_outcomes_stale_total", len(wrong) + 1)
    assert agent.refused is None


@pytest.mark.fault("G10")
def test_an_outcome_of_an_earlier_broker_is_ignored(start, tmp_path):
    first = Broker(start, tmp_path)
    _, agent, _ = begin(first)
    first.program.kill()
    second = Broker(start, tmp_path)
    client, other, _ = begin(second)
    agent.answer(agent.tasks[0], b"\2\0\0\0")
    agent.until(lambda: GONE in agent.kinds)
    other.answer(other.tasks[0], b"\1\0\0\0")
    client.until(lambda: client.results)
    assert client.results == [(1, OK, b"\1\0\0\0")]
    first.end()
    second.end()


@pytest.mark.fault("G11")
def test_tasks_of_another_session_cannot_be_named(broker):
    client, agent, _ = begin(broker)
    thief = broker.peer(CLIENT)
    thief.send(CANCEL, struct.pack(">Q", 1))  # the client's number; to the thief's session it is nobody's
    assert thief.ended() == REASON_FRAME
    task = agent.tasks[0][0]
    guess = broker.peer(CLIENT)
    guess.send(CANCEL, struct.pack(">Q", task))
    assert guess.ended() == REASON_FRAME
    agent.for_a_while(0.2)
    assert REVOKE not in agent.kinds
    agent.answer(agent.tasks[0], b"\1\0\0\0")
    client.until(lambda: client.results)
    assert client.results == [(1, OK, b"\1\0\0\0")]


@pytest.mark.fault("G18", weaker="by names of durable tasks all clients name the same ones, as is promised")
def test_equal_numbers_and_names_of_two_sessions_are_different_tasks(broker):
    first, agent, _ = begin(broker)
    second = broker.peer(CLIENT)
    second.define(0, "absolute", argument=4, result=4)
    second.submit(0, [struct.pack("=i", -8)], argument=4)
    agent.until(lambda: len(agent.tasks) == 2)
    for task in agent.tasks:
        agent.answer(task, struct.pack("=i", -struct.unpack("=i", task[2])[0]))
    first.until(lambda: first.results)
    second.until(lambda: second.results)
    assert (first.results, second.results) == ([(1, OK, struct.pack("=i", 7))], [(1, OK, struct.pack("=i", 8))])


# ---- who it is ----


@pytest.mark.fault("G15")
def test_of_two_agents_with_one_identity_the_newer_one_stays_and_the_older_is_fenced(broker):
    client, older, _ = begin(broker)
    newer = broker.peer(AGENT, incarnation=older.incarnation)
    newer.until(lambda: newer.tasks)
    older.answer(older.tasks[0], b"\2\0\0\0")
    older.until(lambda: GONE in older.kinds)
    newer.answer(newer.tasks[0], b"\1\0\0\0")
    client.until(lambda: client.results)
    assert client.results == [(1, OK, b"\1\0\0\0")]
    assert newer.tasks[0][1] == older.tasks[0][1] + 1
    assert broker.becomes("scoop_agents", 1)


@pytest.mark.fault("G15")
def test_two_processes_of_one_client_have_a_session_each(broker):
    first = broker.peer(CLIENT, incarnation=4711)
    second = broker.peer(CLIENT, incarnation=4711)
    assert broker.becomes("scoop_sessions", 2)
    assert not first.refused and not second.refused


# ---- too much ----


FLOOD = pathlib.Path(__file__).parent / "wire_peer.py"


def nearest(times, part):
    return sorted(times)[int(len(times) * part)]


def round_trips(client, first_no, count):
    """Seconds from submitting a single task to its result, of each."""
    times = []
    for no in range(first_no, first_no + count):
        begin = time.monotonic()
        client.submit(0, [struct.pack("=i", -no)], no, argument=4)
        client.until(lambda: len(client.results) == no, 10)  # pylint: disable=cell-var-from-loop
        times.append(time.monotonic() - begin)
    return times


@pytest.mark.fault("G14", short="19 of 20 calls of another within 250 ms, however busy the machine; not twice as long as before")
def test_a_client_that_floods_the_broker_holds_up_no_other(broker):
    broker.worker()
    client = broker.peer(CLIENT)
    client.define(0, "absolute", argument=4, result=4)
    count = 2000 if LONG else 100
    before = round_trips(client, 1, count)
    memory = broker.program.resident_bytes()
    seconds = 10 if LONG else 2
    with subprocess.Popen([sys.executable, FLOOD, broker.url(CLIENT), str(seconds)], stdout=subprocess.PIPE,
                          text=True) as flooder:
        assert flooder.stdout.readline() == "begin\n"
        during = round_trips(client, count + 1, count)
        sent = int(flooder.communicate(timeout=30)[0])
    assert sent / seconds > 5000, "that is a flood"
    if LONG:
        assert nearest(during, 0.99) < 2 * nearest(before, 0.99) + 0.001
    assert nearest(during, 0.95) < 0.25
    assert broker.program.resident_bytes() - memory < 64 << 20
    assert client.results[-1][1] == OK


@pytest.mark.fault("G12")
def test_a_message_without_an_end_costs_the_broker_but_no_task(start, tmp_path, started):
    """ZeroMQ collects the parts of a message and asks nobody. What ends it is the memory limit of the broker's
    container: here the test is the kernel that kills what is above it, and the engine that starts it again."""
    first = Broker(start, tmp_path)
    first.worker()
    client = started("map", "--broker", first.url(CLIENT), "sh", "-c", "sleep 0.5; echo {}", ":::", *map(str, range(12)))
    client.wait_for("0", stdout=True)
    stranger = Stranger(f"{tmp_path}/c").open()
    part = message(bytes(1 << 20), more=True)
    limit = first.program.resident_bytes() + (200 << 20)
    while first.program.resident_bytes() < limit:
        stranger.send(part)
    first.works()
    first.program.kill()
    second = Broker(start, tmp_path)
    assert client.wait(60) == 0
    assert client.lines == [str(i) for i in range(12)]
    stranger.close()
    first.end()
    second.works()
    second.end()
