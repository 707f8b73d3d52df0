"""The student: a model of its own, or the teacher with fewer layers.

Imports torch: reach it from inside functions only.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from edge_tx import tasks
from edge_tx.answering import Prepared
from edge_tx.calibration.distillation_session import ModuleSession
from edge_tx.calibration.sparsity_layers import drop_layers, layers_of, search_layers
from edge_tx.errors import InvalidConfig
from edge_tx.examples import Example
from edge_tx.exporters import source
from edge_tx.exporters.traced import Traced
from edge_tx.text import Tokenizer

__all__ = ["Recipe", "check_pair", "harm", "make_student", "parse_student"]

_PREFIX = "layers="
_SEARCH = "search:"
_COMPARED = 64
_SEARCHED = 128


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which student is asked for.

    Attributes:
        folder: A model of its own; empty for the teacher with fewer layers.
        keep: Numbers of the teacher's layers that stay.
        count: How many stay, if their numbers are not given.
        search: Whether the ones that are missed least go, and not every other one.
    """

    folder: str = ""
    keep: tuple[int, ...] = ()
    count: int = 0
    search: bool = False


def parse_student(text: str | os.PathLike[str]) -> Recipe:
    """Reads a folder, ``"layers=3"``, ``"layers=0,2,5"`` or ``"layers=search:3"``.

    Raises:
        InvalidConfig: What follows ``layers=`` are no numbers.
    """
    said = os.fspath(text)
    if not said.startswith(_PREFIX):
        return Recipe(folder=said)
    rest = said.removeprefix(_PREFIX)
    search = rest.startswith(_SEARCH)
    numbers = rest.removeprefix(_SEARCH).split(",")
    if not all(number.strip().isdecimal() for number in numbers) or (search and numbers[1:]):
        raise InvalidConfig(
            f"a student is a folder, layers=3, layers=0,2,5 or layers=search:3, not {said!r}"
        )
    values = tuple(map(int, numbers))
    if len(values) == 1:
        return Recipe(count=values[0], search=search)
    return Recipe(keep=values)


def make_student(
    recipe: Recipe,
    teacher: Traced,
    examples: Sequence[Example],
    options: dict[str, object],
    progress: Callable[[int, int], None],
) -> Traced:
    """Loads a student, or takes layers out of a copy of the teacher.

    Args:
        recipe: Which.
        teacher: The model to learn from.
        examples: Inputs by which layers are missed, if that is asked for.
        options: Call options of the task.
        progress: Told how far a search is.

    Raises:
        InvalidConfig: There are no such layers or no such folder.
        UnsupportedModel: The model cannot be read, or its layers not be dropped.
    """
    if recipe.folder:
        return source.load(recipe.folder, task=teacher.task)
    module = copy.deepcopy(teacher.module)
    network = module.transformer
    count = len(layers_of(network))
    if recipe.count and not 0 < recipe.count < count:
        raise InvalidConfig(
            f"the teacher has {count} layers: a student may have 1 to {count - 1} of them, "
            f"not {recipe.count}"
        )
    keep: Sequence[int] = recipe.keep or _spread(count, recipe.count)
    if recipe.search:
        missed = harm(replace(teacher, module=module), teacher, examples, options)
        keep = search_layers(network, recipe.count, missed, progress)
    drop_layers(network, keep)
    weights = sum(weight.numel() for weight in module.parameters())
    return replace(teacher, module=module, source=replace(teacher.source, parameters=weights))


def _spread(count: int, kept: int) -> list[int]:
    """Evenly, the first among them: 0, 2 and 4 of 6, as DistilBERT's."""
    return [number * count // kept for number in range(kept)]


def harm(
    student: Traced,
    teacher: Traced,
    examples: Sequence[Example],
    options: Mapping[str, object],
) -> Callable[[], float]:
    """Measures how far the student's outputs are from the teacher's on some inputs.

    Args:
        student: A model; the measure sees it as it stands when it is called.
        teacher: The model to be near to.
        examples: Inputs; evenly spread ones of them are used.
        options: Call options of the task.

    Returns:
        The mean squared error of all outputs.
    """
    step = max(1, len(examples) // _SEARCHED)
    inputs = [value for example in examples[::step] for value in example.inputs]
    task = tasks.create(teacher.task, teacher.settings)
    tokenizer = Tokenizer(teacher.tokenizer_json, teacher.policy)
    prepared = Prepared(task, tokenizer, inputs, options)

    def numbers(traced: Traced) -> torch.Tensor:
        return torch.cat([torch.from_numpy(n) for _, n in prepared.answers(ModuleSession(traced))])

    wanted = numbers(teacher)
    return lambda: float((numbers(student) - wanted).square().mean())


def check_pair(teacher: Traced, student: Traced, examples: Sequence[Example]) -> None:
    """Checks that two models read the same tokens and answer in the same shapes.

    Raises:
        InvalidConfig: They do not; all that differs is named.
    """
    problems = []
    if teacher.outputs != student.outputs:
        shapes = (", ".join(map(str, traced.outputs)) for traced in (teacher, student))
        problems.append("the teacher gives {}, the student {}".format(*shapes))
    if teacher.settings.labels != student.settings.labels:
        problems.append(
            f"the teacher's labels are {', '.join(teacher.settings.labels)}, the student's "
            f"{', '.join(student.settings.labels)}"
        )
    if teacher.policy.inputs != student.policy.inputs or _differs(teacher, student, examples):
        problems.append("their tokenizers give different tokens")
    if problems:
        raise InvalidConfig(f"this student cannot learn from this teacher: {'; '.join(problems)}")


def _differs(teacher: Traced, student: Traced, examples: Sequence[Example]) -> bool:
    if teacher.tokenizer_json == student.tokenizer_json:
        return False
    inputs = [value for example in examples[:_COMPARED] for value in example.inputs]
    ids = [
        [encoding.ids for encoding in Tokenizer(t.tokenizer_json, student.policy).encode(inputs)]
        for t in (teacher, student)
    ]
    return ids[0] != ids[1]
