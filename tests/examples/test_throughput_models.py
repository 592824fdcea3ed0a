"""The networks whose throughput is measured are the same in both frameworks.

And the formula that counts their operations agrees with PyTorch's counter.
"""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from _guide.project import programs

PROGRAMS = {
    program.framework: program
    for program in programs(Path(__file__).parents[2])
    if program.topic == "throughput"
}
WANTED = {
    "build_mlp",
    "build_mlp_torch",
    "build_cnn",
    "build_transformer",
    "Transformer",
    "count_operations",
    "loss_function",
}


def names_of(framework):
    """The program's settings, networks and formula; nothing is measured."""
    kept = []
    for node in ast.parse(PROGRAMS[framework].expanded()).body:
        name = getattr(node, "name", None)
        setting = isinstance(node, ast.Assign) and (
            getattr(node.targets[0], "id", "").isupper()
        )
        imports = isinstance(node, ast.Import | ast.ImportFrom)
        if imports or setting or name in WANTED:
            kept.append(node)
    names = {}
    exec(compile(ast.Module(kept, []), framework, "exec"), names)
    return names


KERAS, TORCH = names_of("keras"), names_of("torch")


def copy_cnn(model, twin):
    first, second, dense = (
        layer for layer in model.layers if layer.get_weights()
    )
    for layer, other in ((first, twin[0]), (second, twin[3])):
        kernel, bias = layer.get_weights()
        other.weight.copy_(torch.tensor(kernel.transpose(3, 2, 0, 1)))
        other.bias.copy_(torch.tensor(bias))
    kernel, bias = dense.get_weights()
    # Keras flattens height, width, channels; PyTorch channels first.
    side = TORCH["IMAGE_SIZE"] // 4
    kernel = kernel.reshape(side, side, -1, len(bias)).transpose(3, 2, 0, 1)
    twin[7].weight.copy_(torch.tensor(kernel.reshape(len(bias), -1)))
    twin[7].bias.copy_(torch.tensor(bias))


def copy_transformer(model, twin):
    by_kind = {}
    for layer in model.layers:
        weights = [torch.tensor(each) for each in layer.get_weights()]
        by_kind.setdefault(type(layer).__name__, []).append(weights)
    twin.embed.weight.copy_(by_kind["Embedding"][0][0])
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
        weights = by_kind["MultiHeadAttention"][number]
        *inward, kernel, bias = weights
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


def test_the_convolutional_networks_are_the_same():
    width = TORCH["WIDTHS"]["cnn"]
    model, twin = KERAS["build_cnn"](1, width), TORCH["build_cnn"](2, width)
    with torch.no_grad():
        copy_cnn(model, twin)
    side = TORCH["IMAGE_SIZE"]
    images = np.random.default_rng(0).normal(size=(3, side, side))
    images = images.astype("float32")
    expected = twin(torch.tensor(images[:, None])).detach().numpy()
    found = np.asarray(model(images[..., None]))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_transformers_are_the_same():
    width = TORCH["WIDTHS"]["transformer"]
    model = KERAS["build_transformer"](1, width)
    twin = TORCH["build_transformer"](2, width)
    # Away from zero and one, where biases and norms begin.
    random = np.random.default_rng(0)
    model.set_weights(
        [each + 0.1 * random.normal(size=each.shape) for each in model.weights]
    )
    with torch.no_grad():
        copy_transformer(model, twin)
    shape = (3, TORCH["TEXT_LENGTH"])
    tokens = random.integers(TORCH["VOCABULARY"], size=shape)
    expected = twin(torch.tensor(tokens)).detach().numpy()
    found = np.asarray(model(tokens.astype("int32")))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # No character sees those after it.
    changed = tokens.copy()
    changed[:, -1] = (changed[:, -1] + 1) % TORCH["VOCABULARY"]
    again = np.asarray(model(changed.astype("int32")))
    np.testing.assert_allclose(again[:, :-1], found[:, :-1], atol=1e-5)
    assert np.abs(again[:, -1] - found[:, -1]).max() > 1e-3


@pytest.mark.parametrize("name", ["mlp", "cnn", "transformer"])
def test_the_formula_counts_what_pytorch_counts(name):
    width = TORCH["WIDTHS"][name]
    model, batch_size = TORCH[f"build_{name}"](0, width), 4
    shapes = {
        "mlp": (TORCH["NUM_FEATURES"],),
        "cnn": (1, TORCH["IMAGE_SIZE"], TORCH["IMAGE_SIZE"]),
        "transformer": (TORCH["TEXT_LENGTH"],),
    }
    x = torch.zeros(batch_size, *shapes[name])
    labels = torch.zeros(batch_size, dtype=torch.long)
    if name == "transformer":
        x = labels = x.long()
    with FlopCounterMode(display=False) as counter:
        # As plain products, which the counter knows.
        with sdpa_kernel(SDPBackend.MATH):
            TORCH["loss_function"](model(x), labels).backward()
    counted = counter.get_total_flops()
    assert counted == batch_size * TORCH["count_operations"](name, width)
