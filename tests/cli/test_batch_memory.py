"""A batch job under a limit of the system: it holds its own ceiling, or dies without one."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx.runtimes.batch_memory import parse_bytes

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="peaks and limits of memory are read from /proc"
)
MB = 1_000_000

# A job whose address space the system limits, and what it took.
JOB = """
import json, resource, sys
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
from edge_tx.cli.app import run
code = run(sys.argv[3:])
status = open("/proc/self/status").read()
taken = {name: int(status.split(name + ":")[1].split()[0]) * 1024 for name in ("VmPeak", "VmHWM")}
print(json.dumps(taken), file=open(sys.argv[2] + ".taken", "w"))
sys.exit(code)
"""


@dataclass(frozen=True)
class Ended:
    """A job that has ended: peaks of its memory in bytes, and what it said."""

    code: int
    address_space: int
    resident: int
    err: str


def job(bundle: Path, source: Path, output: Path, *words: str, limit: int = 0) -> Ended:
    """Runs a job in a process of its own, with one thread and one malloc arena."""
    alone = {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", JOB, str(limit), str(output)]
    command += ["batch", str(bundle), str(source)]
    options = ["-o", str(output), "-q", "--threads", "1", "--output-format", "jsonl"]
    done = subprocess.run(
        [*command, *options, "--shard-rows", "40", *words],
        env=os.environ | alone,
        capture_output=True,
        text=True,
        check=False,
    )
    told = output.with_name(f"{output.name}.taken")
    taken = json.loads(told.read_text()) if told.exists() else {"VmPeak": 0, "VmHWM": 0}
    return Ended(done.returncode, taken["VmPeak"], taken["VmHWM"], done.stderr)


@pytest.fixture
def greedy(fake_bundle: Callable[..., Path]) -> Path:
    """A graph whose batches take some 130 kB for each token."""
    return fake_bundle("token-classification", labels=16_384)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    chosen, words = random.Random(0), ("the", "cat", "sat", "on", "a", "mat", "ran", "dog")
    texts = [" ".join(chosen.choices(words, k=chosen.randrange(1, 12))) for _ in range(40)]
    path = tmp_path / "in.txt"
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def entities(output: Path) -> list[Any]:
    lines = [
        json.loads(line)
        for path in sorted(output.glob("part-*"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert [line["row"] for line in lines] == list(range(40))
    return [line["entities"] for line in lines]


def test_a_job_with_a_ceiling_lives_where_one_without_dies(
    greedy: Path, rows: Path, tmp_path: Path
) -> None:
    (tmp_path / "one.txt").write_text("the cat\n")
    one = job(greedy, tmp_path / "one.txt", tmp_path / "one")
    free = job(greedy, rows, tmp_path / "free")
    assert (one.code, free.code) == (0, 0), free.err
    assert free.resident - one.resident > 60 * MB
    # Between what the model takes and what the whole job takes; the address space holds more than
    # what is resident, so its limit is the looser one.
    ceiling = one.resident + (free.resident - one.resident) // 2
    limit = one.address_space + 7 * (free.address_space - one.address_space) // 10
    dead = job(greedy, rows, tmp_path / "dead", limit=limit)
    assert dead.code != 0
    assert not (tmp_path / "dead" / "_report.json").exists()
    held = job(greedy, rows, tmp_path / "held", "--max-rss", str(ceiling), limit=limit)
    assert held.code == 0, held.err
    assert held.resident <= ceiling
    for one_row, other in zip(
        entities(tmp_path / "held"), entities(tmp_path / "free"), strict=True
    ):
        assert [e["label"] for e in one_row] == [e["label"] for e in other]
        scores = [[e["score"] for e in row] for row in (one_row, other)]
        np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)


def test_a_ceiling_that_is_named_will_do(
    fake_bundle: Callable[..., Path], rows: Path, tmp_path: Path
) -> None:
    bundle = fake_bundle("sentence-embedding")
    refused = job(bundle, rows, tmp_path / "no", "--max-rss", "10M")
    assert refused.code == 2
    assert len(refused.err.strip().splitlines()) == 1
    least = re.search(r"allow (\d+M)", refused.err)
    assert least is not None, refused.err
    held = job(bundle, rows, tmp_path / "held", "--max-rss", least[1])
    assert held.code == 0, held.err
    assert 10 * MB < held.resident <= (parse_bytes(least[1]) or 0)
