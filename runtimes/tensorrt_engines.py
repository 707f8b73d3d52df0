"""Makes a bundle's engines on the device, and holds them against the golden answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_tx.backends import Backend, SessionConfig, find, open_session
from edge_tx.errors import (
    DeviceUnavailable,
    InvalidConfig,
    MissingDependency,
    ParityFailed,
    SessionFailed,
)
from edge_tx.runtimes import isolation, tensorrt_api
from edge_tx.runtimes.cuda import Cuda, Gpu
from edge_tx.runtimes.tensorrt import target_of
from edge_tx.runtimes.tensorrt_build import Request, Settings, run
from edge_tx.runtimes.tensorrt_profiles import PROFILES, read
from edge_tx.runtimes.tensorrt_records import Proof, Record, Target, graph_hash
from edge_tx.runtimes.tensorrt_store import Store, default_root

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle
    from edge_tx.manifest import Graph

__all__ = ["BuildOptions", "Built", "build"]

_MODULE = "edge_tx.runtimes.tensorrt_engines"
_LEVELS = range(6)


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What a user may say of a build.

    Attributes:
        settings: Of the builder.
        cache_dir: Where engines are kept; see :func:`default_root`.
        compute_capabilities: GPU generations to build for without having one, e.g. 89;
            empty for the GPU that is here. Only for backends that can.
        force: Builds anew even if there is a good engine.
    """

    settings: Settings = field(default_factory=Settings)
    cache_dir: Path = field(default_factory=default_root)
    compute_capabilities: tuple[int, ...] = ()
    force: bool = False

    def __post_init__(self) -> None:
        level = self.settings.optimization_level
        if level != -1 and level not in _LEVELS:
            raise InvalidConfig(f"the optimization level is 0 to 5, not {level}")
        if self.settings.workspace_bytes < 0:
            raise InvalidConfig("the workspace must be 0 bytes or more")


@dataclass(frozen=True, slots=True)
class Built:
    """An engine.

    Attributes:
        graph: Name of the graph.
        record: What is known of it.
        path: Its file.
        reused: Whether it was there already.
        note: What else there is to say; empty if nothing.
    """

    graph: str
    record: Record
    path: Path
    reused: bool
    note: str = ""


def build(bundle: Bundle, graph: Graph, options: BuildOptions) -> tuple[Built, ...]:
    """Makes the engines of one graph, or takes those that are there.

    Args:
        bundle: The bundle.
        graph: A graph of it.
        options: How to build.

    Returns:
        One engine, or one for each compute capability.

    Raises:
        MissingDependency: TensorRT is not installed.
        DeviceUnavailable: There is no GPU to build on, and none was named.
        InvalidConfig: This backend cannot build for a GPU that is not here.
        SessionFailed: TensorRT refuses the graph or crashed.
        ParityFailed: A freshly built engine gives wrong answers; it was removed.
    """
    row = find(graph.backend)
    if row.module is None:
        raise MissingDependency(row.modules[0], f"building {row.name} engines", row.install)
    bundle.entry(graph)  # every file is the one the manifest names
    return tuple(
        _build_one(_Job(row, bundle, graph, options, target, aimed, gpu))
        for target, aimed, gpu in _targets(row, options)
    )


@dataclass(frozen=True, slots=True)
class _Job:
    row: Backend
    bundle: Bundle
    graph: Graph
    options: BuildOptions
    target: Target
    aimed: bool
    gpu: Gpu | None

    @property
    def entry(self) -> Path:
        return self.bundle.root / self.graph.entry

    @property
    def provable(self) -> bool:
        return (
            self.gpu is not None and self.gpu.compute_capability == self.target.compute_capability
        )


def _targets(row: Backend, options: BuildOptions) -> Iterator[tuple[Target, bool, Gpu | None]]:
    """What to build for, whether it was named, and the GPU that is here."""
    api = tensorrt_api.load(row)
    wanted = options.compute_capabilities
    gpu = _gpu_here(required=not wanted)
    if gpu is not None and not wanted:
        yield target_of(row.name, api, gpu), False, gpu
    if wanted and not tensorrt_api.AHEAD_OF_TIME[row.name]:
        raise InvalidConfig(
            f"{row.title} builds on the GPU it is for, and for no other: leave out the compute "
            "capability, or export to tensorrt_rtx for an RTX PC"
        )
    for capability in wanted:
        yield target_of(row.name, api, Gpu("", capability, "")), True, gpu


