"""Where measurements are remembered, and how they are found again.

::

    ROOT/tunings/<bundle>/<device>.json     32 digits of the bundle's hash, 32 of the device's

``ROOT`` is ``$EDGE_TX_CACHE`` or the user's cache folder. Finding nothing costs one look for a
folder; the device is only looked at where the bundle was measured before.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_tx import swap
from edge_tx.cache import ENVIRONMENT, cache_root
from edge_tx.digest import sha256_hex
from edge_tx.errors import EdgeTxError, InvalidConfig
from edge_tx.manifest_json import MANIFEST
from edge_tx.strict_json import dumps, encode

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle
    from edge_tx.tuning import Machine, Tuning

__all__ = ["Remembered", "bundle_hash", "machine_for", "place_of", "prepare", "recall", "save"]

_DIGITS = 32
_AGAIN = "measure again with edge-tx tune"
# A record of a bundle's 20 graphs has 6 kB.
_MOST_BYTES = 1 << 20


class Remembered(NamedTuple):
    """What is known of a bundle on this device.

    Attributes:
        tuning: The record; None if there is none that applies.
        path: Where it is, or would be; None where there is no cache folder.
        warning: Why a record that is there was not used; empty if all is well.
    """

    tuning: Tuning | None = None
    path: Path | None = None
    warning: str = ""


def recall(bundle: Bundle, device: str = "auto") -> Remembered:
    """Looks for a measurement of a bundle on this device. Never raises.

    Args:
        bundle: The bundle.
        device: Which of a backend's devices is asked for.
    """
    try:
        folder = _folder(bundle_hash(bundle))
        known = folder.is_dir()
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return Remembered()
    if not known:
        return Remembered()
    machine = machine_for(bundle)
    path = folder / _name(machine, device)
    try:
        return _read(path, bundle, machine, device)
    except (OSError, EdgeTxError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        return Remembered(None, path, f"the measurement in {path} is ignored ({reason}): {_AGAIN}")


def _read(path: Path, bundle: Bundle, machine: Machine, device: str) -> Remembered:
    from edge_tx.tuning import read  # most bundles were never measured: see recall

    if not path.exists():
        others = any(other.suffix == ".json" for other in path.parent.iterdir())
        changed = "the processor, its limits, a runtime or the device asked for"
        warning = f"it was measured before something changed ({changed}): {_AGAIN}"
        return Remembered(None, path, warning if others else "")
    if not path.is_file():  # reading a pipe would wait for ever
        raise InvalidConfig("it is not a file")
    if path.stat().st_size > _MOST_BYTES:
        raise InvalidConfig(f"it has more than {_MOST_BYTES >> 20} MiB")
    tuning = read(path.read_bytes(), path.name)
    wanted = (bundle_hash(bundle), machine, device)
    if (tuning.bundle, tuning.machine, tuning.device) != wanted:
        raise InvalidConfig("it is about another bundle or device")
    graphs = {graph.name: graph.backend for graph in bundle.graphs}
    if any(graphs.get(m.graph) != m.backend for m in tuning.graphs):
        raise InvalidConfig("it names graphs that the bundle does not have")
    return Remembered(tuning, path)


def place_of(bundle: Bundle, device: str = "auto") -> Path:
    """Where the measurement of a bundle on this device is kept.

    Raises:
        InvalidConfig: There is no cache folder.
    """
    try:
        return _folder(bundle_hash(bundle)) / _name(machine_for(bundle), device)
    except RuntimeError as exc:
        raise InvalidConfig(f"no home folder to keep measurements in: set {ENVIRONMENT}") from exc


def prepare(path: Path) -> None:
    """Makes the folder of a record, so that nothing is measured that cannot be kept.

    Raises:
        InvalidConfig: It cannot be written to.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with swap.work_folder(path):
            pass
    except OSError as exc:
        raise _refused(path, exc) from exc


def save(tuning: Tuning, path: Path) -> None:
    """Writes a record in one step: a kill leaves the old one, or the new one.

    Raises:
        InvalidConfig: It cannot be written.
    """
    from edge_tx.tuning import write

    try:
        with swap.work_folder(path) as work:
            new = work / "new"
            with new.open("xb") as file:
                file.write(write(tuning))
                file.flush()
                os.fsync(file.fileno())
            swap.publish(new, path, work)
    except OSError as exc:
        raise _refused(path, exc) from exc


def bundle_hash(bundle: Bundle) -> str:
    """The identity of a bundle: its manifest holds the hashes of all the rest."""
    return sha256_hex((bundle.root / MANIFEST).read_bytes())


def machine_for(bundle: Bundle) -> Machine:
    """This device, as far as it matters to a bundle's graphs."""
    from edge_tx import backends
    from edge_tx.device import DeviceInfo
    from edge_tx.tuning import Machine

    device = DeviceInfo.probe()
    rows = backends.in_order({graph.backend for graph in bundle.graphs})
    return Machine(
        architecture=device.architecture,
        cpu=device.cpu.model,
        instruction_sets=device.cpu.instruction_sets,
        logical_cores=device.cpu.logical_cores,
        physical_cores=device.cpu.physical_cores,
        quota=device.cpu.quota,
        accelerators=tuple(f"{a.name} {a.driver}".strip() for a in device.accelerators),
        runtimes=tuple(_releases(row.module for row in rows if row.module is not None)),
    )


def _releases(modules: Iterable[str]) -> list[str]:
    """Names and versions of the distributions beside vendors' modules: ``onnxruntime-1.32.0``.

    importlib.metadata says the same in 15 to 70 ms, which loading a model need not pay.
    """
    return sorted({name for module in modules for name in _distributions(module)})


def _distributions(module: str) -> Iterator[str]:
    spec = importlib.util.find_spec(module)
    homes = [*(spec.submodule_search_locations or ()), spec.origin] if spec else []
    home = next((Path(place).parent for place in homes if place), None)
    prefix = module.partition(".")[0].casefold()
    for path in home.iterdir() if home is not None and home.is_dir() else ():
        name = path.name.casefold().replace("-", "_")
        if path.suffix in (".dist-info", ".egg-info") and name.startswith(prefix):
            yield path.stem


def _folder(bundle: str) -> Path:
    return cache_root() / "tunings" / bundle[:_DIGITS]


def _name(machine: Machine, device: str) -> str:
    whole = dumps({"machine": encode(machine), "device": device})
    return f"{sha256_hex(whole)[:_DIGITS]}.json"


def _refused(path: Path, exc: OSError) -> InvalidConfig:
    return InvalidConfig(
        f"cannot keep measurements in {path.parent}: {exc.strerror or exc}; "
        f"{ENVIRONMENT} names another folder"
    )
