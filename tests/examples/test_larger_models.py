"""The programs for a GPU do the same in both frameworks, and on a CPU stop.

Nothing measures them where there is no GPU, so that more is tested here.
"""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch

from _guide.project import programs

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples/larger_models"
PROGRAMS = {
    program.framework: program
    for program in programs(ROOT)
    if program.topic == "larger_models"
}


def names_of(framework):
    """All that a short run has before it trains."""
    text = PROGRAMS[framework].expanded(short=True)
    names = {}
    exec(text.split("# ## Train\n")[0], names)
    return names


def functions_of(*functions, **more):
    """Functions of the problem, over the names given."""
    text = (FOLDER / "larger_models_problem.py").read_text("utf-8")
    names = {"np": np} | more
    for function in functions:
        start = text.index(f"def {function}(")
        body = text[start:].split("\n\n\n")[0].split("\n# %%")[0]
        exec(body, names)
    return names


@pytest.fixture(scope="module")
def both():
    return names_of("keras"), names_of("torch")


def copy_transformer(model, twin):
    by_kind = {}
    for layer in model.layers:
        weights = [torch.tensor(each) for each in layer.get_weights()]
        by_kind.setdefault(type(layer).__name__, []).append(weights)
    characters, positions = by_kind["EmbedCharacters"][0]
    twin.embed.weight.copy_(characters)
    twin.positions.copy_(positions)
    *norms, last_norm = by_kind["LayerNormalization"]
    *dense, head = by_kind["Dense"]

    def copy_pair(module, weights):
        weight, bias = weights
        module.weight.copy_(weight.T if weight.dim() > 1 else weight)
        module.bias.copy_(bias)

    for number, block in enumerate(twin.blocks.layers):
        copy_pair(block.norm1, norms[2 * number])
        copy_pair(block.norm2, norms[2 * number + 1])
        copy_pair(block.linear1, dense[2 * number])
        copy_pair(block.linear2, dense[2 * number + 1])
        *inward, kernel, bias = by_kind["MultiHeadAttention"][number]
        width = len(bias)
        attention = block.self_attn
        attention.in_proj_weight.copy_(
            torch.cat([each.reshape(width, width).T for each in inward[::2]])
        )
        attention.in_proj_bias.copy_(
            torch.cat([each.reshape(width) for each in inward[1::2]])
        )
        attention.out_proj.weight.copy_(kernel.reshape(width, width).T)
        attention.out_proj.bias.copy_(bias)
    copy_pair(twin.blocks.norm, last_norm)
    copy_pair(twin.head, head)


def copy_cnn(model, twin):
    for parameter, weight in zip(twin.parameters(), model.get_weights()):
        parameter.copy_(torch.tensor(weight.T))


def test_both_draw_the_same_data(both):
    for key, parts in both[0]["data"].items():
        assert both[0]["targets"][key] == both[1]["targets"][key]
        for part, arrays in parts.items():
            for one, other in zip(arrays, both[1]["data"][key][part]):
                np.testing.assert_array_equal(one, other)


def test_the_transformers_begin_alike(both):
    # Biases and norms as well, of which frameworks have their own ideas.
    spreads = []
    for names in both:
        model = names["build_transformer"](3)
        weights = (
            model.get_weights()
            if hasattr(model, "get_weights")
            else [each.detach().numpy() for each in model.parameters()]
        )
        drawn = np.concatenate([each.ravel() for each in weights])
        spreads.append((len(drawn), (drawn == 0).sum(), (drawn == 1).sum()))
        rest = drawn[(drawn != 0) & (drawn != 1)]
        assert rest.std() == pytest.approx(names["INITIAL_SPREAD"], rel=0.05)
    assert spreads[0] == spreads[1]


@pytest.mark.parametrize(
    ("name", "copy"), [("transformer", copy_transformer), ("cnn", copy_cnn)]
)
@pytest.mark.parametrize("batch_size", [32, 64])
def test_updates_from_the_same_weights_are_the_same(
    both, name, copy, batch_size
):
    # The larger batch is accumulated from two.
    assert both[0]["MICRO_BATCH_SIZE"] == 32
    pair = [names["Training"](name, batch_size) for names in both]
    seed = both[0]["SEEDS"][0]
    # A run before leaves nothing behind.
    pair[0].start(seed, 0.1)
    pair[0].update(np.arange(batch_size))
    for training in pair:
        training.start(seed, 0.01)
    with torch.no_grad():
        copy(pair[0].model, pair[1].model)
    losses = [[training.loss("test")] for training in pair]
    for update in range(3):
        batch = np.arange(batch_size) + update
        for training, found in zip(pair, losses):
            training.update(batch)
            found.append(training.loss("test"))
    np.testing.assert_allclose(*losses, rtol=3e-4)
    assert losses[0][0] != pytest.approx(losses[0][-1], rel=1e-3)


def test_keras_adam_squares_the_parts_of_a_looked_up_gradient():
    """Why the program has no look-up. Should Keras mend it, this fails.

    Then say so on the page.
    """
    layer = keras.layers.Embedding(2, 3, embeddings_initializer="zeros")
    model = keras.Sequential([keras.Input((4,), dtype="int32"), layer])
    optimizer = keras.optimizers.Adam(1.0, beta_1=0.0, beta_2=0.0)
    model.compile(
        optimizer, lambda _, outputs: keras.ops.sum(outputs, axis=(1, 2))
    )
    model.train_on_batch(np.zeros((1, 4), "int32"), np.zeros((1, 1)))
    # The gradient is 4, in four parts of 1: Adam should move by one.
    moved = -layer.get_weights()[0][0, 0]
    assert moved == pytest.approx(4 / np.sqrt(4 * 1.0**2), rel=1e-4)


def test_the_language_has_the_entropy_that_its_target_is_made_of(both):
    names = both[1]
    seed = names["SEEDS"][0]
    texts, target = names["draw_language"](seed)
    assert texts.shape[1] == names["TEXT_LENGTH"] + 1
    assert texts.min() >= 0 and texts.max() < names["VOCABULARY"]
    again, same = names["draw_language"](seed)
    assert same == target and (again == texts).all()
    assert (names["draw_language"](seed + 1)[0] != texts).any()


@pytest.mark.parametrize("best", [-3, 0, 2, 5])
def test_a_grid_grows_until_its_best_rate_lies_inside(best):
    names = functions_of("best_step", "next_step", RATE_STEPS=2, MORE_RATES=4)
    found, tried = {}, []
    while (step := names["next_step"](found)) is not None:
        updates = 100.0 * 2 ** abs(step - best)
        found[step] = {"validation": [updates, updates]}
        tried.append(step)
    assert tried[:5] == [0, -1, 1, -2, 2]
    assert names["best_step"](found) == best
    assert min(found) < best < max(found)
    assert len(found) <= 9


def test_a_rate_at_which_a_seed_fails_is_not_chosen():
    names = functions_of("best_step")
    found = {
        0: {"validation": [10.0, np.nan]},
        1: {"validation": [20.0, 30.0]},
    }
    assert names["best_step"](found) == 1
    assert names["best_step"]({0: found[0]}) is None


@pytest.mark.skipif(
    torch.cuda.is_available(), reason="because: it would run for minutes"
)
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_without_a_gpu_it_ends_at_once_and_says_why(framework):
    done = subprocess.run(
        [sys.executable, FOLDER / f"larger_models_{framework}.py"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "found no GPU" in done.stderr
    assert "set SHORT = True" in done.stderr
