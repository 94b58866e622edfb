"""Where keys are not: in what functions can read, in arguments, environments and logs, and in core files."""

import base64
import itertools
import os
import pathlib
import re
import struct

import pytest
import zmq
from programs import children, run
from ssh_site import Site
from zmq.utils import z85

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="reading the memory of other users needs root")


@pytest.fixture(scope="module")
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture
def running(site, start):
    """(broker, worker) that have computed: there is an executor."""
    worker = start(site.worker_program, *site.worker_arguments("127.0.0.2"), ready=None, env=site.worker_environment(),
                   user=site.run_as)
    worker.wait_for("Server listening")
    broker = start("scoop-broker", *site.broker_arguments("127.0.0.2"))
    broker.wait_for("ev=agent_joined")
    done = run("scoop", "map", "echo", "{}", ":::", "1", env=site.client_environment())
    assert done.stdout == "1\n", done.stderr
    return broker, worker


def family(pid):
    """It and all below it."""
    return [pid] + [one for child in children(pid) for one in family(child)]


def name_of(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def memory(pid, only=""):
    """Of its memory what is there, run of pages by run of pages; sanitizers reserve terabytes, of which little is."""
    page = os.sysconf("SC_PAGE_SIZE")
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, \
         open(f"/proc/{pid}/pagemap", "rb", 0) as there, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            begin, end = (int(word, 16) // page for word in line.split()[0].split("-"))
            if line.split()[1][0] != "r" or "[v" in line or not line.rstrip().endswith(only) or end - begin > 1 << 18:
                continue
            there.seek(begin * 8)
            flags = struct.unpack(f"={end - begin}Q", there.read((end - begin) * 8))
            at = begin
            for present, run in itertools.groupby(flags, lambda flag: flag >> 62 != 0):
                count = len(list(run))
                if present:
                    mem.seek(at * page)
                    yield mem.read(count * page)
                at += count


def keys(site):
    """Every secret of the site as it might lie somewhere: {name: [bytes]}."""
    found = {}
    for name in ("ssh_client_rsa_key", "ssh_host_rsa_key"):
        text = site.text(name)
        body = base64.b64decode("".join(text.splitlines()[1:-1]))
        public = base64.b64decode(site.text(name + ".pub").split()[1])[-32:]
        # An ed25519 key ends in seed and public half.
        seed = body[body.rindex(public) - 32:body.rindex(public)]
        found[name] = [text.splitlines()[2].encode(), seed]
    for name in ("broker_curve_key", "client_curve_key"):
        text = site.text(name).strip()
        found[name] = [text.encode(), z85.decode(text)]
    return found


def holds(pid, secrets):
    """Which of the secrets its memory has."""
    return {name for part in memory(pid) for name, forms in secrets.items() if any(form in part for form in forms)}


def agents_pair(pid):
    """The fresh pair of an agent, found in its memory: a public half, and its secret half behind it."""
    for part in memory(pid, "[stack]"):
        for public, secret in re.findall(rb"([!-~]{40})\0([!-~]{40})\0", part):
            try:
                if zmq.curve_public(secret) == public:
                    return secret
            except (zmq.ZMQError, ValueError):
                pass
    return None


@pytest.mark.fault("H17")
def test_the_memory_of_an_executor_has_no_key(site, running):
    broker, worker = running
    below = {pid: name_of(pid) for pid in family(worker.process.pid)}
    agent = next(pid for pid, words in below.items() if b"serve" in words and words[0].endswith(b"scoop-worker"))
    executors = children(agent)
    assert executors
    secrets = keys(site)
    fresh = agents_pair(agent)
    assert fresh is not None, "the search itself finds nothing"
    assert "broker_curve_key" in holds(broker.process.pid, secrets), "the search itself finds nothing"
    secrets["the agent's own"] = [fresh, z85.decode(fresh.decode())]
    for pid in executors:
        assert holds(pid, secrets) == set()


@pytest.mark.fault("H15", weaker="real processes without Docker: docker inspect is looked at in tests/swarm")
def test_no_key_is_in_arguments_environments_or_logs_and_no_process_writes_a_core_file(site, running):
    broker, worker = running
    secrets = {name: forms[0] for name, forms in keys(site).items()}
    pids = family(broker.process.pid) + family(worker.process.pid)
    assert len(pids) > 5
    for pid in pids:
        words = name_of(pid)
        for where in ("cmdline", "environ"):
            text = pathlib.Path(f"/proc/{pid}/{where}").read_bytes()
            assert not [name for name, secret in secrets.items() if secret in text], (pid, where, words)
        if words[0].startswith((b"scoop-", bytes(site.folder))) or b"scoop-broker" in words[0]:
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"Max core file size +0 +0 ", limits), words
    for program in (broker, worker):
        assert not [name for name, secret in secrets.items() if secret.decode() in program.log]


@pytest.mark.fault("F18")
def test_a_task_can_read_no_key_of_its_worker(site, running):
    key = site.folder / "worker-127.0.0.2"
    copies = [path for path in key.rglob("*") if path.name == "host_key"]
    assert copies, "where sshd's copy of the host key lies"
    done = run("scoop", "map", "cat {}", ":::", *map(str, copies), f"/proc/{os.getpid()}/environ",
               env=site.client_environment())
    assert done.stdout == "" and "Permission denied" in done.stderr
    assert done.returncode == len(copies) + 1
