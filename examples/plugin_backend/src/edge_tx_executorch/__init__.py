"""ExecuTorch as a backend of edge_tx.

The row below is all that edge_tx sees of this package: it is found through the entry point of
``pyproject.toml``, and what it names is imported when it is used.
"""

from edge_tx.backends import Backend

__all__ = ["BACKEND"]

BACKEND = Backend(
    name="executorch",
    title="ExecuTorch",
    # Not "executorch" alone, which has no __init__.py: any folder of that name would do.
    modules=("executorch.version",),
    install="pip install executorch",
    suffixes=(".pte",),
    devices=("cpu",),
    precisions=("fp32",),
    dynamic_shapes=True,
    session="edge_tx_executorch.session:open_session",
    exporter="edge_tx_executorch.exporter:export",
)
