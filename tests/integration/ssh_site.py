"""A broker and workers that meet over ssh, on loopback addresses of this machine.

A site has all keys of a stack, an ordinary user for the workers, and a folder per worker. Workers
differ by their address (127.0.0.2, 127.0.0.3, ...), as hosts do; all listen on the same port.
"""

import os
import pathlib
import pwd
import secrets
import shutil
import subprocess
import tempfile

import zmq

from programs import as_user, binary, environment, free_port, processes

OPTIONS = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null",
           "GlobalKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "IdentityAgent=none",
           "ConnectTimeout=5", "LogLevel=ERROR")


class Site:
    def __init__(self):
        # Not below a folder of pytest's: those are closed to other users.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="scoop-site-"))
        self.folder.chmod(0o755)
        self.made_user = os.geteuid() == 0
        self.user = self._make_user() if self.made_user else pwd.getpwuid(os.getuid()).pw_name
        self.run_as = self.user if self.made_user else None
        self.worker_program = str(self.folder / "scoop-worker")
        shutil.copy(binary("scoop-worker"), self.worker_program)
        for name in ("ssh_client_rsa_key", "ssh_host_rsa_key", "other_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name)],
                           check=True)
        for name in ("broker_curve_key", "client_curve_key"):
            public, secret = zmq.curve_keypair()
            self.write(name, secret.decode() + "\n")
            self.write(name + ".pub", public.decode() + "\n", 0o444)
        self.ssh_port = free_port()
        self.client_port = free_port()
        self.worker_port = free_port()
        self.client_endpoint = f"tcp://127.0.0.1:{self.client_port}"
        self.worker_endpoint = f"tcp://127.0.0.1:{self.worker_port}"

    @staticmethod
    def _make_user():
        name = f"scoop-t{secrets.token_hex(6)}"
        subprocess.run(["useradd", "--no-create-home", "--home-dir", "/", "--shell", "/bin/sh",
                        name], check=True, capture_output=True)
        return name

    def close(self):
        if self.made_user:
            subprocess.run(["userdel", "--force", self.user], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return str(self.folder / name)

    def text(self, name):
        return (self.folder / name).read_text(encoding="ascii")

    def write(self, name, text, mode=0o400, for_worker=False):
        """A file with this content (text or bytes) and mode; returns its path."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        if for_worker and self.made_user:
            shutil.chown(path, self.user)
        return str(path)

    def worker_arguments(self, address, /, **changes):
        """The words of `scoop-worker sshd` for the worker at this address."""
        folder = self.folder / f"worker-{address}"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        if self.made_user:
            shutil.chown(folder, self.user)
        options = {
            "listen": address,
            "port": self.ssh_port,
            "host-key": self.write(f"host-{address}", self.text("ssh_host_rsa_key"),
                                   for_worker=True),
            "client-key": self.path("ssh_client_rsa_key.pub"),
            "run-dir": folder,
        }
        return ["sshd", *flags({**options, **changes})]

    def worker_environment(self):
        programs = pathlib.Path(binary("examples"))
        return {"WORKER_PROGRAMS": str(programs), "WORKER_SLOTS": "2"}

    def broker_arguments(self, workers, /, **changes):
        options = {
            "client-listen": self.client_endpoint,
            "worker-listen": self.worker_endpoint,
            "advertise": self.worker_endpoint,
            "curve-key": self.path("broker_curve_key"),
            "client-keys": self.path("client_curve_key.pub"),
            "workers": workers,
            "ssh-key": self.path("ssh_client_rsa_key"),
            "ssh-host-key": self.path("ssh_host_rsa_key.pub"),
            "ssh-port": self.ssh_port,
            "ssh-user": self.user,
            "run-dir": self.path("broker-run"),
            "listen": "127.0.0.1:0",
        }
        return flags({**options, **changes})

    def client_environment(self):
        return {"SCOOP_BROKER": self.client_endpoint,
                "SCOOP_CLIENT_KEY_FILE": self.path("client_curve_key"),
                "SCOOP_BROKER_KEY_FILE": self.path("broker_curve_key.pub")}

    def ssh(self, address, *command, key="ssh_client_rsa_key", switches=(), options=()):
        """The client of OpenSSH, by hand: its switches stand before the address, a command behind."""
        words = ["ssh", "-F", "none", "-p", str(self.ssh_port), "-l", self.user, "-i",
                 self.path(key), *switches]
        for option in (*options, *OPTIONS):
            words += ["-o", option]
        return subprocess.run([*words, address, *command], env=environment(), input="", text=True,
                              capture_output=True, timeout=15, check=False)

    def processes(self):
        """Names of all processes of the workers' user, when it is not ours too."""
        if not self.made_user:
            return []
        uid = pwd.getpwnam(self.user).pw_uid
        return [name for pid, _, _, name in processes() if owner(pid) == uid]

    def run_as_worker(self, *words, timeout=15):
        return subprocess.run([*as_user(self.run_as), self.worker_program, *map(str, words)],
                              env=environment(), stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=timeout, check=False)


def owner(pid):
    """The real user id of a process, -1 when it is gone."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[0])
    except (OSError, IndexError):
        return -1


def flags(options):
    """{"port": 1} -> ["--port", "1"]"""
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]
