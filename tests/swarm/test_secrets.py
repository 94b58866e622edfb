"""Secrets: broken ones, and where none may be found."""

import base64
import json
import time

import pytest

from swarm import SERVICES, command, eventually, fields_of, processes_of

# What is broken: (row, which secret of the broker, what it holds, owner and mode, what the line says).
BROKEN = [
    pytest.param("H07", None, (0, 0o400), "broker_curve_key", id="missing", marks=pytest.mark.fault("H07")),
    pytest.param("H08", "SAME", (0, 0o400), "may not be read", id="of-another-user", marks=pytest.mark.fault("H08")),
    pytest.param("H08", "SAME", (10001, 0o000), "may not be read", id="mode-000", marks=pytest.mark.fault("H08")),
    pytest.param("H09", "", (10001, 0o400), "empty", id="empty", marks=pytest.mark.fault("H09")),
    pytest.param("H10", "canary-of-the-secret\x01\xff" * 3, (10001, 0o400), "", id="junk", marks=pytest.mark.fault("H10")),
    pytest.param("H12", "RSA", (10001, 0o400), "", id="an-ssh-key", marks=pytest.mark.fault("H12")),
    pytest.param("H13", "x" * 600000, (10001, 0o400), "", id="600-kB", marks=pytest.mark.fault("H13")),
    pytest.param("H14", "SAME", (10001, 0o444), "", id="mode-444", marks=pytest.mark.fault("H14")),
]


def broken_secrets(stack, folder, content, owner, mode):
    """The broker's secrets with another broker_curve_key."""
    names = ["ssh_client_rsa_key", "ssh_host_rsa_key.pub", "broker_curve_key", "client_curve_key.pub"]
    folder.mkdir()
    for name in names:
        text = (stack.folder / "secrets" / name).read_text()
        place = folder / name
        if name == "broker_curve_key":
            if content is None:
                continue
            text = {"SAME": text, "RSA": (stack.folder / "secrets/ssh_client_rsa_key").read_text()}.get(content, content)
        place.write_text(text)
        uid, bits = (owner, mode) if name == "broker_curve_key" else (10001, 0o400)
        command("chown", f"{uid}:{uid}", place)
        place.chmod(bits)
    folder.chmod(0o755)
    folder.parent.chmod(0o755)


def run_broker(stack, folder):
    begin = time.monotonic()
    done = stack.lab("docker", "w1", "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL",
                     "--tmpfs", "/run/scoop:uid=10001", "--tmpfs", "/tmp", "-v", f"{folder}:/run/secrets:ro",
                     "scoop-broker:latest", check=False, deadline_s=30)
    return done, time.monotonic() - begin


@pytest.mark.parametrize("row, content, owner_mode, text", BROKEN)
def test_a_broken_secret_ends_the_broker_at_once_with_one_line(stack, tmp_path, row, content, owner_mode, text):
    folder = tmp_path / "secrets"
    broken_secrets(stack, folder, content, *owner_mode)
    done, took = run_broker(stack, folder)
    said = [line for line in done.stderr.splitlines() if line.startswith("scoop-broker: ")]
    assert done.returncode not in (0, 137), done.stderr
    assert len(said) == 1 and "broker_curve_key" in said[0] and text in said[0], done.stderr
    assert "canary" not in done.stderr
    assert took < 8  # with the engine's part of it


@pytest.mark.fault("H11")
@pytest.mark.parametrize("ends", ["\n\n", "\r\n"], ids=["two", "of-Windows"])
def test_line_ends_of_a_secret_do_not_matter_or_are_named(stack, tmp_path, ends):
    folder = tmp_path / "secrets"
    key = (stack.folder / "secrets/broker_curve_key").read_text().strip()
    broken_secrets(stack, folder, key + ends, 10001, 0o400)
    container = stack.lab.docker("w1", "run", "--detach", "--network", "none", "--read-only", "--tmpfs",
                                 "/run/scoop:uid=10001", "--tmpfs", "/tmp", "-v", f"{folder}:/run/secrets:ro",
                                 "-e", "BROKER_WORKERS=", "scoop-broker:latest")
    try:
        def said():
            done = stack.lab("docker", "w1", "logs", container)
            return "ev=listening" in done.stderr or "broker_curve_key" in done.stderr
        eventually("it listens, or says which secret", 10, said)
    finally:
        stack.lab.docker("w1", "rm", "--force", container)


