"""Fixtures of all integration tests; see programs.py for the helpers."""

import subprocess

import pytest

from programs import Program


def pytest_configure(config):
    config.addinivalue_line("markers", "tsan: also run with the thread sanitizer")


@pytest.fixture
def start():
    """start(name, *arguments, env=None, ready="listening", user=None): ends with the test.

    `ready` is the event to wait for, None: do not wait. A program that is still there is stopped by
    SIGTERM; one that leaves processes behind, or that does not stop, fails the test.
    """
    programs = []

    def start_one(name, *arguments, env=None, ready="listening", user=None):
        program = Program(name, *arguments, env=env, user=user)
        programs.append(program)
        return program.ready(ready) if ready else program

    yield start_one
    problems = []
    for program in reversed(programs):
        try:
            left = program.end()
        except subprocess.TimeoutExpired:
            program.process.kill()
            problems.append(f"{program.name} did not stop on SIGTERM")
            left = program.end()
        if left:
            problems.append(f"{program.name} left {left}")
        for line in program.events:
            if "Sanitizer" in line or "runtime error:" in line:
                problems.append(f"{program.name}: {line}")
    assert not problems, problems
