"""Hosts of a test: network namespaces, each with a cable to that of the broker, and what can go wrong with the cables.

    lab = Lab("red", "blue", "client")
    lab["red"].run("ip", "address")
    lab.cut("red")              # both directions; or towards="red", towards="broker"
    lab.lose("red", 0.1)        # of all packets
    lab.heal("red")

Needs root. The namespaces go with the processes that hold them, and the cables with the namespaces.
"""

import os
import pathlib
import subprocess
import sys

from programs import eventually

DOOR = [sys.executable, str(pathlib.Path(__file__).with_name("door.py"))]
ADDRESS = "10.77.0.1"  # of the broker, seen from everywhere


class Host:
    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.door = None
        self.namespace = f"/proc/{self.holder.pid}/ns/net"
        self.words = ["/usr/bin/nsenter", f"--net={self.namespace}"]
        eventually(lambda: os.readlink(self.namespace) != os.readlink("/proc/self/ns/net"), "a network namespace")
        self.run("ip", "link", "set", "lo", "up")

    def open_door(self, path):
        """From now on `door.py enter PATH COMMAND` starts programs here."""
        self.door = subprocess.Popen([*self.words, *DOOR, "open", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.door.stdout.readline() == b"open\n"

    def run(self, *command):
        subprocess.run([*self.words, *map(str, command)], check=True, capture_output=True, timeout=10)

    def end(self):
        for process in (self.door, self.holder):
            if process is not None:
                process.kill()
                process.wait()


def why_not():
    """Why there can be no lab here; "" when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    tried = subprocess.run(["unshare", "--net", "iptables", "-L", "-n"], check=False, capture_output=True, text=True)
    return tried.stderr.strip().replace("\n", " ") if tried.returncode != 0 else ""


class Lab:
    address = ADDRESS

    def __init__(self, *names):
        self.hosts = {"broker": Host()}
        self["broker"].run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
        for number, name in enumerate(names, 1):
            self._plug_in(name, number)

    def _plug_in(self, name, number):
        self.hosts[name] = host = Host()
        self["broker"].run("ip", "link", "add", name, "type", "veth", "peer", "name", "cable", "netns",
                           host.holder.pid)
        for end, device, last in ((self["broker"], name, 1), (host, "cable", 2)):
            end.run("ip", "address", "add", f"10.77.{number}.{last}/24", "dev", device)
            end.run("ip", "link", "set", device, "up")
        host.run("ip", "route", "add", ADDRESS, "via", f"10.77.{number}.1")

    def __getitem__(self, name):
        return self.hosts[name]

    def __contains__(self, name):
        return name in self.hosts

    def ends(self, name, towards=None):
        """(host, device) where packets of this cable come in; towards: only there."""
        if towards in (None, name):
            yield self[name], "cable"
        if towards in (None, "broker"):
            yield self["broker"], name

    def drop(self, name, *what, towards=None):
        for host, device in self.ends(name, towards):
            host.run("iptables", "-A", "INPUT", "-i", device, *what, "-j", "DROP")

    def cut(self, name, towards=None):
        self.drop(name, towards=towards)

    def lose(self, name, share):
        self.drop(name, "-m", "statistic", "--mode", "random", "--probability", share)

    def lose_large(self, name, above):
        """Packets of more bytes vanish without a word, as behind a router of a smaller MTU that does not say so."""
        self.drop(name, "-m", "length", "--length", f"{above + 1}:65535")

    def slow_down(self, name, rate):
        """rate: "256kbit" """
        for host, device in self.ends(name):
            host.run("tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", rate, "burst", "4kb", "latency", "400ms")

    def unplug(self, name):
        for host, device in self.ends(name):
            host.run("ip", "link", "set", device, "down")

    def heal(self, name):
        for host, device in self.ends(name):
            subprocess.run([*host.words, "iptables", "-S", "INPUT"], check=True, capture_output=True)
            host.run("iptables", "-F", "INPUT")
            host.run("ip", "link", "set", device, "up")
        self[name].run("ip", "route", "replace", ADDRESS, "dev", "cable")

    def end(self):
        for host in self.hosts.values():
            host.end()
