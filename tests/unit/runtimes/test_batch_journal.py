"""A journal gives back what was written, whatever a kill leaves of its last line."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_tx.errors import InvalidConfig, InvalidInput
from edge_tx.runtimes.batch_journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "_journal.jsonl"
    with Journal.open(path) as journal:
        for number in range(3):
            journal.append("shard", number=number, name=f"ü{number}")
    return path


def test_entries_come_back_in_order(path: Path) -> None:
    with Journal.open(path) as journal:
        assert [entry["number"] for entry in journal.find("shard")] == [0, 1, 2]
        assert journal.find("end") == []


def test_a_line_torn_anywhere_is_taken_off_and_written_again(path: Path) -> None:
    whole = path.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        with Journal.open(path) as journal:
            assert [entry["number"] for entry in journal.entries] == [0, 1]
            journal.append("shard", number=2, name="ü2")
        assert path.read_bytes() == whole


def test_damage_before_the_last_line_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"number":1', b'"number":7'))
    with pytest.raises(InvalidInput, match="line 2 is damaged"):
        Journal.open(path)


def test_two_processes_do_not_write_one(path: Path) -> None:
    pytest.importorskip("fcntl", reason="no locks on this system")
    with Journal.open(path), pytest.raises(InvalidConfig, match="another process is writing"):
        Journal.open(path)
