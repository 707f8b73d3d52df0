"""The runtime on an emulated aarch64, the architecture of Jetsons, Raspberry Pis and phones.

Correctness only: emulation is hundreds of times slower than a chip, so no time is reported.

Makes a root of Debian's arm64 Python and the vendors' aarch64 wheels, exports a small model
here, and runs ``edge-tx verify`` of its bundle under ``qemu-aarch64``. Needs Linux on x86-64
with apt; nothing of the system is changed: packages are unpacked in ROOT, which is used again.

Usage: python -m tests.debian.aarch64 --root ROOT [--bundle BUNDLE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.debian.apt import fetch, run, unpack

CHECKOUT = Path(__file__).resolve().parents[2]
MODEL = CHECKOUT / "tests" / "data" / "qa_oracle" / "model"
GUEST = ("python3", "libstdc++6", "libgomp1")
PYTHON = "3.13"
WHEELS = (
    *("click", "numpy", "rich", "tokenizers"),
    *("onnxruntime", "openvino", "ai-edge-litert"),
)
PLATFORMS = tuple(f"manylinux_2_{minor}_aarch64" for minor in range(17, 40))
BACKENDS = "onnx,openvino,tflite"
# One thread each: guests' threads contend for the emulator's own locks.
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True)
class Root:
    """Folders of the emulated machine, all below one."""

    base: Path

    @property
    def system(self) -> Path:
        """Where Debian's arm64 packages are unpacked."""
        return self.base / "system"

    @property
    def site(self) -> Path:
        """Where aarch64 wheels are installed."""
        return self.base / "site"

    @property
    def qemu(self) -> Path:
        """The emulator, which runs here."""
        return self.base / "qemu" / "usr" / "bin" / "qemu-aarch64"

    def python(self, *args: str) -> list[str]:
        """A command line of the guest's Python."""
        guest = self.system / "usr" / "bin" / f"python{PYTHON}"
        return [str(self.qemu), "-L", str(self.system), str(guest), *args]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True, type=lambda p: Path(p).resolve())
    parser.add_argument("--bundle", type=lambda p: Path(p).resolve())
    args = parser.parse_args()
    root = Root(args.root)
    make_system(root)
    make_site(root)
    bundle = args.bundle or export(root)
    machine = guest(root, "-c", "import platform; print(platform.machine())").stdout.strip()
    if machine != "aarch64":
        sys.exit(f"the guest says that it is {machine}, not aarch64")
    done = guest(root, "-m", "edge_tx", "verify", str(bundle), "--json", "--threads", "1")
    sys.exit(told(done))


def make_system(root: Root) -> None:
    """Unpacks Debian's arm64 Python and the emulator, unless they are there."""
    if (root.base / "system.ready").exists():
        return
    say("unpacking Debian's arm64 Python and qemu-user")
    # The qemu of Debian 12 (7.2) crashes in the vendors' libraries; that of 13 (10.0) does not.
    for folder, arch, packages in (
        (root.system, "arm64", GUEST),
        (root.base / "qemu", "amd64", ("qemu-user",)),
    ):
        shutil.rmtree(folder, ignore_errors=True)
        debs = fetch(root.base / f"apt-{arch}", arch, packages)
        wanted = debs if arch == "arm64" else [d for d in debs if d.name.startswith("qemu-user")]
        folder.mkdir(parents=True)
        # Debian's /lib is a link to /usr/lib, which no package here makes.
        for name in ("bin", "lib", "sbin"):
            (folder / "usr" / name).mkdir(parents=True)
            (folder / name).symlink_to(f"usr/{name}")
        for deb in wanted:
            unpack(deb, folder)
    (root.base / "system.ready").touch()


def make_site(root: Root) -> None:
    """Installs the vendors' aarch64 wheels, unless they are there."""
    if (root.base / "site.ready").exists():
        return
    say("installing aarch64 wheels")
    shutil.rmtree(root.site, ignore_errors=True)
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    where = ["--target", str(root.site), "--python-version", PYTHON, "--implementation", "cp"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, *where, *platforms, "--only-binary=:all:", *WHEELS])
    (root.base / "site.ready").touch()


def export(root: Root) -> Path:
    """A bundle of the tests' small model, exported here."""
    bundle = root.base / "small.bundle"
    if not bundle.exists():
        say("exporting a small model")
        command = [sys.executable, "-m", "edge_tx", "export", str(MODEL), "-o", str(bundle)]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        run([*command, "--to", BACKENDS, "--buckets", "1x64"], environment)
    return bundle


def guest(root: Root, *args: str) -> subprocess.CompletedProcess[str]:
    """Runs the guest's Python with the checkout's edge_tx."""
    path = f"{root.site}:{CHECKOUT}"
    environment = {**os.environ, **QUIET, "PYTHONPATH": path, "PYTHONHOME": "/usr"}
    environment["EDGE_TX_CACHE"] = str(root.base / "cache")
    return subprocess.run(
        root.python(*args), env=environment, capture_output=True, text=True, check=False
    )


def told(done: subprocess.CompletedProcess[str]) -> int:
    """Says how each graph did; the exit code: 0 only if every graph ran and was right."""
    try:
        record: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        say(f"no answer, exit code {done.returncode}: {done.stderr.strip()[-2000:]}")
        return 1
    print(json.dumps(record, indent=1))
    ran = [graph["verdict"] == "ok" for graph in record["graphs"]]
    return 0 if done.returncode == 0 and ran and all(ran) else 1


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
