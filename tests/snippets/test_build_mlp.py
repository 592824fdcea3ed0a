"""The same network in both frameworks, and the weights that Keras draws."""

import keras
import numpy as np
import pytest
import torch
from torch import nn

from snippets.build_mlp_keras import build_mlp_keras
from snippets.build_mlp_torch import build_mlp_torch

BUILDERS = [build_mlp_keras, build_mlp_torch]


def arrays(model):
    """Kernels [inputs, units] and biases."""
    if isinstance(model, nn.Module):
        return [each.detach().numpy().T for each in model.parameters()]
    return model.get_weights()


@pytest.mark.parametrize("build", BUILDERS)
def test_weights_are_uniform_within_glorots_limit_and_biases_are_zero(build):
    kernel, bias, last_kernel, last_bias = arrays(build([60, 90, 10], 5))
    assert kernel.shape == (60, 90) and last_kernel.shape == (90, 10)
    limit = np.sqrt(6 / (60 + 90))
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
    assert not bias.any() and not last_bias.any()


@pytest.mark.parametrize("build", BUILDERS)
def test_the_seed_decides_the_weights(build):
    first, same, other = (
        np.concatenate(
            [each.ravel() for each in arrays(build([4, 3, 2], seed))]
        )
        for seed in (1, 1, 2)
    )
    assert (first == same).all()
    assert (first != other).any()


def test_both_compute_the_same_from_the_same_weights():
    one, other = (
        build_mlp_keras([5, 7, 6, 3], 1),
        build_mlp_torch([5, 7, 6, 3], 2),
    )
    one.set_weights(arrays(other))
    x = np.random.default_rng(0).normal(size=(8, 5)).astype("float32")
    found = keras.ops.convert_to_numpy(one(x))
    with torch.no_grad():
        expected = other(torch.tensor(x)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("sizes", [[4], [4, 0, 2]])
def test_bad_sizes_are_refused_with_the_reason(build, sizes):
    with pytest.raises(ValueError, match="give at least two, each above 0"):
        build(sizes, 1)
