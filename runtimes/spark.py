"""A bundle as a column function of Spark, for data that already lives there.

Each Python worker of an executor opens the model once and keeps it over its tasks. A partition
goes through it as a file goes through a batch job: in windows, batched by length, the next window
tokenised while the last one runs. So its values are those of a job over the same rows.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import GenericAlias
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_tx import tasks
from edge_tx.bundle import Bundle
from edge_tx.errors import BundleError, InvalidConfig, InvalidInput, MissingDependency, UnknownName
from edge_tx.runtimes.batch_columns import Columns, resolve
from edge_tx.runtimes.batch_formats import arrow
from edge_tx.runtimes.batch_job import Settings
from edge_tx.runtimes.batch_layout import choose_layout
from edge_tx.runtimes.batch_outputs import Field, arrow_type, fields_of, stacked
from edge_tx.runtimes.conveyor import in_order
from edge_tx.tuning_store import bundle_hash

if TYPE_CHECKING:
    from edge_tx.runtimes.conveyor import Conveyor
    from edge_tx.runtimes.model import Model

__all__ = ["Prediction", "predict_udf"]

_ERROR = Field("error", "text", lambda result: None)
# Models that a worker keeps open: a query seldom has more.
_MOST_MODELS = 2
# Bundles that were packed for this process' Spark sessions, which read them while they live.
_SHIPPED: dict[str, tempfile.TemporaryDirectory[str]] = {}


def predict_udf(
    bundle: str | Path,
    *,
    column: str | None = None,
    options: Mapping[str, Any] | None = None,
    ship: bool = True,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    graph: str | None = None,
    streams: int | None = None,
    min_accuracy: float | None = None,
    backend_options: Mapping[str, str] | None = None,
) -> Any:
    """Makes a column function of Spark: ``predict_udf("minilm.bundle")("text")`` is a column.

    It takes a column of texts, or two columns where the task takes pairs. Its values are structs
    with the columns that a batch job writes, see ``docs/batch.md``, and ``error``: why a row has no
    result (a null, a text that is too long under ``too_long="error"``), whose other fields are null
    then; null where there is one.

    Args:
        bundle: A bundle: a folder or an ``.etx`` file.
        column: One of the result's columns, to have that alone instead of a struct, e.g.
            ``"embedding"`` for an ``array<float>``; it is null where there is no result.
        options: The task's options, e.g. ``{"top_k": 3}``.
        ship: Send the bundle to the executors as a file of the active Spark session. If false,
            every machine must see it under the path that is given.
        backend: As for :func:`edge_tx.load`, like all that follow.
        device: "
        threads: CPU threads of a task; by default the cores that Spark gives it
            (``spark.task.cpus``), as each core has a worker of its own.
        graph: "
        streams: "
        min_accuracy: "
        backend_options: Its ``options``.

    Returns:
        A user-defined function of pyspark, which may be registered for SQL too.

    Raises:
        MissingDependency: pyspark is not installed.
        BundleError: The bundle is damaged, unsafe or too new.
        UnknownName: There is no such option or column.
        InvalidConfig: An option makes no sense, or there is no Spark session to ship with.
    """
    _pyspark()
    from pyspark.sql.functions import arrow_udf

    opening = {
        "backend": backend,
        "device": device,
        "threads": threads,
        "graph": graph,
        "streams": streams,
        "min_accuracy": min_accuracy,
        "options": dict(backend_options or {}),
    }
    settings = Settings(options=dict(options or {}), opening=opening)
    opened = Bundle.open(bundle)
    task = opened.manifest.task
    tasks.create(task, opened.manifest.settings).options(**settings.options)
    names = [field.name for field in (*fields_of(task), _ERROR)]
    if column is not None and column not in names:
        raise UnknownName(f"column of '{task}'", column, names)
    where = _shipped(opened) if ship else str(Path(bundle).absolute())
    prediction = Prediction(
        where, bundle_hash(opened), ship, task, column, settings.options, json.dumps(opening)
    )
    return arrow_udf(_function(prediction), returnType=prediction.spark_type())


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a worker needs to know; it travels with the query.

    Attributes:
        bundle: Path, or name of the file that was shipped.
        digest: Of the bundle, which must be the same everywhere.
        is_shipped: Whether the bundle is a file of the Spark session.
        task: Name of the task.
        column: The only column that is wanted; None for all.
        options: The task's options.
        opening: Options of :func:`edge_tx.load`, as JSON.
    """

    bundle: str
    digest: str
    is_shipped: bool
    task: str
    column: str | None
    options: Mapping[str, Any]
    opening: str

    @property
    def fields(self) -> tuple[Field, ...]:
        """The columns of the result."""
        return tuple(
            field
            for field in (*fields_of(self.task), _ERROR)
            if self.column is None or field.name == self.column
        )

    def spark_type(self) -> Any:
        """The type of the values, as pyspark has it."""
        from pyspark.sql import types

        if self.column is not None:
            return _spark_type(types, self.fields[0].type)
        return _spark_type(types, {field.name: field.type for field in self.fields})

    def answers(self, batches: Iterator[Any], threads: int) -> Iterator[Any]:
        """Answers a partition.

        Args:
            batches: Arrow arrays of texts, or tuples of them where there are several columns.
            threads: CPU threads, where the user did not say.

        Yields:
            Arrow arrays with as many values in all.
        """
        model = _open(self.bundle, self.digest, self.is_shipped, self.opening, threads)
        conveyor = model.conveyor(**self.options)
        dim = self.options.get("dimensions") or model.dimensions
        for results in in_order(conveyor, _items(self.task, conveyor, batches)):
            yield self._array(results, dim)

    def _array(self, results: Sequence[Any], dim: int) -> Any:
        pa = arrow("Spark")
        arrays = [_array(pa, field, results, dim) for field in self.fields]
        if self.column is not None:
            return arrays[0]
        return pa.StructArray.from_arrays(arrays, [field.name for field in self.fields])


