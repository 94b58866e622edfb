"""Real programs of the build, started, watched and ended.

    rng = start("rng", "--delay-ms", "100", ready="listening")
    rng.fields["address"]            # of the ready line
    rng.wait_for("ev=draining")      # a later line
    assert rng.stop() == 0

The build is SCOOP_BUILD, else the first of build, build-dev and build-asan that is there. A program
runs in a session of its own, so that whatever it leaves behind is found and fails the test.
"""

import errno
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE_S = 15


def build_folder():
    given = os.environ.get("SCOOP_BUILD")
    folders = [given] if given else ["build", "build-dev", "build-asan"]
    for folder in folders:
        if (ROOT / folder / "bin").is_dir():
            return ROOT / folder
    raise RuntimeError("nothing is built; run: cmake --preset dev && cmake --build --preset dev")


def cached(name):
    """A variable of the build's CMake cache; "" when it has none."""
    found = re.search(rf"^{name}:\w+=(.*)$", (build_folder() / "CMakeCache.txt").read_text(), re.M)
    return found.group(1) if found else ""


def binary(name):
    """The path of a program, "rng" or "examples/abs"."""
    return str(build_folder() / "bin" / name)


def sanitized():
    """Is this a build with a sanitizer, where memory and time mean little?"""
    return "build-asan" in str(build_folder()) or "build-tsan" in str(build_folder())


def environment(extra=None):
    """A small environment: no setting of the caller's shell reaches the programs."""
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    # A program that a test kills by a signal must die of it, and not of the sanitizer's report.
    unhandled = ":".join(f"handle_{signal}=0" for signal in ("segv", "abort", "sigill", "sigfpe", "sigbus"))
    env["ASAN_OPTIONS"] = f"abort_on_error=1:{unhandled}"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1"
    env["TSAN_OPTIONS"] = \
        f"halt_on_error=1:{unhandled}:suppressions={ROOT}/tests/tsan.supp"
    env.update(extra or {})
    return env


def as_user(user):
    """The words before a command that make it run as this user (None: as we are)."""
    return [] if user is None else ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]


def run(name, *arguments, env=None, stdin="", timeout=DEADLINE_S, user=None):
    """Run a program to its end: .returncode, .stdout, .stderr."""
    return subprocess.run([*as_user(user), binary(name), *map(str, arguments)],
                          env=environment(env), input=stdin, text=True, capture_output=True,
                          timeout=timeout, check=False)


def fields_of(line):
    """The fields of a log line: {"ev": "listening", "address": "127.0.0.1:8001", ...}."""
    return dict(part.split("=", 1) for part in line.split() if "=" in part)


def processes():
    """The living processes: (pid, parent, session, name)."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        name, rest = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:].split()
        if rest[0] not in "ZX":
            yield int(entry), int(rest[1]), int(rest[3]), name


def eventually(check, what, timeout=DEADLINE_S):
    """Wait until check() is true; return what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.01)


def children(pid):
    """Process ids of the living children of a process, oldest first."""
    return sorted(child for child, parent, _, _ in processes() if parent == pid)


def is_alive(pid):
    return any(pid == other for other, _, _, _ in processes())


def name_of(pid):
    """The name of a process, "" when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def names_below(pid):
    return [name_of(child) for child in descendants(pid)]


def nothing_left(folder, pids):
    """Is none of these processes there, and nothing in the folder?"""
    return not any(is_alive(pid) for pid in pids) and not list(folder.iterdir())


class Program:
    """A running program; its output is read all the time, so that it never blocks.

    `user`: the account it runs as, when this is root. `stdin`: subprocess.PIPE to write() to it.
    """

    def __init__(self, name, *arguments, env=None, user=None, stdin=subprocess.DEVNULL):
        self.name = name
        self.fields = {}
        self.events = []  # lines of stderr
        self.lines = []   # lines of stdout
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [*as_user(user), binary(name), *map(str, arguments)], env=environment(env),
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", start_new_session=True)
        self._readers = [self._reader(self.process.stdout, self.lines),
                         self._reader(self.process.stderr, self.events)]

    def _reader(self, stream, lines):
        def read():
            for line in stream:
                with self._changed:
                    lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
            with self._changed:
                self._changed.notify_all()
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    @property
    def pid(self):
        return self.process.pid

    def _find(self, part, lines):
        return next((line for line in lines if part in line), None)

    def wait_for(self, part, stdout=False, timeout=DEADLINE_S):
        """Wait for a line that contains `part`; return its fields."""
        lines = self.lines if stdout else self.events
        deadline = time.monotonic() + timeout
        with self._changed:
            while (line := self._find(part, lines)) is None:
                left = deadline - time.monotonic()
                if left <= 0 or (self.process.poll() is not None
                                 and not any(r.is_alive() for r in self._readers)):
                    raise AssertionError(f"{self.name}: no line with {part!r} in:\n" +
                                         "\n".join(self.events[-40:]))
                self._changed.wait(min(left, 0.1))
        return fields_of(line)

    def ready(self, event="listening", timeout=DEADLINE_S):
        """Wait for the ready line and keep its fields."""
        self.fields = self.wait_for(f" ev={event} ", timeout=timeout)
        return self

    @property
    def address(self):
        host, port = self.fields["address"].rsplit(":", 1)
        return host, int(port)

    @property
    def url(self):
        return "http://" + self.fields["address"]

    def write(self, line):
        """A line for its standard input."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def send_signal(self, number):
        self.process.send_signal(number)

    @property
    def log(self):
        """What it wrote to stderr so far."""
        return "".join(line + "\n" for line in self.events)

    def kill(self):
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.wait()

    def wait(self, timeout=DEADLINE_S):
        """Wait for the end; return the exit code."""
        code = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(timeout)
        return code

    def stop(self, number=signal.SIGTERM, timeout=DEADLINE_S):
        """Send a signal, wait for the end, return the exit code."""
        if self.process.poll() is None:
            self.send_signal(number)
        return self.wait(timeout)

    def descriptors(self):
        """How many files it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_bytes(self):
        pages = int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def leftovers(self):
        """Processes of its session that live on after its end."""
        return {pid: name for pid, _, session, name in processes() if session == self.pid}

    def end(self):
        """Whatever state it is in: no process of it is left. Returns what had to be killed."""
        if self.process.poll() is None:
            self.send_signal(signal.SIGCONT)
            self.stop()
        left = self.leftovers()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.stdout.close()
        self.process.stderr.close()
        return left


def free_port():
    """A port that was free a moment ago, for programs whose address must be known beforehand: a random one below those
    that the system gives to whoever asks for any, for tests that run beside this one do."""
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(min(10000, low // 2), low)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError as problem:
                if problem.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
            else:
                return port
