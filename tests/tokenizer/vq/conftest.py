"""All tests of networks run in one thread."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def always_one_thread(one_thread):
    """See tests/conftest.py."""
