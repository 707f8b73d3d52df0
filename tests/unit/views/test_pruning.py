from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edge_tx.errors import InvalidConfig
from edge_tx.report import Report
from edge_tx.views.page import pages
from edge_tx.views.pruning import PrunedLayer, Pruning, read

LAYER = {"heads": [0, 2], "of_heads": 4, "neurons": 30, "of_neurons": 120}
WRITTEN = {"output": "small", "layers": {"0": LAYER}, "removed_layers": [1], "method": "taylor"}


def saved(folder: Path, value: Any) -> str:
    path = folder / "pruned.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


def test_what_prune_writes_is_read(tmp_path: Path) -> None:
    found = read(saved(tmp_path, WRITTEN))
    assert found == Pruning({"0": PrunedLayer((0, 2), 4, 30, 120)}, (1,))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "not what edge-tx prune"),
        ({"rows": []}, "not what edge-tx prune"),
        (WRITTEN | {"layers": {"x": LAYER}}, "numbers of layers"),
        (WRITTEN | {"layers": {"0": LAYER | {"heads": [9]}}}, "heads"),
        (WRITTEN | {"layers": {"0": LAYER | {"of_heads": 10**9}}}, "heads"),
        (WRITTEN | {"layers": {"0": LAYER | {"neurons": 121}}}, "neurons"),
        (WRITTEN | {"layers": {"0": {}}}, "missing"),
    ],
)
def test_anything_else_is_one_line(tmp_path: Path, value: Any, told: str) -> None:
    with pytest.raises(InvalidConfig, match=told) as caught:
        read(saved(tmp_path, value))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="cannot be read"):
        read(str(tmp_path / "no.json"))


def test_the_map_has_a_cell_for_each_head(tmp_path: Path, full: Report) -> None:
    page = pages({"r": full}, {"<b>small</b>": read(saved(tmp_path, WRITTEN))})
    section = page[page.index('id="pruning"') : page.index('id="scenarios"')]
    assert re.findall(r'<td class="(kept|gone)">', section) == ["kept", "gone", "kept", "gone"]
    assert "25%" in section
    assert "removed" in section
    assert "&lt;b&gt;small" in section


def test_without_a_pruning_there_is_no_map(full: Report) -> None:
    assert "What pruning left" not in pages({"r": full})
