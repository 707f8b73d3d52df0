"""Starts a peer and tells it when: ``launch.py COMMAND...``.

The time is taken here, right before this process becomes the command, so that whatever stands
before it (``taskset``, ``nice``, a queue) is not in the peer's load time.
"""

from __future__ import annotations

import os
import sys
import time

os.environ["PEER_STARTED_NS"] = str(time.monotonic_ns())
os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell, on purpose
