"""Column functions of Spark: the partitions' way here, and Spark itself behind a marker."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import edge_tx
from edge_tx.errors import BundleError, InvalidConfig, MissingDependency
from edge_tx.runtimes.batch_outputs import fields_of
from edge_tx.runtimes.spark import Prediction
from edge_tx.spark import predict_udf
from edge_tx.tuning_store import bundle_hash

pa = pytest.importorskip("pyarrow", reason="pip install 'edge-tx[spark]' for column functions")

FakeBundle = Callable[..., Path]
OPENING = '{"backend": "auto", "device": "auto", "threads": 1, "streams": null}'
WORDS = ["the", "cat", "sat", "on", "a", "mat"]
TEXTS = [" ".join(WORDS[: i % 6 + 1]) if i % 10 else None for i in range(100)]


def prediction(bundle: Path, task: str, **changes: Any) -> Prediction:
    asked: dict[str, Any] = {
        "bundle": str(bundle),
        "digest": bundle_hash(edge_tx.Bundle.open(bundle)),
        "is_shipped": False,
        "task": task,
        "column": None,
        "options": {},
        "opening": OPENING,
    }
    return Prediction(**(asked | changes))


def answered(asked: Prediction, *columns: list[str | None], rows: int = 30) -> list[Any]:
    """All answers, of batches of so many rows."""
    arrays = [pa.array(column) for column in columns]
    starts = range(0, len(arrays[0]), rows)
    batches = (tuple(array.slice(start, rows) for array in arrays) for start in starts)
    singles = (batch if len(batch) > 1 else batch[0] for batch in batches)
    return [value for array in asked.answers(singles, 1) for value in array.to_pylist()]


def test_a_partition_is_answered_as_a_job_answers_its_rows(fake_bundle: FakeBundle) -> None:
    bundle = fake_bundle("sentence-embedding")
    found = answered(prediction(bundle, "sentence-embedding"), TEXTS)
    good = [text for text in TEXTS if text is not None]
    with edge_tx.load(bundle) as model:
        expected = iter([result.vector.tolist() for result in model.map(good)])
    assert len(found) == len(TEXTS)
    for text, row in zip(TEXTS, found, strict=True):
        assert row["embedding"] == (None if text is None else next(expected))
        assert row["error"] == ("no 'text'" if text is None else None)
        assert (row["truncated"] is None) == (text is None)


def test_one_column_alone_and_long_texts(fake_bundle: FakeBundle) -> None:
    bundle = fake_bundle("sentence-embedding")
    asked = prediction(
        bundle, "sentence-embedding", column="embedding", options={"too_long": "error"}
    )
    found = answered(asked, ["cat", "cat " * 40, None, "dog"])
    assert [value is None for value in found] == [False, True, True, False]
    asked = prediction(bundle, "sentence-embedding", column="error", options={"too_long": "error"})
    found = answered(asked, ["cat", "cat " * 40])
    assert found[0] is None
    assert "more than the 16" in found[1]


def test_pairs_and_numbers_of_columns(fake_bundle: FakeBundle) -> None:
    asked = prediction(fake_bundle("text-ranking"), "text-ranking", column="score")
    with edge_tx.load(asked.bundle) as model:
        assert answered(asked, ["cat"], ["dog sat"]) == [model(("cat", "dog sat")).score]
    with pytest.raises(InvalidConfig, match="1 was named"):
        answered(asked, ["cat"])
    with pytest.raises(InvalidConfig, match="not 3"):
        answered(asked, ["cat"], ["dog"], ["mat"])


def test_another_bundle_at_that_path_is_refused(fake_bundle: FakeBundle) -> None:
    asked = prediction(fake_bundle("text-ranking"), "text-ranking", digest="0" * 64)
    with pytest.raises(BundleError, match="is another one than where the query was made"):
        answered(asked, ["cat"], ["dog"])


def test_without_pyspark_it_says_what_to_install(
    fake_bundle: FakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.delitem(sys.modules, "pyspark.sql.functions", raising=False)
    with pytest.raises(MissingDependency, match=r"pip install 'edge-tx\[spark\]'"):
        predict_udf(fake_bundle("sentence-embedding"))


# ---------------------------------------------------------------------------- Spark itself


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    pytest.importorskip("pyspark", reason="pip install 'edge-tx[spark]' for column functions")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        pytest.skip("Spark needs Java 17 or later")
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYSPARK_PYTHON", sys.executable)  # else workers take PATH's python3
        started = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
        yield started
        started.stop()


cluster = pytest.mark.cluster


@cluster
@pytest.mark.timeout(600)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ship", [False, True])
def test_spark_gives_what_a_job_gives(
    ship: bool, packed: bool, session: Any, fake_bundle: FakeBundle, tmp_path: Path
) -> None:
    from pyarrow import parquet

    bundle = fake_bundle("sentence-embedding")
    if packed:
        bundle = edge_tx.Bundle.open(bundle).pack(tmp_path / "packed.etx")
    source = pa.table({"id": list(range(len(TEXTS))), "text": TEXTS})
    parquet.write_table(source, tmp_path / "in.parquet")
    edge_tx.batch(bundle, tmp_path / "in.parquet", tmp_path / "job", id_column="id", threads=1)
    rows = session.read.parquet(str(tmp_path / "in.parquet")).repartition(3)
    embed = predict_udf(bundle, ship=ship)
    table = rows.select("id", embed("text").alias("of")).select("id", "of.*")
    table.write.parquet(str(tmp_path / "spark"))
    expected = parquet.read_table(tmp_path / "job").to_pylist()
    found = sorted(parquet.read_table(tmp_path / "spark").to_pylist(), key=lambda row: row["id"])
    assert [row["id"] for row in found if row["error"]] == list(range(0, 100, 10))
    good = [row for row in found if not row["error"]]
    for one, other in zip(good, expected, strict=True):
        assert {name: one[name] for name in other if name != "row"} == {
            name: value for name, value in other.items() if name != "row"
        }


@cluster
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "task",
    [
        "feature-extraction",
        "text-classification",
        "token-classification",
        "fill-mask",
        "text-ranking",
    ],
)
def test_every_task_has_a_type_in_spark(task: str, session: Any, fake_bundle: FakeBundle) -> None:
    bundle = fake_bundle(task)
    pairs = task == "text-ranking"
    text = "the [MASK] sat" if task == "fill-mask" else "the cat sat"
    rows = session.createDataFrame([(text, "a dog sat"), (None, "cat")], "one string, two string")
    columns = ("one", "two") if pairs else ("one",)
    answer = rows.select(predict_udf(bundle)(*columns).alias("of")).select("of.*").collect()
    assert [row["error"] is None for row in answer] == [True, False]
    with edge_tx.load(bundle, threads=1) as model:
        result = model((text, "a dog sat") if pairs else text)
    for field in fields_of(task):
        assert plain(answer[0][field.name]) == plain(field.of(result)), field.name
        assert answer[1][field.name] is None


@cluster
@pytest.mark.timeout(600)
def test_sql_and_mistakes(session: Any, fake_bundle: FakeBundle) -> None:
    bundle = fake_bundle("sentence-embedding")
    session.udf.register("embed", predict_udf(bundle, column="embedding"))
    row = session.sql("select embed('the cat') as vector").collect()[0]
    with edge_tx.load(bundle, threads=1) as model:
        assert row["vector"] == model("the cat").vector.tolist()
    with pytest.raises(edge_tx.EdgeTxError, match="unknown column of 'sentence-embedding'"):
        predict_udf(bundle, column="vector")
    with pytest.raises(edge_tx.EdgeTxError, match="unknown option"):
        predict_udf(bundle, options={"colour": "red"})


def plain(value: Any) -> Any:
    """Rows and tuples as lists and mappings."""
    if hasattr(value, "asDict"):
        return {name: plain(inner) for name, inner in value.asDict().items()}
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value
