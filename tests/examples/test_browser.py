"""The web app in Chromium, at a phone's size and without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.examples


@pytest.fixture(scope="module")
def chromium() -> None:
    if not os.environ.get("CHROMIUM") and not shutil.which("chromium"):
        pytest.skip("no chromium: install it, or name it by CHROMIUM")


@pytest.mark.parametrize("name", ["embedding", "classifier"])
def test_it_works_offline_and_conforms(
    name: str,
    bundles: dict[str, Path],
    npm_app: Callable[[str, Path], Path],
    conforms: Callable[..., Any],
    chromium: None,
) -> None:
    app = npm_app("browser", bundles[name])
    for command in (["node", "build.mjs"], ["node", "--test", "test/offline.mjs"]):
        done = subprocess.run(command, cwd=app, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    conforms(bundles[name], "node", app / "test" / "answer.mjs")
