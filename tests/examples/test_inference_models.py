"""The sequence models of both frameworks agree; so do formula and count."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from _guide.project import programs

PROGRAMS = {
    program.framework: program
    for program in programs(Path(__file__).parents[2])
    if program.topic == "inference"
}
WANTED = {
    "build_sequence_model",
    "SequenceModel",
    "lengths_of",
    "random_padding",
    "sorted_padding",
}


def names_of(framework):
    """The program's settings, models and formulas; nothing is measured."""
    kept = []
    for node in ast.parse(PROGRAMS[framework].expanded()).body:
        setting = isinstance(node, ast.Assign) and (
            getattr(node.targets[0], "id", "").isupper()
        )
        imports = isinstance(node, ast.Import | ast.ImportFrom)
        if imports or setting or getattr(node, "name", None) in WANTED:
            kept.append(node)
    names = {}
    exec(compile(ast.Module(kept, []), framework, "exec"), names)
    return names


KERAS, TORCH = names_of("keras"), names_of("torch")


@pytest.mark.parametrize("masked", [True, False])
def test_the_sequence_models_are_the_same(masked):
    model = KERAS["build_sequence_model"](1, masked)
    twin = TORCH["build_sequence_model"](2, masked)
    # Away from zero, where biases begin.
    random = np.random.default_rng(0)
    model.set_weights(
        [each + 0.1 * random.normal(size=each.shape) for each in model.weights]
    )
    # In the order in which they were made, which their names count.
    layers = sorted(
        (layer for layer in model.layers if layer.get_weights()),
        key=lambda layer: (
            not layer.name.startswith("embedding"),
            int("0" + layer.name.partition("_")[2]),
        ),
    )
    weights = [
        torch.tensor(each) for layer in layers for each in layer.get_weights()
    ]
    with torch.no_grad():
        for parameter, weight in zip(twin.parameters(), weights):
            is_kernel = weight.dim() == 2 and parameter is not twin.embed.weight
            parameter.copy_(weight.T if is_kernel else weight)
    assert len(weights) == len(list(twin.parameters()))
    tokens = random.integers(1, TORCH["VOCABULARY"], size=(3, 9))
    tokens[0, 5:] = 0
    found = np.asarray(model(tokens.astype("int32")))
    expected = twin(torch.tensor(tokens)).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # The mask makes the padded one what it is without its padding.
    alone = twin(torch.tensor(tokens[:1, :5])).detach().numpy()
    assert np.allclose(alone, expected[:1], atol=1e-5) == masked


@pytest.mark.parametrize("size", [1, 4, 64])
def test_the_share_of_padding_is_what_random_batches_have(size):
    lengths = TORCH["lengths_of"](512)
    random = np.random.default_rng(1)
    longest = [
        random.permutation(lengths).reshape(-1, size).max(axis=1).mean()
        for _ in range(300)
    ]
    expected = 100 * (1 - lengths.mean() / np.mean(longest))
    found = TORCH["random_padding"](lengths, size)
    assert found == pytest.approx(expected, abs=0.5)


def test_the_share_of_padding_of_sorted_batches_by_hand():
    # Two of three positions of the first, none of the last two are padding.
    lengths = np.array([1, 3, 5, 5])
    found = TORCH["sorted_padding"](lengths, 2)
    assert found == pytest.approx(100 * 2 / 16)
