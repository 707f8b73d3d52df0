"""The row of a backend that no machine has, for tests of plug-ins and of absent packages."""

from __future__ import annotations

from edge_tx.backends import Backend

ABACUS = Backend(
    name="abacus",
    title="Abacus",
    modules=("abacus_runtime",),
    install="pip install abacus-runtime",
    suffixes=(".abc",),
    devices=("wood",),
    precisions=("fp32",),
    dynamic_shapes=True,
    session="abacus_runtime:open",
)
