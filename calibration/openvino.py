"""Int8, int4 and half-precision graphs for OpenVINO, by NNCF."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from edge_tx.backends import find
from edge_tx.calibration.abilities import need, refuse_others, row_of
from edge_tx.calibration.openvino_units import ATTENTION, Unit, units
from edge_tx.calibration.quantizer import Feeds, Quantized, Work
from edge_tx.calibration.recipe import Observer, Recipe
from edge_tx.calibration.vendor_tool import mapped
from edge_tx.errors import InvalidConfig
from edge_tx.tensors import Array
from edge_tx.vendors import kept_out

__all__ = ["DYNAMIC_GROUP", "MOST_FEEDS", "check", "layers", "quantize"]

#: Feeds that a calibration reads. NNCF keeps a few numbers of each, so that its memory would grow
#: with them; the ranges of the models that were measured settle within 300.
MOST_FEEDS = 512

#: Values of an activation that share a scale in dynamic recipes, where it is found at run time.
DYNAMIC_GROUP = 64

_INSTALL = "pip install 'edge-tx[quantize-openvino]'"
# Where a file tells OpenVINO how it is to be run.
_GROUP_OPTION = ("runtime_options", "DYNAMIC_QUANTIZATION_GROUP_SIZE")


def check(recipe: Recipe) -> None:
    """Checks that OpenVINO can do a recipe.

    Raises:
        InvalidConfig: It cannot; says what it can.
        MissingDependency: NNCF is not installed.
    """
    row = row_of("openvino", recipe, _ROWS)
    refuse_others("openvino", recipe, row.allowed)
    need(row.modules, "quantising OpenVINO graphs", _INSTALL)


def layers(entry: Path) -> tuple[str, ...]:
    """Units that can be returned to float one by one, in the graph's order.

    Raises:
        ExportFailed: OpenVINO cannot read the graph.
    """
    with _mapped(f"reading {entry.name}"):
        return tuple(unit.name for unit in units(_read(entry)))


def quantize(work: Work) -> Quantized:
    """Writes ``model.xml`` and ``model.bin`` into the work's folder.

    Raises:
        InvalidConfig: OpenVINO cannot do the recipe, or it leaves every layer in float.
        MissingDependency: NNCF is not installed.
        ExportFailed: NNCF failed.
    """
    check(work.recipe)
    row = _ROWS[work.recipe.name]
    entry = work.folder / "model.xml"
    with _mapped(f"quantising {work.entry.name}"):
        model = _read(work.entry)
        job = _Job(work, work.recipe.with_defaults(**row.defaults), *_split(model, work))
        model = row.run(model, job)
        if row.group is not None:
            model.set_rt_info(str(row.group), list(_GROUP_OPTION))
        _openvino().save_model(model, entry, compress_to_fp16=False)
    return Quantized(
        entry=entry,
        precision=row.precision,
        units=tuple(unit.name for unit in job.chosen),
        tools={name: version(name) for name in row.modules},
        route=row.route,
        notes=row.notes,
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """What a row runs on: the work, its recipe with our defaults, and the units either way."""

    work: Work
    recipe: Recipe
    chosen: tuple[Unit, ...]
    kept: tuple[Unit, ...]

    def ignored(self, *types: str) -> Any:
        """NNCF's scope of what stays in float."""
        import nncf

        names = [unit.node for unit in self.kept]
        return nncf.IgnoredScope(names=names, types=list(types), validate=False)


def _split(model: Any, work: Work) -> tuple[tuple[Unit, ...], tuple[Unit, ...]]:
    """The units to quantise, and those to leave in float."""
    sides: dict[bool, list[Unit]] = {True: [], False: []}
    for unit in units(model):
        wanted = work.recipe.embeddings or not unit.is_embedding
        sides[wanted and not work.stays_float(unit.name)].append(unit)
    if not sides[True]:
        raise InvalidConfig(f"recipe '{work.recipe}' leaves every layer in float")
    return tuple(sides[True]), tuple(sides[False])


# ------------------------------------------------------------------------------------ recipes


def _static(model: Any, job: _Job) -> Any:
    import nncf
    from nncf.quantization.advanced_parameters import QuantizationParameters

    recipe = job.recipe
    preset = nncf.QuantizationPreset
    overflow = nncf.OverflowFix
    names = [port.get_any_name() for port in model.inputs]
    return nncf.quantize(
        model,
        nncf.Dataset(_Stream(job.work.feeds, names)),
        subset_size=MOST_FEEDS,
        preset=preset.PERFORMANCE if recipe.symmetric else preset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER,
        # Attention has no int8 kernel: its inputs would be rounded for nothing.
        ignored_scope=job.ignored(ATTENTION),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=overflow.ENABLE if job.work.reduce_range else overflow.DISABLE,
            activations_range_estimator_params=_RANGES[recipe.observer](recipe),
            weights_quantization_params=QuantizationParameters(per_channel=recipe.per_channel),
            smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(
                matmul=-1.0 if recipe.smooth is None else recipe.smooth
            ),
        ),
    )


