from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys

import pytest

from edge_tx.digest import sha256_hex

MEBIBYTE = 1 << 20


@pytest.mark.parametrize("data", [b"", b"abc", bytes(range(256)) * 99, b"x" * (MEBIBYTE + 1)])
def test_it_is_sha256(data: bytes) -> None:
    assert sha256_hex(data) == hashlib.sha256(data).hexdigest()


def fresh(code: str) -> str:
    """What code prints in a process that has loaded no hashlib."""
    script = f"import sys; from edge_tx.digest import sha256_hex; {code}"
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("prepare", "size"),
    [
        ("", 5),
        ("", MEBIBYTE),
        ("sys.modules.update(_sha2=None, _sha256=None)", 5),  # a build without its own
    ],
)
def test_it_is_sha256_whoever_computes_it(prepare: str, size: int) -> None:
    expected = hashlib.sha256(b"x" * size).hexdigest()
    assert fresh(f"{prepare}; print(sha256_hex(b'x' * {size}))".lstrip("; ")) == expected


def test_small_data_loads_no_openssl() -> None:
    if not any(map(importlib.util.find_spec, ("_sha2", "_sha256"))):
        pytest.skip("this interpreter was built without a sha256 of its own")
    assert fresh("sha256_hex(b'x' * 999); print('_hashlib' in sys.modules)") == "False"
