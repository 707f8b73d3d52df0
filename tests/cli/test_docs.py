"""docs/cli.md says what the command line does."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from edge_tx import errors
from edge_tx.cli import failures
from edge_tx.cli.app import VERBS, cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def command(verb: str) -> click.Command:
    found = cli.get_command(click.Context(cli), verb)
    assert found is not None
    return found


def test_every_exit_code_is_listed_and_no_other(page: str) -> None:
    kinds = [getattr(errors, name) for name in errors.__all__]
    codes = {k.exit_code for k in kinds if issubclass(k, errors.EdgeTxError)}
    codes |= {0, failures.INTERNAL, failures.NO_MEMORY, failures.SYSTEM, failures.INTERRUPTED}
    table = page[page.index("## Exit codes") :]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_is_described(page: str, verb: str) -> None:
    section = re.search(rf"^### .*`edge-tx {verb}\b.*?(?=^##)", page, re.MULTILINE | re.DOTALL)
    assert section is not None
    common = {"--json", "--quiet", "-q"}
    options = {o for p in command(verb).params for o in p.opts if o.startswith("-")} - common
    assert {o for o in options if f"`{o}`" not in section[0]} == set()


def test_no_option_is_described_that_is_not_there(page: str) -> None:
    there = {o for verb in VERBS for p in command(verb).params for o in p.opts} | {"--help"}
    assert set(re.findall(r"`(--[a-z-]+)`", page)) <= there
