"""What docker/collect puts into the images, without an engine: its tree is entered by chroot."""

import os
import shutil
import subprocess

import pytest
from programs import ROOT, build_folder, cached, environment

TOOLS = ("busybox", "/usr/sbin/sshd", "/usr/bin/ssh", "redis-server", "redis-cli")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_a_program_linked_with_the_shared_library_starts_in_the_image(tmp_path):
    images = tmp_path / "images"
    subprocess.run([ROOT / "docker/collect", build_folder() / "bin", images], check=True,
                   stdout=subprocess.DEVNULL)
    program = images / "base/usr/libexec/scoop/programs/mine"
    sanitize = cached("SANITIZE")
    flags = [f"-fsanitize={sanitize}"] if sanitize else []
    subprocess.run([cached("CMAKE_C_COMPILER"), *flags, ROOT / "examples/abs.c", f"-I{ROOT}/libscoop/include",
                    f"-L{build_folder()}/libscoop", "-lscoop", "-lm", "-o", program], check=True)
    # The sanitizers want /proc.
    done = subprocess.run(["unshare", "--mount", "--pid", "--fork", f"--mount-proc={images}/base/proc",
                           "chroot", images / "base", "/usr/libexec/scoop/programs/mine"],
                          env=environment(), text=True, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "dataSerial and dataParallel are equal\n"), done.stderr
