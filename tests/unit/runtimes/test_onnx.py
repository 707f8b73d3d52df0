"""What is ONNX Runtime's alone; what every session does is in the contract."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# ONNX Runtime keeps silent by itself where one of these stands: tests and CI.
SILENCERS = ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY")

SCRIPT = """
import edge_tx, sys
with edge_tx.load(sys.argv[1]) as model:
    model.embed("the cat")
"""


def test_nothing_is_reported_or_left_in_the_home_folder(
    engine_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in SILENCERS}
    environment |= {"HOME": str(home), "EDGE_TX_CACHE": str(tmp_path / "cache")}
    subprocess.run(
        [sys.executable, "-c", SCRIPT, str(engine_bundle("onnx"))],
        env=environment,
        check=True,
    )
    assert list(home.rglob("*")) == []
