"""One prepared output for all tests that only read it."""

from pathlib import Path

import pytest

from tests.jobs.inspection.outputs import prepare_small


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed: a test that damages it takes a copy."""
    return prepare_small(tmp_path_factory.mktemp("prepared"))
