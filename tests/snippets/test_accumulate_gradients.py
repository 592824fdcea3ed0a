"""An update from micro-batches, against that of the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import nn

from snippets.accumulate_gradients_keras import accumulate_gradients_keras
from snippets.accumulate_gradients_torch import accumulate_gradients_torch

NUM_EXAMPLES, NUM_TOKENS, NUM_FEATURES, NUM_CLASSES = 10, 5, 3, 4


def data(tokens=False):
    random = np.random.default_rng(1)
    shape = (NUM_EXAMPLES, NUM_TOKENS) if tokens else (NUM_EXAMPLES,)
    x = random.normal(size=(*shape, NUM_FEATURES))
    return x, random.integers(NUM_CLASSES, size=shape)


class KerasCase:
    accumulate = staticmethod(accumulate_gradients_keras)

    def __init__(self, tokens=False, frozen=False):
        keras.utils.set_random_seed(0)
        shape = (None, NUM_FEATURES) if tokens else (NUM_FEATURES,)
        layers = [
            keras.layers.Dense(6, "tanh", dtype="float64"),
            keras.layers.Dense(NUM_CLASSES, dtype="float64"),
        ]
        inputs = keras.Input(shape, dtype="float64")
        self.model = keras.Sequential([inputs, *layers])
        self.model.trainable = not frozen
        self.optimizer = keras.optimizers.SGD(1.0)
        self.loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction=None, dtype="float64"
        )
        self.averaged = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, dtype="float64"
        )

    def weights(self):
        return np.concatenate([w.ravel() for w in self.model.get_weights()])


class TorchCase:
    accumulate = staticmethod(accumulate_gradients_torch)

    def __init__(self, tokens=False, frozen=False):
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(NUM_FEATURES, 6), nn.Tanh(), nn.Linear(6, NUM_CLASSES)
        ).double()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1.0)
        self.model.requires_grad_(not frozen)

        def loss(outputs, labels):
            # PyTorch wants the classes second.
            return nn.functional.cross_entropy(
                outputs.movedim(-1, 1), labels, reduction="none"
            )

        self.loss = loss
        self.averaged = nn.CrossEntropyLoss()

    def weights(self):
        flat = nn.utils.parameters_to_vector(self.model.parameters())
        return flat.detach().numpy().copy()


each_framework = pytest.mark.parametrize(
    "build", [KerasCase, TorchCase], ids=["keras", "torch"]
)


def update(build, micro_batch_size, weights=None, tokens=False):
    """(loss, the gradient) of one update with a learning rate of one."""
    case = build(tokens)
    before = case.weights()
    loss = case.accumulate(
        case.model,
        case.loss,
        case.optimizer,
        *data(tokens),
        micro_batch_size,
        weights,
    )
    return loss, before - case.weights()


def plain_gradient(weights, tokens):
    """The gradient of the weighted mean loss, by hand in PyTorch."""
    case = TorchCase()
    x, y = (torch.tensor(part) for part in data(tokens))
    losses = case.loss(case.model(x), y)
    loss = (losses * torch.tensor(weights)).sum() / weights.sum()
    loss.backward()
    gradients = [each.grad.flatten() for each in case.model.parameters()]
    return loss.item(), torch.cat(gradients).numpy()


@each_framework
@pytest.mark.parametrize("micro_batch_size", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("tokens", [False, True])
def test_micro_batches_of_any_size_equal_the_batch(
    build, micro_batch_size, tokens
):
    loss, whole = update(build, NUM_EXAMPLES, tokens=tokens)
    part_loss, parted = update(build, micro_batch_size, tokens=tokens)
    assert part_loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(parted, whole, atol=1e-13)
    assert np.abs(whole).max() > 0.01


def masks():
    """Very different numbers of tokens, and an example without any."""
    lengths = np.array([1, 5, 0, 2, 5, 5, 1, 1, 3, 4])
    return (np.arange(NUM_TOKENS) < lengths[:, None]).astype("float64")


@pytest.mark.parametrize("micro_batch_size", [1, 3, 10])
@pytest.mark.parametrize("tokens", [False, True])
def test_weights_count_as_they_should(micro_batch_size, tokens):
    weights = masks() if tokens else masks().sum(axis=1)
    loss, gradient = plain_gradient(weights, tokens)
    found, torch_gradient = update(TorchCase, micro_batch_size, weights, tokens)
    assert found == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(torch_gradient, gradient, atol=1e-13)


@each_framework
def test_weights_of_any_type_and_scale_give_the_same(build):
    loss, whole = update(build, NUM_EXAMPLES, masks(), tokens=True)
    for weights in (masks().astype(bool), masks().astype(int), 7 * masks()):
        found, parted = update(build, 3, weights, tokens=True)
        assert found == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(parted, whole, atol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
def test_both_frameworks_make_the_same_update(weighted):
    left, right = KerasCase(), TorchCase()
    with torch.no_grad():
        for parameter, weight in zip(
            right.model.parameters(), left.model.get_weights()
        ):
            parameter.copy_(torch.tensor(weight.T))
    weights = masks().sum(axis=1) if weighted else None
    losses = [
        case.accumulate(
            case.model, case.loss, case.optimizer, *data(), 4, weights
        )
        for case in (left, right)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    for parameter, weight in zip(
        right.model.parameters(), left.model.get_weights()
    ):
        found = parameter.detach().numpy().T
        np.testing.assert_allclose(found, weight, atol=1e-13)


def test_torch_forgets_gradients_that_were_left():
    expected = update(TorchCase, 3)[1]
    case = TorchCase()
    x, y = data()
    case.averaged(case.model(torch.tensor(x)), torch.tensor(y)).backward()
    before = case.weights()
    case.accumulate(case.model, case.loss, case.optimizer, x, y, 3)
    np.testing.assert_allclose(before - case.weights(), expected, atol=1e-13)
    assert all(each.grad is None for each in case.model.parameters())


def test_keras_counts_regularisers_once():
    gradients = []
    for micro_batch_size in (NUM_EXAMPLES, 3):
        case = KerasCase()
        # That of a layer is read only when the layer is built.
        case.model.layers[0].kernel.regularizer = keras.regularizers.L2(0.1)
        before = case.weights()
        case.accumulate(
            case.model, case.loss, case.optimizer, *data(), micro_batch_size
        )
        gradients.append(before - case.weights())
    np.testing.assert_allclose(*gradients, atol=1e-13)
    assert np.abs(gradients[0] - update(KerasCase, 3)[1]).max() > 0.01


@pytest.mark.parametrize("micro_batch_size", [1, 2, 4])
def test_keras_adds_up_the_parts_of_an_embedding(micro_batch_size):
    table = keras.layers.Embedding(2, 1, embeddings_initializer="zeros")
    model = keras.Sequential([keras.Input((), dtype="int32"), table])
    accumulate_gradients_keras(
        model,
        lambda labels, outputs: outputs[:, 0],
        keras.optimizers.Adam(0.1),
        np.zeros(4, dtype="int32"),
        np.zeros(4),
        micro_batch_size,
    )
    # One learning rate, as Adam's first update should.
    np.testing.assert_allclose(
        table.get_weights()[0], [[-0.1], [0.0]], rtol=1e-4
    )


def test_keras_leaves_alone_what_has_no_gradient():
    inputs = keras.Input((NUM_FEATURES,), dtype="float64")
    unused = keras.layers.Dense(2, dtype="float64")
    used = keras.layers.Dense(NUM_CLASSES, dtype="float64")
    both = keras.Model(inputs, [used(inputs), unused(inputs)])
    before = unused.get_weights()
    case = KerasCase()
    accumulate_gradients_keras(
        both,
        lambda labels, outputs: case.loss(labels, outputs[0]),
        case.optimizer,
        *data(),
        3,
    )
    for weight, kept in zip(unused.get_weights(), before):
        np.testing.assert_array_equal(weight, kept)


ON_TORCH = """\
import sys
sys.path.insert(0, {root!r})
sys.path.insert(0, {tests!r})
import keras
assert keras.backend.backend() == "torch"
from test_accumulate_gradients import KerasCase, masks, update
loss, gradient = update(KerasCase, 3, masks(), tokens=True)
whole_loss, whole = update(KerasCase, 10, masks(), tokens=True)
assert abs(loss - whole_loss) < 1e-12
# Keras multiplies matrices of float64 in float32 there.
assert abs(gradient - whole).max() < 1e-6 < 0.01 < abs(whole).max()
"""


def test_keras_on_the_torch_backend_is_equal_too(tmp_path):
    here = Path(__file__)
    code = ON_TORCH.format(root=str(here.parents[2]), tests=str(here.parent))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def bad(change):
    """Arguments with one of them wrong."""
    x, y = data()
    nan = np.full(NUM_EXAMPLES, np.nan)
    minus = np.where(np.arange(NUM_EXAMPLES) == 0, -1.0, 1.0)
    return {
        "empty": (x[:0], y[:0], 2),
        "zero": (x, y, 0),
        "negative": (x, y, -1),
        "lengths": (x, y[1:], 2),
        "nan": (x * np.nan, y, 2),
        "last_nan": (np.concatenate([x[1:], x[:1] * np.nan]), y, 2),
        "weights_length": (x, y, 2, np.ones(3)),
        "weights_shape": (x, y, 2, np.ones((NUM_EXAMPLES, 1))),
        "weights_zero": (x, y, 2, np.zeros(NUM_EXAMPLES)),
        "weights_nan": (x, y, 2, nan),
        "weights_minus": (x, y, 2, minus),
    }[change]


SAID = {
    "empty": "the batch has 0 examples; at least 1",
    "zero": "micro_batch_size=0 must be at least 1",
    "negative": "micro_batch_size=-1 must be at least 1",
    "lengths": "x has 10 examples, but y has 9 labels",
    "nan": "the loss is nan; it must be finite",
    "last_nan": "the loss is nan; it must be finite",
    "weights_length": "x has 10 examples, but weights has 3",
    "weights_shape": r"shape \(2,\), but their weights \(2, 1\)",
    "weights_zero": "the weights sum to 0.0; each must be 0 or more",
    "weights_nan": "the weights sum to nan",
    "weights_minus": "the weights sum to 8.0; each must be 0 or more",
}


@each_framework
@pytest.mark.parametrize("change", SAID)
def test_bad_input_is_refused_and_changes_no_weight(build, change):
    case = build()
    before = case.weights()
    with pytest.raises(ValueError, match=SAID[change]):
        case.accumulate(case.model, case.loss, case.optimizer, *bad(change))
    np.testing.assert_array_equal(case.weights(), before)
    if build is TorchCase:
        assert all(each.grad is None for each in case.model.parameters())


@each_framework
def test_an_averaged_loss_is_refused(build):
    case = build()
    with pytest.raises(ValueError, match="give that of each example"):
        case.accumulate(case.model, case.averaged, case.optimizer, *data(), 2)


@each_framework
def test_a_model_without_parameters_is_refused(build):
    case = build(frozen=True)
    with pytest.raises(ValueError, match="0 trainable parameters; at least 1"):
        case.accumulate(case.model, case.loss, case.optimizer, *data(), 2)


def test_a_keras_optimizer_that_accumulates_itself_is_refused():
    case = KerasCase()
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
    with pytest.raises(ValueError, match="gradient_accumulation_steps=2"):
        case.accumulate(case.model, case.loss, optimizer, *data(), 2)
