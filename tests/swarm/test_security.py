"""Who gets in: ssh, ZeroMQ, ports and what the images carry."""

import io
import json
import re
import shutil
import tarfile

import pytest

from swarm import IMAGES, command, eventually

OPEN_PORTS = {2377, 7946, 8000, 8001, 8002}  # the swarm's own and ours

SCAN = """
import socket, sys
for port in range(1, 65536):
    probe = socket.socket()
    probe.settimeout(1)
    if probe.connect_ex((sys.argv[1], port)) == 0:
        print(port)
    probe.close()
"""

# Says whether the handshake with a server succeeded, and whether a frame gets an answer.
PEER = """
import sys, zmq
from zmq.utils.monitor import recv_monitor_message
endpoint, server, public, secret = sys.argv[1:]
peer = zmq.Context.instance().socket(zmq.DEALER)
peer.linger = 0
if public:
    peer.curve_serverkey = server.encode()
    peer.curve_publickey = public.encode()
    peer.curve_secretkey = secret.encode()
watch = peer.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH |
                                zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
peer.connect(endpoint)
peer.send(bytes(32))
event = recv_monitor_message(watch)["event"] if watch.poll(4000) else None
print("admitted" if event == zmq.EVENT_HANDSHAKE_SUCCEEDED else "refused")
print("answered" if peer.poll(2000) else "silent")
"""


def host_side_address(stack, service, node="m"):
    """Where the node itself reaches a container (not on the overlay)."""
    text = stack.inside(service, "ip", "-4", "-o", "addr", node=node).stdout
    return re.search(r"inet (172\.[\d.]+)/", text)[1]


def ssh(stack, key, *words, node="w1"):
    stack_key = stack.folder / "secrets/ssh_host_rsa_key.pub"
    known = stack.folder / "known_hosts"
    known.write_text("scoop-worker " + stack_key.read_text())
    options = ["IdentitiesOnly=yes", "BatchMode=yes", "HostKeyAlias=scoop-worker",
               f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "ConnectTimeout=5"]
    return stack.lab.run_in(
        node, "ssh", "-F", "none", "-p", "2222", "-i", key, *[f"-o{option}" for option in options],
        f"scoop@{host_side_address(stack, 'worker', node)}", *words, check=False, deadline_s=30)


@pytest.mark.fault("I03")
def test_ssh_with_another_key_is_refused(stack, tmp_path):
    other = tmp_path / "other"
    command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
    done = ssh(stack, other, "true")
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


@pytest.mark.fault("I08", weaker="two words for a shell, of many")
def test_ssh_with_the_right_key_runs_nothing_but_serve(stack, tmp_path):
    key = tmp_path / "key"
    shutil.copy(stack.folder / "secrets/ssh_client_rsa_key", key)
    key.chmod(0o600)
    done = ssh(stack, key, "id; echo probe")
    assert "Permission denied" not in done.stderr
    assert "uid=" not in done.stdout and "probe" not in done.stdout


@pytest.mark.fault("I01", "I02")
def test_a_worker_with_another_host_key_is_not_used_and_the_others_are(stack, tmp_path):
    secret = f"{stack.name}_other_host_key"
    eventually("three workers", 30, lambda: len(stack.workers()) == 3)
    command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other")
    stack.lab.docker("m", "secret", "create", secret, tmp_path / "other")
    before = stack.container("root_worker")
    stack.update("root_worker", "--secret-rm", f"{stack.name}_ssh_host_rsa_key_v1", "--secret-add",
                 f"source={secret},target=ssh_host_rsa_key,uid=10001,gid=10001,mode=0400")
    try:
        eventually("the new container", 30,
                   lambda: stack.containers("root_worker", "m") not in ([], [before]))
        addresses = stack.inside("root_worker", "ip", "-4", "-o", "addr").stdout
        address = re.search(r"inet (10\.[\d.]+)/", addresses)[1]
        eventually("the broker says which host", 40, lambda: [
            line for line in stack.log_of("broker").splitlines()
            if "ev=host_key_mismatch" in line and f"addr={address}:" in line])
        assert len(stack.workers()) == 2
        done = stack.inside("webui", "sh", "-c", "seq 20 | scoop map echo {}", deadline_s=60)
        assert done.stdout.split() == [str(number) for number in range(1, 21)]
    finally:
        stack.service("rollback", "--quiet", f"{stack.name}_root_worker")
        stack.lab.docker("m", "secret", "rm", secret)
    eventually("three workers again", 40, lambda: len(stack.workers()) == 3)


@pytest.mark.parametrize("port", [5555, 5556], ids=["clients", "workers"])
def test_a_zeromq_peer_without_an_admitted_key_gets_nothing(stack, port):
    zmq = pytest.importorskip("zmq")
    endpoint = f"tcp://{host_side_address(stack, 'broker')}:{port}"
    secrets = stack.folder / "secrets"
    server = (secrets / "broker_curve_key.pub").read_text().strip()

    def attempt(public, secret):
        return stack.lab.run_in("m", "/usr/bin/python3", "-c", PEER, endpoint, server, public,
                                secret, deadline_s=30).stdout.split()

    stranger = [half.decode() for half in zmq.curve_keypair()]
    assert attempt(*stranger) == ["refused", "silent"]
    assert attempt("", "") == ["refused", "silent"]
    client = [(secrets / name).read_text().strip()
              for name in ("client_curve_key.pub", "client_curve_key")]
    assert attempt(*client)[0] == ("admitted" if port == 5555 else "refused")


def test_no_port_is_open_but_those_of_the_swarm_and_ours(stack):
    done = stack.lab.run_in("w1", "/usr/bin/python3", "-c", SCAN, stack.lab.address("m"))
    assert set(map(int, done.stdout.split())) == OPEN_PORTS


@pytest.mark.parametrize("image", IMAGES)
def test_no_image_carries_a_private_key(lab, images, tmp_path, image):
    lab.docker("builder", "save", "-o", tmp_path / "image.tar", image)
    with tarfile.open(tmp_path / "image.tar") as saved:
        for layer in json.load(saved.extractfile("manifest.json"))[0]["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(saved.extractfile(layer).read())) as files:
                for member in filter(tarfile.TarInfo.isreg, files):
                    content = files.extractfile(member).read()
                    # libcrypto and ssh know the words, as programs; a key is a file of text.
                    program = content.startswith(b"\x7fELF")
                    assert program or b"PRIVATE KEY-----" not in content, member.name
    assert "PRIVATE KEY" not in lab.docker("builder", "history", "--no-trunc", image)
