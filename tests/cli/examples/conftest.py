"""The examples are not installed: their tests import them from the checkout."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # last: an installed edge_tx stays the one that is tested
