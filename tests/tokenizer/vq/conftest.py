"""What the tests of networks share: one thread, so that they neither wait for other processes nor depend on the number of cores."""

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
