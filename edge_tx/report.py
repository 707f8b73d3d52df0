"""Reports of benchmarks: what was measured, where, and every raw sample.

The JSON is the truth; the terminal's table, CSV and other looks are derived from it
(:mod:`edge_tx.report_formats`). None is "not measurable here" or "not asked for", never an
estimate: :attr:`ReportContext.unmeasured` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_tx.errors import InvalidConfig
from edge_tx.report_context import Conditions, Noise, ReportContext, ReportModel
from edge_tx.report_parts import (
    Energy,
    Memory,
    Phases,
    ScenarioResult,
    Stretch,
    Surroundings,
    ThreadBudget,
    Window,
)
from edge_tx.report_row import FAILURES, ROW_RULES, STATUSES, ReportRow, count_of
from edge_tx.strict_json import Fail, Reader, Rule, dumps, encode, loads

__all__ = [
    "FAILURES",
    "SCHEMA",
    "STATUSES",
    "Conditions",
    "Energy",
    "Memory",
    "Noise",
    "Phases",
    "Report",
    "ReportContext",
    "ReportModel",
    "ReportRow",
    "ScenarioResult",
    "Stretch",
    "Surroundings",
    "ThreadBudget",
    "Window",
    "count_of",
]

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Report:
    """Rows and their context.

    Attributes:
        context: Where and when.
        rows: What was measured.
        schema: Version of this format.
    """

    context: ReportContext
    rows: tuple[ReportRow, ...]
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The report as JSON; nothing is lost."""
        return dumps(encode(self), indent=1).decode("utf-8")

    @classmethod
    def from_json(cls, text: str, name: str = "report") -> Report:
        """Reads a report, strictly.

        Args:
            text: JSON.
            name: Of the file, for messages.

        Raises:
            InvalidConfig: It is not a report, or one of another version; names the place.
        """
        value = loads(text.encode("utf-8", "surrogatepass"), name, InvalidConfig)
        schema = value.get("schema") if isinstance(value, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise InvalidConfig(
                f"{name}: schema {schema} is newer than this version's {SCHEMA}: "
                "pip install -U edge-tx"
            )
        if isinstance(schema, int) and schema < SCHEMA:
            raise InvalidConfig(f"{name}: schema {schema} is older than {SCHEMA}: measure again")
        return Reader(name, InvalidConfig, _RULES).read(cls, value)

    @classmethod
    def from_file(cls, path: str | Path) -> Report:
        """Reads a report's JSON file.

        Raises:
            InvalidConfig: It cannot be read, or is not a report.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            reason = getattr(exc, "strerror", None) or "not UTF-8"
            raise InvalidConfig(f"{path}: not a report's JSON file: {reason}") from exc
        return cls.from_json(text, str(path))


def _report_rule(report: Report, fail: Fail) -> None:
    if report.schema != SCHEMA:
        fail("schema", f"expected {SCHEMA}, got {report.schema}")
    keys = [row.key for row in report.rows]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            fail(f"rows[{index}]", f"is the same cell as another: {report.rows[index].label}")


_RULES: Mapping[type, Rule] = {Report: _report_rule, **ROW_RULES}
