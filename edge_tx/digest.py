"""sha256 at the least cost of start and hashing together.

``hashlib`` loads OpenSSL. That takes 3 ms, as long as the interpreter's own sha256 needs for a
megabyte; on the way to a first answer there are a manifest and a tokenizer of less.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any

__all__ = ["sha256_for", "sha256_hex"]

_WORTH_OPENSSL = 1 << 20  # bytes; it hashes five times as fast once it is there

# The interpreter's own module: from Python 3.12, and before. The standard library's `random`
# takes its hash from there for the same reason. A build may leave it out: then hashlib it is.
_OWN = ("_sha2", "_sha256")


def sha256_hex(data: bytes) -> str:
    """The sha256 of some bytes, in hexadecimal."""
    return str(sha256_for(len(data))(data).hexdigest())


def sha256_for(size: int) -> Any:
    """The constructor of a hash, as in :mod:`hashlib`, for so many bytes."""
    if size < _WORTH_OPENSSL and "hashlib" not in sys.modules:
        for name in _OWN:
            with contextlib.suppress(ImportError):
                return importlib.import_module(name).sha256
    import hashlib

    return hashlib.sha256
