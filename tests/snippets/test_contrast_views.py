import keras
import numpy as np
import pytest
import torch

from snippets.contrast_views_keras import contrast_views_keras
from snippets.contrast_views_torch import contrast_views_torch

LOSSES = [
    pytest.param(
        lambda first, second, temperature=0.5: np.asarray(
            contrast_views_keras(first, second, temperature)
        ),
        id="keras",
    ),
    pytest.param(
        lambda first, second, temperature=0.5: contrast_views_torch(
            torch.tensor(first), torch.tensor(second), temperature
        ).numpy(),
        id="torch",
    ),
]


def two_views(pairs=6, dimensions=5, batches=()):
    random = np.random.default_rng(0)
    shape = (2, *batches, pairs, dimensions)
    return random.normal(size=shape).astype("float32")


def by_the_definition(first, second, temperature):
    """The loss as it is written: one view after the other, in NumPy."""
    views = np.concatenate([first, second]).astype("float64")
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    pairs, losses = len(first), []
    for anchor in range(2 * pairs):
        partner = (anchor + pairs) % (2 * pairs)
        total = 0.0
        for other in range(2 * pairs):
            if other != anchor:
                total += np.exp(views[anchor] @ views[other] / temperature)
        agreement = np.exp(views[anchor] @ views[partner] / temperature)
        losses.append(-np.log(agreement / total))
    return np.mean(losses)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("pairs", [2, 6])
def test_the_loss_is_that_of_the_definition(loss, temperature, pairs):
    views = two_views(pairs)
    expected = by_the_definition(*views, temperature)
    assert loss(*views, temperature) == pytest.approx(expected, rel=1e-5)


def test_both_frameworks_give_the_same_loss_and_gradient():
    import tensorflow as tf

    views = two_views()
    tensors = [tf.constant(view) for view in views]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        loss = contrast_views_keras(*tensors, 0.3)
    gradients = tape.gradient(loss, tensors)
    twins = [torch.tensor(view, requires_grad=True) for view in views]
    twin_loss = contrast_views_torch(*twins, 0.3)
    twin_loss.backward()
    assert float(loss) == pytest.approx(twin_loss.item(), rel=1e-6)
    for gradient, twin in zip(gradients, twins):
        np.testing.assert_allclose(
            gradient.numpy(), twin.grad.numpy(), atol=1e-6
        )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("pairs", [2, 8, 64])
def test_alike_embeddings_give_the_loss_of_a_guess(loss, pairs):
    alike = np.ones((pairs, 3), "float32")
    chance = np.log(2 * pairs - 1)
    assert loss(alike, alike) == pytest.approx(chance, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_length_of_an_embedding_does_not_matter(loss):
    first, second = two_views()
    assert loss(7 * first, second) == pytest.approx(
        loss(first, second), rel=1e-5
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_batches_in_front_have_a_loss_each(loss):
    first, second = two_views(batches=(3, 2))
    found = loss(first, second)
    assert found.shape == (3, 2)
    for index in np.ndindex(3, 2):
        alone = loss(first[index], second[index])
        assert found[index] == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_mean_over_micro_batches_is_another_loss(loss):
    first, second = two_views(pairs=16)
    micro = loss(first.reshape(4, 4, -1), second.reshape(4, 4, -1))
    assert micro.mean() < loss(first, second) - 0.5


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "shapes, temperature, said",
    [
        ([(4, 3), (4, 2)], 0.5, "shapes"),
        ([(4,), (4,)], 0.5, "shapes"),
        ([(1, 3), (1, 3)], 0.5, "at least 2"),
        ([(0, 3), (0, 3)], 0.5, "at least 2"),
        ([(4, 3), (4, 3)], 0.0, "above 0"),
        ([(4, 3), (4, 3)], -1.0, "above 0"),
        ([(4, 3), (4, 3)], float("nan"), "above 0"),
        ([(4, 3), (4, 3)], float("inf"), "above 0"),
    ],
)
def test_bad_input_is_refused_with_the_reason(loss, shapes, temperature, said):
    first, second = (np.ones(shape, "float32") for shape in shapes)
    with pytest.raises(ValueError, match=said):
        loss(first, second, temperature)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_that_is_not_finite_is_refused(loss):
    first, second = two_views()
    first[2, 1] = np.nan
    with pytest.raises(ValueError, match="must be finite"):
        loss(first, second)


def test_the_keras_loss_can_be_compiled():
    import tensorflow as tf

    views = [tf.constant(view) for view in two_views()]
    compiled = tf.function(contrast_views_keras)
    assert float(compiled(*views)) == pytest.approx(
        float(contrast_views_keras(*views)), rel=1e-6
    )
    assert keras.ops.isfinite(compiled(*views))
