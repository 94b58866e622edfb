"""docs/first-program.md: its files are written and its commands are run, as they stand there."""

import os
import re
import shlex
import sysconfig

import pytest

from swarm import HERE, ROOT, command, eventually

PAGE = (ROOT / "docs/first-program.md").read_text()
ANSWER = "1270607"


def blocks(language):
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", PAGE)


@pytest.fixture(scope="module")
def shell(lab, images, stack_folder, tmp_path_factory):
    """run(script, node=None): as a user of the manager, whose docker is that of the lab."""
    folder = tmp_path_factory.mktemp("first")
    work = folder / "work"
    home = folder / "project"
    tools = folder / "bin"
    for new in (work, home, tools):
        new.mkdir()
    (home / "stack").symlink_to(stack_folder)
    docker = tools / "docker"
    # With the path as it was: the lab asks a docker, too, and that is not this one.
    docker.write_text("#!/bin/sh\nnode=m; [ \"$1\" = build ] && node=builder\n"
                      f"PATH={shlex.quote(os.environ['PATH'])}\n"
                      f"exec {shlex.quote(str(HERE / 'lab'))} docker $node \"$@\"\n")
    docker.chmod(0o755)
    usr = folder / "usr/local"
    environment = dict(
        os.environ, SCOOP_LAB_DIR=str(lab.folder), SCOOP=str(home), MANAGER=lab.address("m"),
        DOCKER_BUILDKIT="0", DESTDIR=str(folder), PATH=f"{tools}:{usr}/bin:{os.environ['PATH']}",
        PKG_CONFIG_PATH=f"{usr}/lib/{sysconfig.get_config_var('MULTIARCH')}/pkgconfig:"
                        f"{usr}/lib/pkgconfig",
        LD_LIBRARY_PATH=f"{usr}/lib/{sysconfig.get_config_var('MULTIARCH')}:{usr}/lib")

    def run(script, node=None, cwd=work, deadline_s=300):
        words = ["bash", "-euo", "pipefail", "-c", script]
        if node:
            words = [HERE / "lab", "exec", node, *words]
        return command(*words, cwd=cwd, env=environment, deadline_s=deadline_s)

    run.work = work
    return run


def images_of_workers(stack):
    """Of all that run, without tags."""
    text = "\n".join(stack.service("ps", "--filter", "desired-state=running", "--format",
                                   "{{.Image}}", f"{stack.name}_{name}")
                     for name in ("worker", "root_worker"))
    return {image.split(":")[0] for image in text.split()}


def test_the_page_is_true(shell, stack):
    build, local, deploy, remote = blocks("sh")
    shell(build, cwd=ROOT, deadline_s=600)
    for name, language in {"primes.c": "c", "Dockerfile": "dockerfile", "primes.yml": "yaml"}.items():
        (shell.work / name).write_text(blocks(language)[0])
    done = shell(local)
    assert done.stdout.splitlines().count(ANSWER) == 3
    assert len(re.findall(r"(?m)^\S+/\d+\| the first piece has 9592$", done.stdout)) == 2
    assert "computing serially" in done.stderr
    assert (shell.work / "primes.json").stat().st_size > 1000

    build_images, make_image, make_keys, deploy_stack = deploy.splitlines()
    assert build_images == "$SCOOP/docker/build"  # done: the images are those of all these tests
    shell(f"{make_image}\n{make_keys}")
    stack.lab("load", "primes-worker:latest", deadline_s=120)
    shell(deploy_stack)
    stack.await_running(120)
    eventually("three workers with the program", 90, lambda: images_of_workers(stack) ==
               {"primes-worker"} and len(stack.workers()) == 3)
    done = shell(remote, node="m")
    assert done.stdout.splitlines()[-1] == ANSWER
    assert all(re.search(rf"(?m)^{host} ", done.stdout) for host in ("m", "w1", "w2")), done.stdout
    stack.deploy()
