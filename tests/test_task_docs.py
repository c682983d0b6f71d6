"""docs/tasks.md says of every task what its code says."""

from pathlib import Path

import pytest

from docs.task_pages import HEAD, WANTS, index_table, options, task_section
from tokenizer.tasks import TASKS

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "tasks.md").read_text(encoding="utf-8")


def test_its_head_is_the_generator_s():
    assert TEXT.startswith(HEAD) and index_table() in TEXT


@pytest.mark.parametrize("kind", TASKS)
def test_dialogue_and_options_of_a_task_are_those_of_the_code(kind):
    assert task_section(kind) in TEXT


@pytest.mark.parametrize("kind", TASKS)
def test_every_option_has_a_comment_and_what_a_sample_must_bring_is_said(kind):
    assert WANTS[kind]
    assert [name for name, _, comment in options(TASKS[kind]) if not comment] == []


@pytest.mark.parametrize("kind", [kind for kind in TASKS if kind != "conversation"])
def test_every_task_but_that_of_any_dialogue_shows_a_sequence(kind):
    assert f"![a sequence of {kind}](pictures/tasks/{kind}.png)" in TEXT
    assert (DOCS / "pictures" / "tasks" / f"{kind}.png").stat().st_size > 1000
