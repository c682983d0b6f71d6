"""Noise: whose it is, and that it is Gumbel's."""

import math

import numpy as np
import torch

from jobs.lm.noise import gumbel


def test_noise_is_a_function_of_seed_number_and_position():
    first = gumbel(1, 2, [3], 100)
    assert torch.equal(first, gumbel(1, 2, [3], 100))
    assert torch.equal(first[:, :11], gumbel(1, 2, [3], 11))
    assert torch.equal(first[0], gumbel(1, 2, [9, 3, 4], 100)[1])
    for other in (gumbel(0, 2, [3], 100), gumbel(1, 0, [3], 100), gumbel(1, 2, [0], 100), gumbel(1, 2, [4], 100)):
        assert abs(np.corrcoef(first[0], other[0])[0, 1]) < 0.4
    assert gumbel(1, 2, [], 100).shape == (0, 100)


def test_noise_stays_as_it_is():
    assert np.allclose(gumbel(0, 0, [0, 1000], 3), [[2.1204, 0.1004, -0.3881], [0.2195, 2.9428, 0.6764]], atol=1e-4)


def test_noise_is_gumbels():
    noise = gumbel(0, 0, range(1000), 2000).double()
    assert torch.isfinite(noise).all()
    assert abs(noise.mean() - 0.5772157) < 0.004
    assert abs(noise.var() - math.pi**2 / 6) < 0.01
    for value in (-1.0, 0.0, 2.0, 6.0, 10.0):
        wanted = -math.expm1(-math.exp(-value))
        assert abs((noise > value).double().mean() - wanted) < 5 * (wanted / noise.numel()) ** 0.5 + 1e-7
