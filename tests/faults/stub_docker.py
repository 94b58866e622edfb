#!/usr/bin/python3 -IS
"""As much of the docker command as `scoop keys` asks for, with a folder ($STUB_DOCKER) for its swarm.

state.json has the secrets and services; `log` gets every command line and environment that was seen, `history` the
secrets of all services after each change. STUB_DOCKER_KILL=N kills the whole process group at the N-th change, when
that has been made, STUB_DOCKER_KILL=-N just before. A service in `fails` is
rolled back, one in `idle` has no tasks.
"""

import fcntl
import json
import os
import pathlib
import signal
import sys

FOLDER = pathlib.Path(os.environ["STUB_DOCKER"])
LABEL = "com.docker.stack.namespace"


def stop(message):
    print(message, file=sys.stderr)
    sys.exit(1)


def option(words, name, default=""):
    return words[words.index(name) + 1] if name in words else default


def options(words, name):
    return [words[i + 1] for i, word in enumerate(words) if word == name]


def selected(things, words):
    stack = option(words, "--filter").removeprefix(f"label={LABEL}=")
    return [thing for thing in things if thing["Spec"]["Labels"].get(LABEL) == stack]


def secrets_of(service):
    return service["Spec"]["TaskTemplate"]["ContainerSpec"]["Secrets"]


def named(things, name):
    found = [thing for thing in things if name in (thing["ID"], thing["Spec"]["Name"])]
    return found[0] if found else stop(f"no such thing: {name}")


def ls(state, kind, words):
    for thing in selected(state[kind], words):
        name = thing["Spec"]["Name"]
        if "--quiet" in words:
            print(thing["ID"])
        else:
            replicas = "0/0" if name in state["idle"] else "3/3 (max 1 per node)"
            print({"{{.Name}}": name, "{{.Name}} {{.Replicas}}": f"{name} {replicas}"}[option(words, "--format")])


def inspect(state, kind, words):
    form = option(words, "--format")
    if not form:
        found = [named(state[kind], word) for word in words]
        print(json.dumps([{key: value for key, value in thing.items() if key != "content"} for thing in found]))
        return
    for service in (named(state[kind], word) for word in words[2:]):
        if "UpdateStatus" in form:
            print(service["UpdateStatus"]["State"] if "UpdateStatus" in service else "")
            continue
        for one in secrets_of(service):
            file = one["File"]
            print(service["Spec"]["Name"], file["Name"], one["SecretName"], file["UID"], file["GID"], f"0{file['Mode']:o}")


def create(state, _, words):
    name, path = words[-2:]
    if any(secret["Spec"]["Name"] == name for secret in state["secret"]):
        stop(f"secret {name} exists")
    key, _, value = option(words, "--label").partition("=")
    number = state["made"] = state["made"] + 1
    state["secret"].append({"ID": f"id{number}", "CreatedAt": f"2026-11-28T09:00:{number % 60:02}.123456789Z",
                            "Spec": {"Name": name, "Labels": {key: value}}, "content": pathlib.Path(path).read_text()})


def rm(state, _, words):
    secret = named(state["secret"], words[0])
    users = [service["Spec"]["Name"] for service in state["service"]
             if any(one["SecretID"] == secret["ID"] for one in secrets_of(service))]
    if users:
        stop(f"secret {words[0]} is in use by {users}")
    state["secret"].remove(secret)


def update(state, _, words):
    service = named(state["service"], words[-1])
    if service["Spec"]["Name"] in state["fails"]:
        service["UpdateStatus"] = {"State": "rollback_completed"}
        return
    for name in options(words, "--secret-rm"):
        kept = [one for one in secrets_of(service) if one["SecretName"] != name]
        if len(kept) == len(secrets_of(service)):
            stop(f"{words[-1]} has no secret {name}")
        service["Spec"]["TaskTemplate"]["ContainerSpec"]["Secrets"] = kept
    for text in options(words, "--secret-add"):
        part = dict(one.split("=") for one in text.split(","))
        if any(one["File"]["Name"] == part["target"] for one in secrets_of(service)):
            stop(f"{words[-1]} has two secrets at {part['target']}")
        secrets_of(service).append({
            "SecretName": part["source"], "SecretID": named(state["secret"], part["source"])["ID"],
            "File": {"Name": part["target"], "UID": part["uid"], "GID": part["gid"], "Mode": int(part["mode"], 8)}})
    if service["Spec"]["Name"] not in state["idle"]:
        service["UpdateStatus"] = {"State": "completed"}


def snapshot(state):
    """service -> target -> content"""
    content = {secret["ID"]: secret["content"] for secret in state["secret"]}
    return {service["Spec"]["Name"]: {one["File"]["Name"]: content[one["SecretID"]] for one in secrets_of(service)}
            for service in state["service"]}


def change(run, state, kind, words):
    kill = int(os.environ.get("STUB_DOCKER_KILL", "0"))
    state["changes"] += 1
    if state["changes"] == -kill:
        os.killpg(0, signal.SIGKILL)
    run(state, kind, words)
    (FOLDER / "state.json.new").write_text(json.dumps(state))
    (FOLDER / "state.json.new").rename(FOLDER / "state.json")
    with open(FOLDER / "history", "a", encoding="utf-8") as history:
        history.write(json.dumps(snapshot(state)) + "\n")
    if state["changes"] == kill:
        os.killpg(0, signal.SIGKILL)


def main():
    with open(FOLDER / "log", "a", encoding="utf-8") as log:
        log.write(json.dumps([sys.argv, dict(os.environ)]) + "\n")
        fcntl.flock(log, fcntl.LOCK_EX)
        state = json.loads((FOLDER / "state.json").read_text())
        kind, verb, *words = sys.argv[1:]
        if verb in ("ls", "inspect"):
            {"ls": ls, "inspect": inspect}[verb](state, kind, words)
        else:
            change({"create": create, "rm": rm, "update": update}[verb], state, kind, words)


if __name__ == "__main__":
    main()