def _gpu_here(required: bool) -> Gpu | None:
    try:
        cuda = Cuda.open()
    except DeviceUnavailable:
        if required:
            raise
        return None
    try:
        return cuda.gpu()
    finally:
        cuda.close()


def _build_one(job: _Job) -> Built:
    store = Store(job.options.cache_dir)
    graph = graph_hash(job.entry.parent)
    settings = job.options.settings
    there = None if job.options.force else store.find(graph, job.target, settings)
    if there is not None:
        try:
            return _proved(job, store, there, reused=True)
        except (ParityFailed, SessionFailed):
            store.discard(there)  # it does not run any more, or not right: build it anew
    return _proved(job, store, _make(job, store, graph), reused=False)


def _make(job: _Job, store: Store, graph: str) -> Record:
    settings = job.options.settings
    with store.workshop() as folder:
        request = Request(
            backend=job.row.name,
            onnx=str(job.entry),
            profiles=read(job.entry.parent / PROFILES),
            settings=settings,
            engine=str(folder / "engine"),
            compute_capability=job.target.compute_capability if job.aimed else 0,
            timing_cache=_timings(job, store),
        )
        answer = run(request)
        problem = "; ".join(answer.unsupported) or answer.failure
        if problem:
            raise SessionFailed(
                f"{job.row.title} {answer.version} builds no engine of {job.graph.name}: {problem}"
            )
        return store.keep(
            folder / "engine",
            graph,
            job.target,
            settings,
            seconds=answer.seconds,
            built_ns=time.time_ns(),
        )


def _timings(job: _Job, store: Store) -> str:
    """Where kernel timings are kept, for builders that time kernels on this GPU."""
    ahead = tensorrt_api.AHEAD_OF_TIME[job.row.name]
    return "" if ahead else str(store.timings(job.target))


def _proved(job: _Job, store: Store, record: Record, *, reused: bool) -> Built:
    """Holds an engine against the golden answers, in a process of its own as well."""
    note = ""
    if record.proof is None and job.provable:
        try:
            claim = _Claim(str(job.bundle.root), job.graph.name, str(store.root))
            proof = isolation.call(_MODULE, claim, Proof, f"proving {job.graph.name}")
        except (ParityFailed, SessionFailed):
            store.discard(record)
            raise
        record = store.proven(record, proof)
    elif record.proof is None:
        note = (
            f"not held against the golden answers: there is no sm_{job.target.compute_capability} "
            "GPU here; run edge-tx build again where it is"
        )
    return Built(job.graph.name, record, store.path(record), reused, note)


@dataclass(frozen=True, slots=True)
class _Claim:
    """An engine to prove: the last one built of a graph of the bundle in a folder."""

    root: str
    graph: str
    cache_dir: str


def prove(claim: _Claim) -> Proof:
    """Runs a bundle's golden answers through an engine, in this process.

    Raises:
        ParityFailed: It gives wrong answers.
        SessionFailed: It does not run.
    """
    from edge_tx import golden, tasks
    from edge_tx.bundle import Bundle

    with Bundle.open(claim.root) as bundle:
        graph = bundle.graph(claim.graph)
        options = (("cache_dir", claim.cache_dir), ("unproven", "yes"))
        entry = bundle.root / graph.entry
        session = open_session(graph.backend, entry, SessionConfig(options=options))
        try:
            outcome = golden.prove(
                bundle.golden(),
                graph,
                session,
                tokenizer=bundle.tokenizer(),
                task=tasks.create(bundle.manifest.task, bundle.manifest.settings),
            )
        finally:
            session.close()
    if not outcome.ok:
        raise ParityFailed(
            f"the engine of {claim.graph} fails {len(outcome.failures)} checks against the "
            f"golden answers: {outcome.failures[0]}"
        )
    return Proof(outcome.cases, outcome.max_abs_error, outcome.min_cosine, outcome.agreement)


if __name__ == "__main__":
    isolation.serve(_Claim, prove)