def _function(prediction: Prediction) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """What Spark calls with a partition; it finds the kind of function in its annotations."""
    pa = arrow("Spark")

    def predict(batches: Any) -> Any:
        from pyspark import TaskContext

        context = TaskContext.get()
        return prediction.answers(batches, context.cpus() if context else 1)

    arrays = GenericAlias(Iterator, (pa.Array,))
    predict.__annotations__ = {"batches": arrays, "return": arrays}
    return predict


# ------------------------------------------------------------------------------- on a worker


@lru_cache(maxsize=_MOST_MODELS)
def _open(bundle: str, digest: str, is_shipped: bool, opening: str, threads: int) -> Model:
    """The model, in the layout that a batch job without a measurement takes."""
    path = bundle
    if is_shipped:
        from pyspark import SparkFiles

        path = SparkFiles.get(bundle)
    opened = Bundle.open(path)
    if bundle_hash(opened) != digest:
        raise BundleError(f"the bundle at {path} is another one than where the query was made")
    chosen = json.loads(opening)
    _, model = choose_layout(opened, chosen | {"threads": chosen["threads"] or threads}, {}, ())
    return model


def _items(task: str, conveyor: Conveyor, batches: Iterator[Any]) -> Iterator[Any]:
    """The task's items, and of rows that cannot be used the reason."""
    columns: Columns | None = None
    for batch in batches:
        arrays = batch if isinstance(batch, tuple) else (batch,)
        columns = columns or _columns(task, len(arrays))
        for cells in zip(*(array.to_pylist() for array in arrays), strict=True):
            yield _item(columns, conveyor, dict(zip(columns.inputs, cells, strict=True)))


def _item(columns: Columns, conveyor: Conveyor, cells: Mapping[str, Any]) -> Any:
    try:
        return conveyor.parse(columns.value(cells))
    except InvalidInput as exc:
        return exc


def _columns(task: str, count: int) -> Columns:
    if count > 2:
        raise InvalidConfig(f"'{task}' takes one column, or two for pairs, not {count}")
    pair = "text_pair" if count == 2 else None
    return resolve(task, (), {}, text="text", text_pair=pair, id_column=None, keep=())


def _array(pa: Any, field: Field, results: Sequence[Any], dim: int) -> Any:
    """A column of results; null where there is none."""
    refused = [isinstance(result, InvalidInput) for result in results]
    if field.name == _ERROR.name:
        reasons = [str(r) if bad else None for r, bad in zip(results, refused, strict=True)]
        return pa.array(reasons, pa.string())
    if field.type != "vector":
        values = [None if bad else field.of(r) for r, bad in zip(results, refused, strict=True)]
        return pa.array(values, arrow_type(pa, field.type))
    vectors = stacked([r for r, bad in zip(results, refused, strict=True) if not bad], dim)
    sizes = np.where(refused, 0, dim)
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(vectors.reshape(-1)), mask=pa.array(refused)
    )


# ---------------------------------------------------------------------------- on the driver


def _pyspark() -> None:
    try:
        import pyspark.sql.functions as functions
    except ImportError as exc:
        raise MissingDependency(
            "pyspark", "a column function of Spark", "pip install 'edge-tx[spark]'"
        ) from exc
    if not hasattr(functions, "arrow_udf"):
        raise InvalidConfig(
            "this pyspark has no functions on Arrow arrays, which came with 4.1: "
            "pip install 'edge-tx[spark]'"
        )


def _shipped(bundle: Bundle) -> str:
    """Sends a bundle to the executors; gives the name of its file there."""
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is None:
        raise InvalidConfig(
            "there is no Spark session to send the bundle with: start one first, or say "
            "ship=False for a path that every machine sees"
        )
    digest = bundle_hash(bundle)
    # Named by what it holds: a session takes a name only once.
    name = f"edge-tx-{digest[:16]}.etx"
    if digest not in _SHIPPED:
        _SHIPPED[digest] = tempfile.TemporaryDirectory(prefix="edge-tx-spark-")
    packed = Path(_SHIPPED[digest].name) / name
    if not packed.exists():
        bundle.pack(packed)
    session.addArtifacts(str(packed), file=True)
    return name


def _spark_type(types: Any, kind: Any) -> Any:
    """The Spark type of one of ours."""
    if isinstance(kind, list):
        return types.ArrayType(_spark_type(types, kind[0]))
    if isinstance(kind, Mapping):
        return types.StructType(
            [types.StructField(name, _spark_type(types, inner)) for name, inner in kind.items()]
        )
    return {
        "text": types.StringType(),
        "real": types.DoubleType(),
        "whole": types.LongType(),
        "vector": types.ArrayType(types.FloatType()),
    }[kind]
