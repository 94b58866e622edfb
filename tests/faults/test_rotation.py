"""`scoop keys` and `scoop keys rotate`, with a docker command that is none: see stub_docker.py."""

import collections
import json
import os
import re
import shutil
import signal
import subprocess

import pytest
import yaml

from programs import ROOT, binary, environment, run

STACK = ROOT / "stack"
PAIRS = ["ssh_client_rsa_key", "ssh_host_rsa_key", "client_curve_key", "broker_curve_key"]
CHANGES = 30  # of a whole rotation: 11 secrets made, 8 updates, 11 secrets removed
SHORT = (-8, 14, 23)
Side = collections.namedtuple("Side", "service holds other knows")
# Who shows which key to whom, and where that one knows it from.
TRUST = [Side("broker", "ssh_client_rsa_key", "worker", "ssh_client_rsa_key.pub"),
         Side("broker", "ssh_client_rsa_key", "root_worker", "ssh_client_rsa_key.pub"),
         Side("worker", "ssh_host_rsa_key", "broker", "ssh_host_rsa_key.pub"),
         Side("root_worker", "ssh_host_rsa_key", "broker", "ssh_host_rsa_key.pub"),
         Side("webui", "client_curve_key", "broker", "client_curve_key.pub")]


class Site:
    """A copy of stack/ with keys, as it is deployed from stack.yml on the stub's swarm."""

    def __init__(self, folder):
        self.swarm = folder / "swarm"
        self.stack = folder / "stack"
        (folder / "bin").mkdir()
        self.swarm.mkdir()
        shutil.copytree(STACK, self.stack, ignore=shutil.ignore_patterns("secrets"))
        subprocess.run([self.stack / "make-keys"], check=True, capture_output=True, timeout=60)
        (folder / "bin/docker").symlink_to(ROOT / "tests/faults/stub_docker.py")
        self.env = environment({"PATH": f"{folder}/bin:{os.environ['PATH']}", "STUB_DOCKER": str(self.swarm)})
        self.before = {path.name: path.read_text() for path in (self.stack / "secrets").iterdir()}
        self.save(self.deployed())

    def deployed(self):
        described = yaml.safe_load((self.stack / "stack.yml").read_text())
        label = {"com.docker.stack.namespace": "scoop"}
        ids = {name: f"first{number}" for number, name in enumerate(described["secrets"])}
        secrets = [{"ID": ids[name], "CreatedAt": "2026-01-02T03:04:05.6Z", "Spec": {"Name": f"scoop_{name}", "Labels": label},
                    "content": (self.stack / one["file"]).read_text()} for name, one in described["secrets"].items()]
        services = [{"ID": f"service_{name}", "Spec": {"Name": f"scoop_{name}", "Labels": label, "TaskTemplate": {"ContainerSpec": {
            "Secrets": [{"SecretName": f"scoop_{one['source']}", "SecretID": ids[one["source"]],
                         "File": {"Name": one["target"], "UID": one["uid"], "GID": one["gid"], "Mode": one["mode"]}}
                        for one in service.get("secrets", [])]}}}} for name, service in described["services"].items()]
        return {"secret": secrets, "service": services, "made": 0, "changes": 0, "fails": [], "idle": []}

    def save(self, state):
        (self.swarm / "state.json").write_text(json.dumps(state))

    @property
    def state(self):
        return json.loads((self.swarm / "state.json").read_text())

    def keys(self, *words, kill=0):
        """The finished process, in a group of its own."""
        process = subprocess.Popen([binary("scoop"), "keys", *words], env={**self.env, "STUB_DOCKER_KILL": str(kill)}, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def rotate(self, *words, **options):
        return self.keys("rotate", "--folder", self.stack, *words, **options)

    def history(self):
        return [json.loads(line) for line in (self.swarm / "history").read_text().splitlines()]

    def names(self):
        return {secret["Spec"]["Name"] for secret in self.state["secret"]}

    def secrets(self):
        return {path.name: path.read_text() for path in (self.stack / "secrets").iterdir() if path.is_file()}

    def public_halves(self):
        """Private text -> public text, of all pairs that the swarm ever had."""
        found = {self.before[name]: self.before[f"{name}.pub"] for name in PAIRS}
        held = [text for moment in self.history() for service in moment.values() for text in service.values()]
        after = self.secrets()
        found |= {after[name]: after[f"{name}.pub"] for name in PAIRS if after[name] in held}
        if (self.stack / "secrets/next").exists():
            ahead = self.stack / "secrets/next"
            found |= {(ahead / name).read_text(): (ahead / f"{name}.pub").read_text() for name in PAIRS}
        return found


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def strangers(moment, public):
    """The sides that are not known at that moment to who must know them."""
    return [side for side in TRUST if public[moment[f"scoop_{side.service}"][side.holds]].strip()
            not in moment[f"scoop_{side.other}"][side.knows].splitlines()]


def assert_rotated(site, version=2):
    """At the end: each key is new, in the swarm and in the folder, and nothing else has changed."""
    after = site.secrets()
    assert set(after) == set(site.before)
    assert {name for name in after if after[name] == site.before[name]} == {"redis_password"}
    assert not (site.stack / "secrets/next").exists()
    assert site.names() == {f"scoop_{name}{half}_v{version}" for name in PAIRS for half in ("", "_pub")} | \
        {"scoop_redis_password_v1"}
    for targets in site.history()[-1].values():
        assert all(content == after[target] for target, content in targets.items())
    for service in site.state["service"]:
        for one in service["Spec"]["TaskTemplate"]["ContainerSpec"]["Secrets"]:
            file = one["File"]
            assert (file["UID"], file["GID"]) == ("10001", "10001")
            assert file["Mode"] == (0o444 if file["Name"].endswith(".pub") else 0o400)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (site.stack / "secrets").iterdir()}
    assert modes == {name: 0o644 if name.endswith(".pub") else 0o600 for name in after}


