"""The Keras and the PyTorch program of a study do the same."""

import ast
import contextlib
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import nn

from _guide.project import DEVICES, is_generated, programs

ROOT = Path(__file__).parents[2]
PAIRS = [
    (program, twin)
    for program in programs(ROOT)
    for twin in programs(ROOT)
    if program.framework == "keras" and twin.path == program.twin
]
# Those that build a network of their own; the others take a snippet's.
BUILDING = [
    pair
    for pair in PAIRS
    if all("def build_model(seed):" in program.text for program in pair)
    and not any("import build_mlp_" in program.text for program in pair)
]
# A pair that needs a GPU may not be measured yet; that nothing else is
# missing, `guide check` sees to.
MEASURED = [
    (pair, device)
    for pair in PAIRS
    for device in DEVICES
    if all(program.committed(device).is_file() for program in pair)
]
each_measured = pytest.mark.parametrize(
    ("pair", "device"),
    MEASURED,
    ids=[f"{pair[0].topic}.{device}" for pair, device in MEASURED],
)


def functions_of(program, *names):
    """Run the program's settings and the named functions, nothing else."""
    namespace = {}
    for node in ast.parse(program.expanded()).body:
        imports = isinstance(node, ast.Import | ast.ImportFrom)
        setting = isinstance(node, ast.Assign) and (
            getattr(node.targets[0], "id", "").isupper()
        )
        function = isinstance(node, ast.FunctionDef) and node.name in names
        if imports or setting or function:
            module = ast.Module(body=[node], type_ignores=[])
            # What is set from something that ran is no part of a network.
            with contextlib.suppress(NameError):
                exec(compile(module, program.where, "exec"), namespace)
    return namespace


@pytest.mark.parametrize("pair", BUILDING, ids=lambda pair: pair[0].topic)
def test_same_weights_and_batch_give_the_same_loss_and_gradient(pair):
    keras_names = functions_of(pair[0], "build_model")
    torch_names = functions_of(pair[1], "build_model")
    model = keras_names["build_model"](7)
    twin = torch_names["build_model"](8).double()
    weights = [np.asarray(w, dtype="float64") for w in model.get_weights()]
    with torch.no_grad():
        for parameter, weight in zip(twin.parameters(), weights):
            assert parameter.shape == weight.T.shape
            parameter.copy_(torch.tensor(weight.T))
    random = np.random.default_rng(3)
    x = random.normal(size=(5, model.input_shape[1])).astype("float32")
    classes = model.output_shape[1]
    y = random.integers(max(2, classes), size=5)

    import tensorflow as tf

    with tf.GradientTape() as tape:
        outputs = model(x)
        if classes == 1:
            loss = keras.losses.BinaryCrossentropy(from_logits=True)(
                y[:, None].astype("float32"), outputs
            )
        else:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
                y, outputs
            )
    gradients = tape.gradient(loss, model.trainable_variables)
    outputs = twin(torch.tensor(x).double())
    if classes == 1:
        twin_loss = nn.functional.binary_cross_entropy_with_logits(
            outputs[:, 0], torch.tensor(y).double()
        )
    else:
        twin_loss = nn.functional.cross_entropy(outputs, torch.tensor(y))
    twin_loss.backward()
    assert float(loss) == pytest.approx(twin_loss.item(), rel=1e-5)
    for gradient, parameter in zip(gradients, twin.parameters()):
        np.testing.assert_allclose(
            np.asarray(gradient), parameter.grad.numpy().T, atol=1e-6
        )


@pytest.mark.parametrize("pair", BUILDING, ids=lambda pair: pair[0].topic)
def test_initial_weights_come_from_the_same_distribution(pair):
    built = [
        functions_of(program, "build_model")["build_model"] for program in pair
    ]
    # Built once for all layers: a deep network takes long to build.
    keras_models = [built[0](s).get_weights() for s in range(20)]
    torch_models = [list(built[1](s).parameters()) for s in range(20)]
    for layer in range(len(keras_models[0])):
        keras_draws = np.concatenate(
            [weights[layer].ravel() for weights in keras_models]
        )
        torch_draws = np.concatenate(
            [
                weights[layer].detach().numpy().ravel()
                for weights in torch_models
            ]
        )
        # Uniform draws: the same ends and the same spread.
        assert keras_draws.std() == pytest.approx(torch_draws.std(), rel=0.15)
        assert np.abs(keras_draws).max() == pytest.approx(
            np.abs(torch_draws).max(), rel=0.05
        )


WITHOUT_EPOCHS = {
    "feeding_the_device",
    "gradient_noise",
    "inference",
    "memory",
    "throughput",
}


@each_measured
def test_both_make_the_same_number_of_updates_per_epoch(pair, device):
    counted = []
    for program in pair:
        result = json.loads(program.committed(device).read_text())
        counted.append(
            {
                key: entry["value"]
                for key, entry in result["values"].items()
                if key.startswith("updates_per_epoch.")
            }
        )
    assert counted[0] == counted[1]
    # Most train by epochs; what the others measure does not depend on them.
    assert counted[0] or pair[0].topic in WITHOUT_EPOCHS


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].topic)
def test_programs_of_a_pair_share_problem_and_findings(pair):
    shared = [
        [each for each in program.imported if each.kind != "snippet"]
        for program in pair
    ]
    assert shared[0] == shared[1]
    assert sorted(each.kind for each in shared[0]) == ["findings", "problem"]


def test_seeded_keras_fit_on_arrays_repeats_its_order():
    """Why the studies shuffle for themselves, as test_train_replicas holds.

    Should Keras mend this, the first half fails: then say so on the page.
    """
    seen = []

    class Spy(keras.layers.Layer):
        def call(self, inputs):
            seen.extend(np.asarray(inputs)[:, 0].astype(int).tolist())
            return inputs

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), Spy(), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.arange(16, dtype="float32")[:, None]
    seen.clear()
    model.fit(x, 0 * x, batch_size=4, epochs=2, verbose=0)
    first, second = seen[:16], seen[16:32]
    assert sorted(first) == sorted(second) == list(range(16))
    assert first != list(range(16)), "the order was not shuffled at all"
    assert first == second


@each_measured
def test_a_judgement_that_differs_is_reported_on_the_page(pair, device):
    found = [
        json.loads(program.committed(device).read_text())["judgements"]
        for program in pair
    ]
    # The page need not be named after the topic.
    text = "".join(
        page.read_text()
        for page in (ROOT / "docs").rglob("*.md")
        if not is_generated(page.relative_to(ROOT).as_posix())
    )
    for key, judgement in found[0].items():
        if judgement["holds"] != found[1][key]["holds"]:
            bound = [f'"{program.name}.{device}:{key}"' for program in pair]
            assert any(each in text for each in bound), (
                f"{key} differs, unreported"
            )