def _minmax(recipe: Recipe) -> Any:
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    return RangeEstimatorParametersSet.MINMAX


def _percentile(recipe: Recipe) -> Any:
    """The percentile of each text, and the mean of these."""
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    usual = RangeEstimatorParametersSet.MEAN_QUANTILE
    outliers = {"quantile_outlier_prob": 1 - recipe.percentile / 100}
    return dataclasses.replace(
        usual,
        min=dataclasses.replace(usual.min, **outliers),
        max=dataclasses.replace(usual.max, **outliers),
    )


def _mse(recipe: Recipe) -> Any:
    """The range with the least error of rounding and clipping, on a histogram of all texts."""
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    return RangeEstimatorParametersSet.HISTOGRAM


_RANGES: Mapping[Observer, Callable[[Recipe], Any]] = {
    Observer.MINMAX: _minmax,
    Observer.PERCENTILE: _percentile,
    Observer.MSE: _mse,
}


def _weights_8(model: Any, job: _Job) -> Any:
    import nncf

    mode = nncf.CompressWeightsMode.INT8_ASYM
    return nncf.compress_weights(model, mode=mode, ignored_scope=job.ignored())


def _weights_4(model: Any, job: _Job) -> Any:
    """Four bits in blocks; embeddings and the last product, which need more, in eight."""
    import nncf
    from nncf.quantization.advanced_parameters import GroupSizeFallbackMode

    return nncf.compress_weights(
        model,
        mode=nncf.CompressWeightsMode.INT4_ASYM,
        group_size=job.recipe.block,
        ignored_scope=job.ignored(),
        advanced_parameters=nncf.AdvancedCompressionParameters(
            # A width that no block divides gets smaller blocks, or eight bits.
            group_size_fallback_mode=GroupSizeFallbackMode.ADJUST,
            min_adjusted_group_size=16,
        ),
    )


def _half(model: Any, job: _Job) -> Any:
    """Stores weights in half precision; they are widened when the graph is compiled."""
    ops = _openvino().opset13
    for unit in job.chosen:
        weight = unit.operator.input(unit.port).get_source_output()
        small = ops.constant(weight.get_node().data.astype("float16"))
        wide = ops.convert(small, "f32", name=weight.get_node().get_friendly_name())
        unit.operator.input(unit.port).replace_source_output(wide.output(0))
    return model


@dataclass(frozen=True, slots=True)
class _Row:
    """How OpenVINO does a recipe.

    Attributes:
        run: Called with an ``openvino.Model`` and the job; gives the new model.
        precision: Of the graph.
        route: How it is made, in words.
        defaults: Options that are best for OpenVINO, where the user chose nothing.
        allowed: The values that an option may have, where it may not have all.
        group: Values of an activation that share a scale found at run time; 0 leaves them in
            float, and None leaves the file without a word about it.
        modules: What must be importable, and whose versions are recorded.
        notes: What a user should know.
    """

    run: Callable[[Any, _Job], Any]
    precision: str
    route: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    allowed: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    group: int | None = None
    modules: tuple[str, ...] = ("openvino", "nncf")
    notes: tuple[str, ...] = ()


_ROWS: Mapping[str, _Row] = {
    "static_w8a8": _Row(
        run=_static,
        precision="int8",
        route="nncf.quantize",
        defaults={"smooth": 0.95},
        allowed={"observer": tuple(_RANGES)},
    ),
    "dynamic_w8": _Row(
        run=_weights_8,
        precision="int8",
        route="nncf.compress_weights, dynamic activations",
        allowed={
            "per_channel": (True,),
            "symmetric": (True,),
            "reduce_range": (False, None),
            "smooth": (None,),
        },
        group=DYNAMIC_GROUP,
        notes=("a CPU without VNNI runs this graph in float",),
    ),
    "weight_w8": _Row(
        run=_weights_8,
        precision="int8",
        route="nncf.compress_weights",
        allowed={"per_channel": (True,)},
        group=0,
    ),
    "weight_w4": _Row(
        run=_weights_4,
        precision="int4",
        route="nncf.compress_weights",
        allowed={"per_channel": (True,)},
        group=0,
    ),
    "fp16": _Row(run=_half, precision="fp16", route="openvino", modules=("openvino",)),
}


# ------------------------------------------------------------------------------------- vendor


class _Stream:
    """Real feeds, one at a time and as often as NNCF asks for them."""

    def __init__(self, feeds: Feeds, names: Sequence[str]) -> None:
        self._feeds = feeds
        self._names = names

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for feed in islice(self._feeds(), MOST_FEEDS):
            yield {name: feed[name] for name in self._names}


def _openvino() -> Any:
    with kept_out(find("openvino").unwanted):
        import openvino
    return openvino


def _read(entry: Path) -> Any:
    return _openvino().Core().read_model(entry)


@contextlib.contextmanager
def _mapped(doing: str) -> Iterator[None]:
    with mapped("OpenVINO or NNCF", doing), kept_out(find("openvino").unwanted):
        yield
