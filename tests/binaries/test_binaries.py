"""How the programs of the release build are compiled and linked, read from the binaries themselves.

`flaws()` names what is missing. The build of a small program with one flag taken away must show exactly that flaw:
so each of the checks can fail."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
OURS = sorted(path for path in (BUILD / "bin").rglob("*") if path.is_file()) + [BUILD / "libscoop/libscoop.so.0"]
# What docker/collect puts beside ours into the images. busybox is static, as Debian builds it.
FROM_DEBIAN = ("/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/redis-server", "/usr/bin/redis-cli")
# Of each function that is there in two forms: the one that knows the size of its target, and the one that does not.
FORTIFIED = {"memcpy", "memmove", "memset", "snprintf", "vsnprintf", "fprintf", "printf", "read", "recv", "realpath"}

# The last flag of a family counts.
COMPILED = [
    (r"-f(?:no-)?stack-clash-protection", "-fstack-clash-protection"),
    (r"-f(?:no-)?stack-protector\S*", "-fstack-protector-strong"),
    (r"-fcf-protection\S*", "-fcf-protection=full"),
]


def tool(*words):
    return subprocess.run(words, text=True, capture_output=True, check=True).stdout


def read_binary(path):
    """What readelf says, in the parts that flaws() asks for."""
    return {
        "header": tool("readelf", "-hW", path),
        "segments": tool("readelf", "-lW", path),
        "dynamic": tool("readelf", "-dW", path),
        "symbols": set(re.findall(r" UND (\w+)", tool("readelf", "--dyn-syms", "-W", path))),
        # One line for each compiled file, with the flags of the compiler.
        "units": re.findall(r"DW_AT_producer .*: (GNU C\d.*)",
                            tool("readelf", "--debug-dump=info", "--dwarf-depth=1", path)),
    }


def link_flaws(binary):
    """Of how it was linked; for programs of others, too."""
    if not re.search(r"Type:\s+DYN", binary["header"]):
        yield "PIE"
    stack = re.search(r"GNU_STACK\s+(?:0x\w+\s+){5}(\S+)", binary["segments"])
    if not stack or "E" in stack[1]:
        yield "NX stack"
    if "GNU_RELRO" not in binary["segments"]:
        yield "RELRO"
    if "BIND_NOW" not in binary["dynamic"] and not re.search(r"Flags:.*\bNOW\b", binary["dynamic"]):
        yield "BIND_NOW"
    if re.search(r"R(UN)?PATH", binary["dynamic"]):
        yield "RPATH"
    if re.search(r"LOAD\s+(?:0x\w+\s+){5}RWE", binary["segments"]):
        yield "W^X"


def flaws(binary):
    yield from link_flaws(binary)
    symbols = binary["symbols"]
    if "__stack_chk_fail" not in symbols:
        yield "stack protector"
    if symbols & FORTIFIED and not any(name.endswith("_chk") for name in symbols):
        yield "FORTIFY"
    assert binary["units"], "it has no debug information, which names the compiler's flags"
    for family, flag in COMPILED:
        if flag == "-fcf-protection=full" and "X86-64" not in binary["header"]:
            continue
        if not all(([""] + re.findall(family, unit))[-1] == flag for unit in binary["units"]):
            yield flag


def test_the_release_build_is_there():
    assert len(OURS) > 8, "./check binaries builds it"


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_a_program_of_ours_is_hardened(path):
    assert list(flaws(read_binary(path))) == []


@pytest.mark.parametrize("path", FROM_DEBIAN)
def test_what_the_images_have_of_debian_is_hardened_as_debian_does(path):
    if shutil.which(path) is None:
        pytest.skip(f"{path} is not installed")
    assert list(link_flaws(read_binary(path))) == []


SOURCE = """
#include <stdio.h>
#include <string.h>
#ifdef WRITABLE_CODE
__attribute__((section(".both,\\"awx\\",@progbits#"))) int both(void) { return 1; }
#endif
int main(int argc, char **argv)
{
    char text[64];
    char *volatile from = argv[0];
    memcpy(text, from, strlen(from) + (size_t)argc);
    snprintf(text, sizeof(text), "%s", from);
    return puts(text);
}
"""

# What undoes a flag, by the flaw that it makes.
MUTANTS = {
    "PIE": "-no-pie",
    "NX stack": "-Wl,-z,execstack",
    "RELRO": "-Wl,-z,norelro",
    "BIND_NOW": "-Wl,-z,lazy",
    "RPATH": "-Wl,-rpath,/nowhere",
    "W^X": "-DWRITABLE_CODE",
    "stack protector": "-fno-stack-protector",
    "FORTIFY": "-U_FORTIFY_SOURCE",
    "-fstack-clash-protection": "-fno-stack-clash-protection",
    "-fstack-protector-strong": "-fno-stack-protector",
    "-fcf-protection=full": "-fcf-protection=none",
}
GOOD = ["-O2", "-g", "-fPIE", "-pie", "-Wl,-z,relro,-z,now,-z,noexecstack", "-D_FORTIFY_SOURCE=3",
        "-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection"]


def build_small(folder, *more):
    (folder / "small.c").write_text(SOURCE)
    subprocess.run(["gcc", *GOOD, *more, folder / "small.c", "-o", folder / "small"], check=True, capture_output=True)
    return set(flaws(read_binary(folder / "small")))


def test_a_small_program_with_all_flags_has_no_flaw(tmp_path):
    assert build_small(tmp_path) == set()


def test_the_lack_of_a_flag_is_seen_of_one_file_among_many():
    binary = read_binary(OURS[0])
    binary["units"].append("GNU C17 12.2.0 -g -O2")
    assert set(flaws(binary)) == {flag for _, flag in COMPILED}


@pytest.mark.parametrize("flaw", MUTANTS)
def test_a_flag_that_is_taken_away_is_seen(tmp_path, flaw):
    assert flaw in build_small(tmp_path, MUTANTS[flaw])