@pytest.mark.fault("H09", "H13")
@pytest.mark.parametrize("size", [0, 600000])
def test_swarm_refuses_secrets_that_are_empty_or_too_large(stack, tmp_path, size):
    (tmp_path / "secret").write_bytes(b"x" * size)
    done = stack.lab("docker", "m", "secret", "create", "never", tmp_path / "secret", check=False)
    assert done.returncode != 0


# ---- where no secret may be found ----


def needles(folder):
    """What would give a secret away: its text, line by line, and the bytes behind it."""
    found = {}
    for path in folder.iterdir():
        if path.suffix == ".pub" or not path.is_file():
            continue
        lines = [line for line in path.read_text().splitlines() if len(line) > 20 and "-----" not in line]
        found[path.name] = [line.encode() for line in lines]
        # Of an OpenSSH key, the first lines are the head and the public half, which is no secret.
        if lines and len(lines) > 2:
            raw = base64.b64decode("".join(lines))
            found[path.name] = [line.encode() for line in lines[2:]] + [raw[-80:-40]]
    return found


def search(wanted, where, text):
    text = text if isinstance(text, bytes) else text.encode(errors="replace")
    return [f"{name} in {where}" for name, parts in wanted.items() for part in parts if part in text]


@pytest.fixture(scope="module")
def everything(deployed):
    """All containers of the stack: (service, node, id)."""
    deployed.await_running()
    return [(service, node, container) for service in SERVICES for node in deployed.lab.nodes()
            for container in deployed.containers(service, node)]


@pytest.mark.fault("H15")
def test_no_secret_is_found_in_inspection_environment_arguments_or_logs_of_any_container(stack, everything):
    wanted = needles(stack.folder / "secrets")
    assert len(wanted) == 5 and all(wanted.values())
    planted = (stack.folder / "secrets/redis_password").read_text()
    assert search(wanted, "a probe", f"PASSWORD={planted}") == ["redis_password in a probe"]
    found, looked = [], 0
    for service, node, container in everything:
        texts = {"inspect": stack.lab.docker(node, "inspect", container)}
        done = stack.lab("docker", node, "logs", container)
        texts["log"] = done.stdout + done.stderr
        for inside, pid in processes_of(container).items():
            for name in ("environ", "cmdline"):
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    texts[f"{name} of {inside}"] = file.read()
        looked += len(texts)
        for what, text in texts.items():
            found += search(wanted, f"{what} of {service} on {node}", text)
    for service in SERVICES:
        found += search(wanted, f"service {service}", stack.service("inspect", f"{stack.name}_{service}"))
    found += search(wanted, "secrets", stack.lab.docker("m", "secret", "inspect", *stack.lab.docker(
        "m", "secret", "ls", "-q").split()))
    assert found == []
    print(f"searched {looked} places of {len(everything)} containers")
    assert len(everything) >= len(SERVICES) + 1 and looked > 4 * len(everything)


@pytest.mark.figure
def test_every_process_of_every_container_has_no_rights_to_lose(stack, everything):
    for service, node, container in everything:
        options = json.loads(stack.lab.docker(node, "inspect", container))[0]["HostConfig"]
        assert options["ReadonlyRootfs"] and options["Memory"] > 0 and options["PidsLimit"] > 0, service
        assert options["NanoCpus"] > 0 or service in ("broker", "worker", "root_worker"), service
        assert options["CapDrop"] == ["ALL"] and not options["CapAdd"] and not options["Privileged"], service
        for pid in own_processes(container):
            fields = fields_or_none(pid)
            if fields is None:
                continue
            where = f"{fields['Name']} of {service} on {node}"
            assert set(fields["Uid"].split()) == set(fields["Gid"].split()) == {"10001"}, where
            assert all(int(fields[name], 16) == 0 for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh")), where
            assert fields["NoNewPrivs"] == "1", where


def own_processes(container):
    """Process 1 and what it started, not what `docker exec` did."""
    inside = processes_of(container)
    found = [inside[1]]
    for pid in found:
        found += [other for other in inside.values() if (fields_or_none(other) or {}).get("PPid") == str(pid)]
    return found


def fields_or_none(pid):
    try:
        return fields_of(pid)
    except OSError:
        return None
