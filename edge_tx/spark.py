"""Models as columns of Spark; see :func:`edge_tx.runtimes.spark.predict_udf`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_tx.backends import resolve

if TYPE_CHECKING:
    from edge_tx.runtimes.spark import predict_udf

__all__ = ["predict_udf"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'edge_tx.spark' has no attribute '{name}'")
    return resolve(f"edge_tx.runtimes.spark:{name}")