def test_the_list_has_every_secret_with_its_version_and_its_users(site):
    done = site.keys("--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(rows) == site.names() and len(rows) == 9
    assert rows["scoop_ssh_host_rsa_key_v1"] == {"name": "scoop_ssh_host_rsa_key_v1", "version": "1",
                                                 "created": "2026-01-02T03:04:05.6Z",
                                                 "services": ["scoop_root_worker", "scoop_worker"]}
    table = site.keys("list", "scoop").stdout.splitlines()
    assert table[0].split() == ["NAME", "VERSION", "CREATED", "USED", "BY"] and len(table) == 10
    assert re.search(r"^scoop_broker_curve_key_v1 +1 +2026-01-02T03:04:05 +scoop_broker$", "\n".join(table), re.M)
    assert json.loads(site.keys("list", "--json", "another").stdout) == []


@pytest.mark.fault("H16", weaker="the swarm is a program of the test")
def test_a_rotation_is_two_commands_and_keys_know_each_other_at_every_moment(site):
    done = site.rotate()
    assert done.returncode == 0, done.stderr
    assert "old key is admitted still" in done.stdout
    public = site.public_halves()
    assert [strangers(moment, public) for moment in site.history() if strangers(moment, public)] == []
    last = site.history()[-1]
    assert last["scoop_broker"]["broker_curve_key"] == site.before["broker_curve_key"]
    assert last["scoop_webui"]["client_curve_key"] != site.before["client_curve_key"]
    assert site.before["client_curve_key.pub"] in last["scoop_broker"]["client_curve_key.pub"]
    for service in ("scoop_worker", "scoop_root_worker"):
        assert site.before["ssh_client_rsa_key.pub"] not in last[service]["ssh_client_rsa_key.pub"]
    assert site.secrets() == site.before  # for who connects now
    changes = site.state["changes"]
    assert site.rotate().returncode == 0 and site.state["changes"] == changes  # nothing is left to do
    done = site.rotate("--cut")
    assert done.returncode == 0, done.stderr
    assert [strangers(moment, public) for moment in site.history() if strangers(moment, public)] == []
    assert site.state["changes"] == CHANGES
    assert_rotated(site)


@pytest.mark.slow
def test_a_second_rotation_begins_from_the_keys_of_the_first(site):
    assert site.rotate("--cut").returncode == 0
    (site.swarm / "history").unlink()
    site.before = site.secrets()
    done = site.rotate("--cut", "scoop")
    assert done.returncode == 0, done.stderr
    public = site.public_halves()
    assert [strangers(moment, public) for moment in site.history() if strangers(moment, public)] == []
    assert_rotated(site, 3)


@pytest.mark.parametrize("kill", [pytest.param(sign * number, marks=() if sign * number in SHORT else pytest.mark.slow)
                                  for number in range(2, CHANGES + 1, 3) for sign in (1, -1)])
def test_killed_before_or_after_any_change_it_goes_on_when_it_is_run_again(site, kill):
    assert site.rotate("--cut", kill=kill).returncode == -signal.SIGKILL
    done = site.rotate("--cut")
    assert done.returncode == 0, done.stderr
    public = site.public_halves()
    assert [strangers(moment, public) for moment in site.history() if strangers(moment, public)] == []
    assert_rotated(site)


@pytest.mark.slow
def test_a_service_that_has_no_task_and_never_says_of_an_update_is_not_waited_for(site):
    site.save({**site.state, "idle": ["scoop_worker"]})
    done = site.rotate("--cut")
    assert done.returncode == 0, done.stderr
    assert_rotated(site)


def test_no_key_is_in_an_argument_an_environment_or_the_output(site):
    outputs = [site.rotate(), site.rotate("--cut"), site.keys("--json"), site.keys()]
    seen = (site.swarm / "log").read_text() + "".join(done.stdout + done.stderr for done in outputs)
    wanted = [line for texts in (site.before, site.secrets()) for name, text in texts.items() if not name.endswith(".pub")
              for line in text.splitlines() if "-----" not in line]
    assert len(wanted) > 10 and "scoop_client_curve_key_v2" in seen
    assert [line for line in wanted if line in seen or json.dumps(line)[1:-1] in seen] == []


def test_an_update_that_is_rolled_back_ends_it_and_later_it_goes_on(site):
    site.save({**site.state, "fails": ["scoop_worker"]})
    done = site.rotate("--cut")
    assert done.returncode == 1
    assert "scoop_worker: its update ended as rollback_completed" in done.stderr
    assert site.secrets() == site.before
    site.save({**site.state, "fails": []})
    done = site.rotate("--cut")
    assert done.returncode == 0, done.stderr
    assert_rotated(site)


@pytest.mark.slow
def test_a_secret_that_somebody_else_uses_is_kept_and_named_until_it_is_free(site):
    state = site.state
    load = {"ID": "load", "Spec": {"Name": "load", "Labels": {}, "TaskTemplate": {"ContainerSpec": {"Secrets": [
        one for service in state["service"] if service["Spec"]["Name"] == "scoop_webui"
        for one in service["Spec"]["TaskTemplate"]["ContainerSpec"]["Secrets"] if one["File"]["Name"] == "client_curve_key"]}}}}
    site.save({**state, "service": [*state["service"], load]})
    done = site.rotate("--cut")
    assert done.returncode == 1
    assert "not removed: scoop_client_curve_key_v1; when no service uses them, run this again" in done.stderr
    site.save({**site.state, "service": [one for one in site.state["service"] if one["ID"] != "load"]})
    assert site.rotate("--cut").returncode == 0
    assert_rotated(site)


@pytest.mark.parametrize("words, said", [
    (["rotate", "--folder", "/nonexistent"], "/nonexistent/rotate-keys: No such file or directory"),
    (["rotate", "--folder", "SITE", "another"], "stack another has no keys here"),
    (["turn"], '"turn" is not what follows: list [STACK] or rotate [STACK]'),
    (["list", "scoop", "more"], '"more" is not what follows'),
])
def test_what_cannot_be_is_one_line(site, words, said):
    done = site.keys(*[str(site.stack) if word == "SITE" else word for word in words])
    assert done.returncode in (1, 2)
    assert said in done.stderr and done.stderr.count("\n") == 1


def test_without_docker_the_list_is_one_line_of_complaint(tmp_path):
    done = run("scoop", "keys", env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr == "scoop keys: docker: No such file or directory\n"
