"""The device that a graph is quantised for: what its int8 arithmetic can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_tx.device import DeviceInfo
from edge_tx.errors import UnknownName

__all__ = ["HOST", "TARGETS", "Target", "target"]

HOST = "host"

_X86_DOT = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_ARM_DOT = frozenset({"dotprod", "i8mm"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a graph is quantised for.

    Attributes:
        name: ``"host"`` or a name of :data:`TARGETS`.
        architecture: ``"x86_64"``, ``"aarch64"`` or ``"cuda"``.
        instruction_sets: Those that matter to int8 kernels, as :mod:`edge_tx.device` names them.
    """

    name: str
    architecture: str
    instruction_sets: frozenset[str]

    @property
    def is_host(self) -> bool:
        """Whether speed can be measured here."""
        return self.name == HOST

    @property
    def vnni(self) -> bool:
        """Whether an x86 has int8 dot products that do not saturate (VNNI or AMX)."""
        return bool(self.instruction_sets & _X86_DOT)

    @property
    def dot_products(self) -> bool:
        """Whether it has int8 dot products at all; without them int8 rarely pays."""
        return self.architecture == "cuda" or bool(self.instruction_sets & (_X86_DOT | _ARM_DOT))

    @property
    def reduce_range(self) -> bool:
        """Whether weights must use 7 bits.

        AVX2's and AVX-512's ``vpmaddubsw`` adds two products of uint8 and int8 in 16 bits and
        saturates: 255 * 127 * 2 does not fit. VNNI adds in 32 bits, as Arm does.
        """
        return self.architecture == "x86_64" and not self.vnni


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("x86-avx2", "x86_64", frozenset({"avx2"})),
        Target("x86-avx512", "x86_64", frozenset({"avx2", "avx512f"})),
        Target("x86-vnni", "x86_64", frozenset({"avx2", "avx512f", "avx512_vnni"})),
        Target("x86-avx-vnni", "x86_64", frozenset({"avx2", "avx_vnni"})),
        Target("x86-amx", "x86_64", frozenset({"avx2", "avx512f", "avx512_vnni", "amx_int8"})),
        Target("arm64", "aarch64", frozenset({"asimd"})),
        Target("arm64-dotprod", "aarch64", frozenset({"asimd", "dotprod"})),
        Target("arm64-i8mm", "aarch64", frozenset({"asimd", "dotprod", "i8mm"})),
        Target("cuda", "cuda", frozenset()),
    )
}


def target(name: str, device: DeviceInfo | None = None) -> Target:
    """Looks a target up.

    Args:
        name: ``"host"`` for the device that this runs on, or a name of :data:`TARGETS`.
        device: Stands for the device that this runs on.

    Raises:
        UnknownName: There is none of that name.
    """
    if name in TARGETS:
        return TARGETS[name]
    if name != HOST:
        raise UnknownName("target", name, (HOST, *TARGETS))
    here = device or DeviceInfo.probe()
    architecture = _ARCHITECTURES.get(here.architecture.lower(), here.architecture)
    return Target(HOST, architecture, frozenset(here.cpu.instruction_sets))


_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
