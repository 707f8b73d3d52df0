"""A writer that is killed, or runs out of disk, leaves the old bundle or the new one."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge_tx import swap
from edge_tx.bundle import Bundle, BundleWriter
from edge_tx.errors import BundleError

Contents = Callable[[Path], Mapping[str, bytes]]
WriteBundle = Callable[..., Bundle]

# Runs the same replacement again and again in a forked child, which kills itself before its
# N-th change of the disk, for every N until one child gets through. After each it is looked at
# what a reader finds, and then at what the next writer leaves.
DRIVER = textwrap.dedent(
    """
    import json, os, shutil, signal, sys
    from pathlib import Path
    from edge_tx import swap
    from edge_tx.bundle import Bundle, BundleWriter

    old, new, dest, mode = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.truncate"}
    left = None

    def step():
        global left
        if left is not None:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, args):
        if event in CHANGES or (event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)):
            step()

    def counted(call):
        def run(*args):
            step()
            result = call(*args)
            step()
            return result
        return run

    os.fsync = counted(os.fsync)
    swap._exchange = counted(swap._exchange) if mode != "renames" else lambda one, other: False
    sys.addaudithook(hook)

    def write():
        source = Bundle.open(new)
        with BundleWriter(dest) as writer:
            writer.adopt(source)
            writer.commit_like(source, created="2026-01-02T03:04:05+00:00")

    def found():
        try:
            bundle = Bundle.open(dest)
            bundle.check()
            return bundle.entry(bundle.graph()).parent.joinpath("data/weights.bin").read_text()
        except Exception as exc:
            return repr(exc)

    def prepare():
        shutil.rmtree(dest.parent, ignore_errors=True)
        dest.parent.mkdir()
        if old.is_dir():
            shutil.copytree(old, dest)
        else:
            shutil.copyfile(old, dest)

    outcomes = []
    while True:
        prepare()
        child = os.fork()
        if child == 0:
            left = len(outcomes) + 1
            write()
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        after = found()
        write()
        outcomes.append([after, found(), sorted(p.name for p in dest.parent.iterdir())])
        if status == 0:
            break
    print(json.dumps(outcomes))
    """
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize("mode", ["exchange", "renames", "packed"])
def test_a_kill_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, write_bundle: WriteBundle, mode: str
) -> None:
    suffix = ".etx" if mode == "packed" else ""
    old = write_bundle(tmp_path / f"old{suffix}", weights=b"old").origin
    new = write_bundle(tmp_path / "new", weights=b"new").origin
    dest = tmp_path / "place" / f"bundle{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(old), str(new), str(dest), mode],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcomes: list[Any] = json.loads(done.stdout)
    seen = [after for after, _, _ in outcomes]
    assert set(seen) == {"old", "new"}
    assert seen == sorted(seen, reverse=True), "once it is new it stays new"
    assert len(seen) > 15
    # The next writer succeeds, and clears away what the dead one left.
    assert all(rest == ["new", [dest.name]] for _, *rest in outcomes)


def test_a_reader_puts_back_what_a_dead_writer_moved_away(bundle: Bundle) -> None:
    work = bundle.root.parent / f".{bundle.root.name}.edge_tx-1-x"
    work.mkdir()
    bundle.root.rename(work / "old")
    Bundle.open(bundle.root).check()
    assert not work.exists()


def test_a_reader_leaves_a_living_writer_alone(bundle: Bundle) -> None:
    with swap.work_folder(bundle.root) as work:
        bundle.root.rename(work / "old")
        with pytest.raises(BundleError, match="try again"):
            Bundle.open(bundle.root)
        (work / "old").rename(bundle.root)
    Bundle.open(bundle.root).check()


def test_two_writers_at_once_leave_a_whole_bundle(
    bundle: Bundle, adder: Callable[..., None], committer: Callable[..., Bundle]
) -> None:
    with BundleWriter(bundle.root) as one, BundleWriter(bundle.root) as other:
        adder(one, "onnx-one")
        adder(other, "onnx-other")
        committer(one).check()
        committer(other).check()
    assert [g.name for g in Bundle.open(bundle.root).graphs] == ["onnx-other"]
    assert [p.name for p in bundle.root.parent.iterdir()] == ["bundle"]


def _full(*args: object, **kwargs: object) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["pathlib.Path.write_bytes", "os.fsync", "shutil.copyfile"])
def test_a_full_disk_is_one_line_and_leaves_the_old(
    bundle: Bundle,
    tmp_path: Path,
    contents: Contents,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    before = contents(bundle.root)
    other = shutil.copytree(bundle.root, tmp_path / "other")
    monkeypatch.setattr(where, _full)
    with (
        pytest.raises(BundleError, match=r"cannot write .*: No space left on device"),
        BundleWriter(bundle.root) as writer,
    ):
        writer.adopt(Bundle.open(other))
        writer.commit_like(bundle)
    assert contents(bundle.root) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "other"]


def test_a_disk_that_fills_while_a_graph_is_written(tmp_path: Path) -> None:
    with (
        pytest.raises(BundleError, match="No space left on device"),
        BundleWriter(tmp_path / "x") as writer,
    ):
        writer.graph_folder("onnx-fp32")
        _full()
    assert not any(tmp_path.iterdir())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "edge_tx_test", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("suffix", ["", ".etx"])
def test_a_really_full_disk(
    small_disk: Path, tmp_path: Path, write_bundle: WriteBundle, suffix: str
) -> None:
    big = write_bundle(tmp_path / "big", weights=bytes(200_000))
    old = write_bundle(small_disk / f"bundle{suffix}").origin
    with (
        pytest.raises(BundleError, match="No space left on device"),
        BundleWriter(old) as writer,
    ):
        writer.adopt(big)
        writer.commit_like(big)
    Bundle.open(old).check()
    assert [p.name for p in small_disk.iterdir()] == [old.name]


def test_a_full_cache_is_one_line(
    small_disk: Path, tmp_path: Path, write_bundle: WriteBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "b", weights=bytes(200_000)).pack(tmp_path / "big.etx")
    monkeypatch.setenv("EDGE_TX_CACHE", str(small_disk))
    with pytest.raises(BundleError, match=r"cannot unpack .*No space left on device"):
        Bundle.open(tmp_path / "big.etx")
    assert not any(small_disk.iterdir())
