"""What many tests share: one Ray cluster a session, few threads, the golden files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Facts recorded from the reference; see tests/golden/README.md."""
    return json.loads((GOLDEN / "expected.json").read_text())


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Of torch, so that networks neither wait for other processes nor depend on the number of cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A local cluster of two CPUs, for all tests that need one."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
