"""stack/make-keys: needs no engine."""

import hashlib
import shutil

import pytest

from swarm import ROOT, command

PAIRS = ["ssh_client_rsa_key", "ssh_host_rsa_key", "broker_curve_key", "client_curve_key"]


@pytest.fixture
def folder(tmp_path):
    shutil.copy(ROOT / "stack/make-keys", tmp_path)
    return tmp_path


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (folder / "secrets").iterdir()}


def test_secret_halves_are_private_and_a_second_run_changes_nothing(folder):
    command(folder / "make-keys")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder / "secrets").iterdir()}
    assert modes == {**{name: 0o600 for name in PAIRS}, **{f"{name}.pub": 0o644 for name in PAIRS},
                     "redis_password": 0o600}
    before = digests(folder)
    assert command(folder / "make-keys").stdout == ""
    assert digests(folder) == before


def test_a_lost_pair_is_made_again_and_the_others_are_kept(folder):
    command(folder / "make-keys")
    before = digests(folder)
    for name in ("client_curve_key", "client_curve_key.pub"):
        (folder / "secrets" / name).unlink()
    command(folder / "make-keys")
    changed = {name for name, digest in digests(folder).items() if before[name] != digest}
    assert changed == {"client_curve_key", "client_curve_key.pub"}


@pytest.mark.parametrize("name", PAIRS)
def test_a_lost_public_half_is_said_and_nothing_overwritten(folder, name):
    command(folder / "make-keys")
    (folder / "secrets" / f"{name}.pub").unlink()
    before = digests(folder)
    done = command(folder / "make-keys", check=False)
    assert done.returncode == 1
    assert f"{name}.pub is not: remove it" in done.stderr
    assert digests(folder) == before


def test_curve_pairs_are_those_of_zeromq(folder):
    zmq = pytest.importorskip("zmq")
    command(folder / "make-keys")
    for name in ("broker_curve_key", "client_curve_key"):
        secret = (folder / "secrets" / name).read_bytes()
        public = (folder / "secrets" / f"{name}.pub").read_bytes()
        assert len(secret) == len(public) == 41 and secret.endswith(b"\n")
        assert zmq.curve_public(secret.strip()) == public.strip()


@pytest.mark.parametrize("option, kind", [([], "ED25519"), (["--rsa"], "RSA")],
                         ids=["default", "--rsa"])
def test_ssh_keys_are_of_the_type_asked_for(folder, option, kind):
    command(folder / "make-keys", *option)
    for name in ("ssh_client_rsa_key", "ssh_host_rsa_key"):
        shown = command("ssh-keygen", "-l", "-f", folder / "secrets" / name).stdout
        assert shown.strip().endswith(f"({kind})")
