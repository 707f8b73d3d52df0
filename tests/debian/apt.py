"""Debian's packages unpacked into a folder, of another release or architecture than this machine's.

Needs Linux with apt, which says where packages come from; nothing of the system is changed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["download", "fetch", "run", "unpack"]

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITE = "trixie"


def fetch(base: Path, arch: str, packages: Sequence[str]) -> list[Path]:
    """Downloads packages and what they depend on, with an apt that knows of nothing else."""
    apt = _apt(base, arch)
    run([*apt, "--yes", "--download-only", "install", *packages])
    return sorted((base / "cache" / "archives").glob("*.deb"))


def download(base: Path, arch: str, package: str) -> Path:
    """Downloads one package alone."""
    run([*_apt(base, arch), "download", package], folder=base)
    [deb] = base.glob(f"{package}_*.deb")
    return deb


def unpack(deb: Path, folder: Path) -> None:
    """Unpacks a package's files."""
    folder.mkdir(parents=True, exist_ok=True)
    # --keep-directory-symlink: packages that ship ./lib/... go through the link.
    tar = ["tar", "-x", "--keep-directory-symlink", "-C", str(folder), "-f", "-"]
    files = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], capture_output=True)
    if files.returncode:
        sys.exit(f"dpkg-deb failed: {files.stderr.decode(errors='replace').strip()[-2000:]}")
    subprocess.run(tar, input=files.stdout, check=True)


def run(
    command: Sequence[str], environment: dict[str, str] | None = None, folder: Path | None = None
) -> str:
    """Runs a command here; its last words end the script if it fails."""
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.decode(errors='replace').strip()[-2000:]}")
    return done.stdout.decode(errors="replace")


def _apt(base: Path, arch: str) -> list[str]:
    """An apt of its own, that has read what packages there are."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (base / name).mkdir(parents=True, exist_ok=True)
    (base / "status").touch()
    (base / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {SUITE} main\n")
    settings = {
        "Dir::Etc::sourcelist": base / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": base / "state",
        "Dir::State::status": base / "status",
        "Dir::Cache": base / "cache",
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
    }
    apt = ["apt-get", "-qq", *(w for k, v in settings.items() for w in ("-o", f"{k}={v}"))]
    run([*apt, "update"])
    return apt


def _mirror() -> str:
    """Where this machine gets Debian's packages from."""
    form = ["--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    found = run(["apt-get", "indextargets", *form]).split()
    if not found:
        sys.exit("apt knows no Debian mirror here: run apt-get update first")
    return found[0]
