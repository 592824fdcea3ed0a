# %% [markdown]
# # What a batch is: counts, orders and three kinds of descent (PyTorch)
#
# Counts the updates that PyTorch makes, weighs the last partial batch, and
# trains one network by single examples, by mini-batches and on all data.
#
# - Install: `pip install torch scikit-learn scipy matplotlib`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from snippets.count_updates import count_updates
from snippets.mean_interval import mean_interval

# Rates that diverge on purpose would otherwise be slow to multiply.
torch.set_flush_denormal(True)

# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
SHORT = False

# Cases to count: examples, batch size, epochs.
COUNTED = [
    (1600, 32, 1),
    (1600, 256, 1),
    (1600, 1024, 1),
    (1600, 1600, 1),
    (5000, 32, 1),
    (10000, 32, 1),
    (10000, 64, 1),
    (10000, 1024, 1),
    (1000, 512, 1),
    (1000, 32, 5),
    (20, 32, 1),
]
# The same, with the last partial batch left out.
DROPPED = [(1600, 256, 1), (1000, 512, 1), (20, 32, 1)]
# Examples, batch size and epochs for data whose length is not known.
STREAMED = (20, 8, 3)
# A batch size that leaves one example over, for what is printed as the loss.
LEFT_OVER_EXAMPLES = 1025
LEFT_OVER_BATCH_SIZE = 256
NUM_SHUFFLES = 3 if SHORT else 40
ORDER_EXAMPLES = 100
ORDER_BATCH_SIZE = 25
ORDER_EPOCHS = 5

BATCH_SIZES = [1, 32, 1000]
REFERENCE_BATCH_SIZE = 32
NUM_TRAIN = 1000
NUM_VALIDATION = 300
SPLIT_SEED = 1
NUM_FEATURES = 64
NUM_CLASSES = 10
HIDDEN_UNITS = 32
LEARNING_RATES = [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6]
# How long each size trains; enough for the target at its best rate.
NUM_UPDATES = (
    {1: 100, 32: 64, 1000: 50} if SHORT else {1: 4000, 32: 960, 1000: 250}
)
# Share of the examples; the first look that reaches it counts.
TARGET_ACCURACY = 0.9
ORDERS = ["reshuffled", "fixed", "sorted"]
# The first two once more, without the last partial batch.
WHOLE_ORDERS = ["reshuffled_whole", "fixed_whole"]
ORDER_STUDY_EPOCHS = 3 if SHORT else 30
# For the noise from epoch to epoch; far from where training diverges.
ORDER_LEARNING_RATE = 0.2
ORDER_LAST_EPOCHS = 2 if SHORT else 10
# "No difference" is less than this, in percentage points. Set beforehand.
MARGIN_POINTS = 1.0
# "Less noisy" is by more than this factor. Set beforehand.
MARGIN_FACTOR = 2.0
NUM_LOOKS = 5 if SHORT else 60
NUM_SEEDS = 3 if SHORT else 20
FIRST_SEED = 500
# Epochs in one timing of each size, so that none is too short to time.
TIMED_EPOCHS = {1: 1, 32: 1, 1000: 1} if SHORT else {1: 1, 32: 4, 1000: 20}
TIMED_REPEATS = 2 if SHORT else 10

# %% [markdown]
# ## Look at the order of examples
#
# Each example is its own number, so that what a batch holds can be read off.


# %%
def orders_seen(loader):
    return [
        [int(number) for (batch,) in loader for number in batch]
        for _ in range(ORDER_EPOCHS)
    ]


numbers = TensorDataset(torch.arange(ORDER_EXAMPLES))
options = {"batch_size": ORDER_BATCH_SIZE, "shuffle": True}
orders = {"unseeded": orders_seen(DataLoader(numbers, **options))}
torch.manual_seed(FIRST_SEED)
orders["seeded"] = orders_seen(DataLoader(numbers, **options))
orders["own_shuffle"] = orders_seen(
    DataLoader(
        numbers, generator=torch.Generator().manual_seed(FIRST_SEED), **options
    )
)

# %% [markdown]
# ## Count updates
#
# Counted while a plain loop runs, not calculated. Adam counts its own steps
# as well; the two are compared where the length of the data is not known.


# %%
def plain_loop(loader, num_epochs):
    """Train a tiny model, and count what happens meanwhile."""
    torch.manual_seed(FIRST_SEED)
    model = nn.Linear(1, 1)
    before = model.weight.item()
    optimizer = torch.optim.Adam(model.parameters())
    sizes = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(num_epochs):
            for (inputs,) in loader:
                optimizer.zero_grad()
                (model(inputs) - 1).square().mean().backward()
                optimizer.step()
                sizes.append(len(inputs))
    state = optimizer.state.get(model.weight, {"step": 0})
    return {
        "updates": len(sizes),
        "examples_seen": sum(sizes),
        "last_batch_size": sizes[-1] if sizes else 0,
        "own_count": int(state["step"]),
        "warned": any("ran out of data" in str(w.message) for w in caught),
        "weights_changed": model.weight.item() != before,
    }


def run_case(examples, batch_size, num_epochs, drop_last):
    data = TensorDataset(torch.ones(examples, 1))
    loader = DataLoader(
        data, batch_size=batch_size, shuffle=True, drop_last=drop_last
    )
    return plain_loop(loader, num_epochs)


class Stream(IterableDataset):
    """Examples that come one by one; nobody knows how many."""

    def __iter__(self):
        for _ in range(STREAMED[0]):
            yield (torch.ones(1),)


counted = {case: run_case(*case, drop_last=False) for case in COUNTED}
dropped = {case: run_case(*case, drop_last=True) for case in DROPPED}
streamed = plain_loop(DataLoader(Stream(), batch_size=STREAMED[1]), STREAMED[2])

# %% [markdown]
# ## Data and network
#
# Handwritten digits, `8` by `8` pixels, split once for all runs.

# %%
x, y = load_digits(return_X_y=True)
shuffled = np.random.default_rng(SPLIT_SEED).permutation(len(x))
x, y = (x / 16).astype("float32")[shuffled], y.astype("int32")[shuffled]
validation = slice(NUM_TRAIN, NUM_TRAIN + NUM_VALIDATION)
test = slice(NUM_TRAIN + NUM_VALIDATION, None)
x_train, y_train = x[:NUM_TRAIN], y[:NUM_TRAIN]


def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, NUM_CLASSES),
    )
    # The initial weights that Keras draws; PyTorch's own are smaller.
    nn.init.kaiming_uniform_(
        model[0].weight, nonlinearity="relu", generator=random
    )
    nn.init.xavier_uniform_(model[2].weight, generator=random)
    nn.init.zeros_(model[0].bias)
    nn.init.zeros_(model[2].bias)
    return model


# %% [markdown]
# ## Weigh the last partial batch
#
# The gradient of the loss at an example's input shows how much the example
# counts in its batch: nothing else in the batch reaches that input.


# %%
def input_gradients(examples):
    """Size of the gradient at each example's input, in float64."""
    model = build_model(FIRST_SEED).double()
    inputs = torch.tensor(x_train[examples]).double().requires_grad_()
    labels = torch.tensor(y_train[examples]).long()
    nn.functional.cross_entropy(model(inputs), labels).backward()
    return inputs.grad.norm(dim=1).numpy()


left_over = NUM_TRAIN % REFERENCE_BATCH_SIZE
partial_weights = (
    input_gradients(np.arange(left_over))
    / input_gradients(np.arange(REFERENCE_BATCH_SIZE))[:left_over]
)

# %% [markdown]
# ## Compare the loss of an epoch with what is printed
#
# At a rate of zero the weights stay, so that only the averaging can differ.
# The usual loop prints the sum of the batch losses over their number.

# %%
model = build_model(FIRST_SEED)
true_loss, batch_losses, usual_loss = [], [], []
with torch.no_grad():
    for shuffle in range(NUM_SHUFFLES):
        random = np.random.default_rng([FIRST_SEED, shuffle])
        chosen = random.permutation(len(x))[:LEFT_OVER_EXAMPLES]
        inputs = torch.tensor(x[chosen])
        labels = torch.tensor(y[chosen]).long()
        loader = DataLoader(
            TensorDataset(inputs, labels), batch_size=LEFT_OVER_BATCH_SIZE
        )
        each = [
            nn.functional.cross_entropy(model(batch), target).item()
            for batch, target in loader
        ]
        true_loss.append(
            nn.functional.cross_entropy(model(inputs), labels).item()
        )
        batch_losses.append(each)
        usual_loss.append(sum(each) / len(loader))

# %% [markdown]
# ## Take the gradient of all examples
#
# Over the same examples in another order, and over two sets that share no
# example. In float64.


# %%
def full_gradient(seed, examples):
    model = build_model(seed).double()
    outputs = model(torch.tensor(x_train[examples]).double())
    labels = torch.tensor(y_train[examples]).long()
    nn.functional.cross_entropy(outputs, labels).backward()
    return np.concatenate(
        [parameter.grad.numpy().ravel() for parameter in model.parameters()]
    )


def relative_distance(one, other):
    return np.linalg.norm(one - other) / np.linalg.norm(one)


distance_reordered, distance_disjoint = [], []
for number in range(NUM_SEEDS):
    seed = FIRST_SEED + number
    everything = np.random.default_rng(seed).permutation(NUM_TRAIN)
    distance_reordered.append(
        relative_distance(
            full_gradient(seed, np.arange(NUM_TRAIN)),
            full_gradient(seed, everything),
        )
    )
    distance_disjoint.append(
        relative_distance(
            full_gradient(seed, everything[: NUM_TRAIN // 2]),
            full_gradient(seed, everything[NUM_TRAIN // 2 :]),
        )
    )

# %% [markdown]
# ## Time an epoch
#
# The plain loop, as a reader would write it, in processor time. The first
# turn only warms up and counts; then the sizes take turns.


# %%
class PlainTraining:
    def __init__(self, batch_size):
        self.model = build_model(FIRST_SEED)
        self.loader = DataLoader(
            TensorDataset(torch.tensor(x_train), torch.tensor(y_train).long()),
            batch_size=batch_size,
            shuffle=True,
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)
        self.loss = nn.CrossEntropyLoss()
        self.num_epochs = TIMED_EPOCHS[batch_size]

    def run(self):
        updates = 0
        for _ in range(self.num_epochs):
            for inputs, labels in self.loader:
                self.optimizer.zero_grad()
                self.loss(self.model(inputs), labels).backward()
                self.optimizer.step()
                updates += 1
        return updates // self.num_epochs


plain = {batch_size: PlainTraining(batch_size) for batch_size in BATCH_SIZES}
updates_per_epoch = {size: plain[size].run() for size in BATCH_SIZES}
epoch_seconds = {batch_size: [] for batch_size in BATCH_SIZES}
for _ in range(TIMED_REPEATS):
    for batch_size in BATCH_SIZES:
        start = time.process_time()
        plain[batch_size].run()
        seconds = time.process_time() - start
        epoch_seconds[batch_size].append(seconds / TIMED_EPOCHS[batch_size])
epoch_seconds = {size: np.array(t) for size, t in epoch_seconds.items()}
print("updates per epoch:", updates_per_epoch)

# %% [markdown]
# ## Train
#
# Plain descent, `w -= learning_rate * gradient`. The weights of all seeds at
# all rates are stacked, and one matrix product serves all of them.

# %%
seeds = FIRST_SEED + np.arange(NUM_SEEDS)
NUM_REPLICAS = len(LEARNING_RATES) * NUM_SEEDS


def train(batch_size, checkpoints, order_of):
    """Loss and accuracy on the data that were not trained on.

    checkpoints: numbers of updates after which to look; rising.
    order_of: from the number of an epoch to the order, [seeds, examples].
    Returns {"loss", "accuracy"} of [checkpoints, rates, seeds, part], where
    the parts are validation and test.
    """
    models = [build_model(int(seed)) for seed in seeds]
    stacked = [
        torch.stack(weights)
        .detach()
        .repeat(len(LEARNING_RATES), *[1] * weights[0].dim())
        .requires_grad_()
        for weights in zip(*(model.parameters() for model in models))
    ]
    rates = torch.tensor(np.repeat(LEARNING_RATES, NUM_SEEDS)).float()
    inputs, labels = torch.tensor(x_train), torch.tensor(y_train).long()
    x_check = torch.tensor(x[NUM_TRAIN:]).expand(NUM_REPLICAS, -1, -1)
    y_check = torch.tensor(y[NUM_TRAIN:]).long().expand(NUM_REPLICAS, -1)

    def predict(batch):
        kernel, bias, last_kernel, last_bias = stacked
        hidden = torch.baddbmm(bias[:, :, None], kernel, batch.mT).relu()
        return torch.baddbmm(last_bias[:, :, None], last_kernel, hidden)

    def losses(outputs, target):
        return nn.functional.cross_entropy(outputs, target, reduction="none")

    history = {"loss": [], "accuracy": []}
    examples_per_epoch = order_of(0).shape[1]
    position, epoch = examples_per_epoch, 0
    for update in range(1, checkpoints[-1] + 1):
        if position >= examples_per_epoch:
            order = np.tile(order_of(epoch), (len(LEARNING_RATES), 1))
            order = torch.from_numpy(order)
            position, epoch = 0, epoch + 1
        batch = order[:, position : position + batch_size]
        position += batch_size
        # Each model's own mean; a sum over models keeps their gradients apart.
        loss = losses(predict(inputs[batch]), labels[batch]).mean(1).sum()
        gradients = torch.autograd.grad(loss, stacked)
        with torch.no_grad():
            for weight, gradient in zip(stacked, gradients):
                shape = (-1, *[1] * (weight.dim() - 1))
                weight.sub_(rates.view(shape) * gradient)
        if update == checkpoints[len(history["loss"])]:
            with torch.no_grad():
                outputs = predict(x_check)
                each = losses(outputs, y_check)
                right = (outputs.argmax(1) == y_check).float()
            for name, found in (("loss", each), ("accuracy", right)):
                history[name].append(by_part(found.numpy()))
    return {name: np.stack(rows) for name, rows in history.items()}


def by_part(found):
    """Means over the validation and over the test examples."""
    found = found.reshape(len(LEARNING_RATES), NUM_SEEDS, -1)
    parts = np.split(found, [NUM_VALIDATION], axis=2)
    return np.stack([part.mean(axis=2) for part in parts], axis=2)


def order_rule(rule):
    """New in every epoch, the same shuffle in every epoch, or by class.

    "whole" leaves the last examples of an order out, if they are too few for
    a batch of the reference size.
    """
    in_order = np.tile(np.arange(NUM_TRAIN), (NUM_SEEDS, 1))
    by_class = np.argsort(y_train, kind="stable")

    def order_of(epoch):
        if rule == "sorted":
            return np.tile(by_class, (NUM_SEEDS, 1))
        random = np.random.default_rng(
            [FIRST_SEED, 0 if "fixed" in rule else epoch]
        )
        order = random.permuted(in_order, axis=1)
        return order[:, :-left_over] if "whole" in rule else order

    return order_of


runs = {}
for batch_size in BATCH_SIZES:
    looks = np.geomspace(1, NUM_UPDATES[batch_size], NUM_LOOKS).round()
    checkpoints = np.unique(looks.astype(int))
    history = train(batch_size, checkpoints, order_rule("reshuffled"))
    runs[batch_size] = checkpoints, history
    print("trained with batch size", batch_size)

# %% [markdown]
# ## Train in several orders
#
# Batches of the reference size, looked at after every epoch.

# %%
order_runs = {}
for rule in ORDERS + WHOLE_ORDERS:
    per_epoch = updates_per_epoch[REFERENCE_BATCH_SIZE]
    per_epoch -= 1 if "whole" in rule else 0
    epoch_ends = per_epoch * np.arange(1, ORDER_STUDY_EPOCHS + 1)
    order_runs[rule] = train(REFERENCE_BATCH_SIZE, epoch_ends, order_rule(rule))
    print("trained in the order:", rule)

# %% [markdown]
# ## Measure
#
# The rate of a size is the one that brings the validation data to the target
# in the fewest updates; what is reported comes from the test data. The rate
# of an order is the one with the lowest validation loss at the end.

# %%
FEW = {"because": "short run"} if SHORT else {}
NOT_REACHED = "not every run reached the target accuracy"
VALIDATION, TEST = 0, 1
values = {}


def put_exact(key, value, unit):
    values[key] = {"value": value, "unit": unit, "exact": True}


def put(key, samples, unit, ratio=False, timing=False):
    """Store the mean of the replicates with its interval."""
    samples = np.asarray(samples, dtype=float)
    nothing = ratio and (samples <= 0).any()
    if nothing or not np.isfinite(samples).all():
        values[key] = {"value": None, "unit": unit, "reason": NOT_REACHED}
        return
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW | ({"timing": True} if timing else {})


def low(key):
    return (values[key].get("ci") or [-np.inf])[0]


def high(key):
    return (values[key].get("ci") or [0, np.inf])[1]


def case_key(examples, batch_size, num_epochs):
    key = f"{examples}.{batch_size}"
    return key if num_epochs == 1 else f"{key}.{num_epochs}_epochs"


for case, seen in counted.items():
    key = case_key(*case)
    put_exact(f"updates.kept.{key}", seen["updates"], "updates")
    put_exact(f"last_batch_size.{key}", seen["last_batch_size"], "examples")
for case, seen in dropped.items():
    key = case_key(*case)
    put_exact(f"updates.dropped.{key}", seen["updates"], "updates")
    put_exact(f"examples_seen.dropped.{key}", seen["examples_seen"], "examples")
    put_exact(f"own_count.dropped.{key}", seen["own_count"], "updates")
put_exact("updates.unknown_length", streamed["updates"], "updates")
put_exact("own_count.unknown_length", streamed["own_count"], "updates")
for batch_size in BATCH_SIZES:
    put_exact(
        f"updates_per_epoch.{batch_size}",
        updates_per_epoch[batch_size],
        "updates",
    )
for name, found in orders.items():
    put_exact(
        f"distinct_orders.{name}",
        len({tuple(order) for order in found}),
        "orders",
    )

# Rounded, so that the last bits of float64 do not count as a difference.
put_exact(
    "partial_batch_weight", round(float(partial_weights.mean()), 9), "ratio"
)
put_exact(
    "partial_batch_weight_range",
    round(float(np.ptp(partial_weights)), 9),
    "ratio",
)
put_exact(
    "left_over_share",
    1 / len(batch_losses[0]),
    "share",
)
true_loss = np.array(true_loss)
for name, found in {
    "usual": usual_loss,
    "mean_of_batches": [np.mean(each) for each in batch_losses],
    "last_batch": [each[-1] for each in batch_losses],
}.items():
    put(
        f"epoch_loss_error.{name}",
        np.abs(np.array(found) - true_loss) / true_loss,
        "share",
    )
put("gradient_distance.reordered", distance_reordered, "share")
put("gradient_distance.disjoint", distance_disjoint, "share")


def updates_to_target(batch_size, part):
    """[rates, seeds]: the first look at the target; inf where there is none."""
    checkpoints, history = runs[batch_size]
    reached = history["accuracy"][..., part] >= TARGET_ACCURACY
    first = checkpoints[reached.argmax(axis=0)].astype(float)
    return np.where(reached.any(axis=0), first, np.inf)


best_rate, updates_to = {}, {}
for batch_size in BATCH_SIZES:
    on_validation = np.log(updates_to_target(batch_size, VALIDATION))
    best = int(on_validation.mean(axis=1).argmin())
    best_rate[batch_size] = best
    updates = updates_to_target(batch_size, TEST)[best]
    updates_to[batch_size] = updates
    put_exact(f"chosen_rate.{batch_size}", LEARNING_RATES[best], "ratio")
    put(f"updates_to_target.{batch_size}", updates, "updates")
    put(
        f"epochs_to_target.{batch_size}",
        updates / updates_per_epoch[batch_size],
        "epochs",
    )

# Against the reference size. Updates vary with the seed and seconds with the
# machine: their intervals are multiplied end by end, which is wider than it
# need be.
reference = REFERENCE_BATCH_SIZE
single, full = BATCH_SIZES[0], BATCH_SIZES[-1]
for batch_size in (single, full):
    updates_ratio = updates_to[batch_size] / updates_to[reference]
    epochs_ratio = updates_ratio * (
        updates_per_epoch[reference] / updates_per_epoch[batch_size]
    )
    put(f"updates_ratio.{batch_size}", updates_ratio, "ratio", ratio=True)
    put(f"epochs_ratio.{batch_size}", epochs_ratio, "ratio", ratio=True)
    seconds_ratio = epoch_seconds[batch_size] / epoch_seconds[reference]
    put(
        f"epoch_seconds_ratio.{batch_size}",
        seconds_ratio,
        "ratio",
        ratio=True,
        timing=True,
    )
    key = f"seconds_ratio.{batch_size}"
    put(key, epochs_ratio, "ratio", ratio=True, timing=True)
    mean, bottom, top = mean_interval(seconds_ratio, ratio=True)
    if values[key]["value"] is not None:
        values[key]["value"] *= mean
        values[key]["ci"] = [
            values[key]["ci"][0] * bottom,
            values[key]["ci"][1] * top,
        ]
        values[key]["n"] = min(NUM_SEEDS, TIMED_REPEATS)
for batch_size in (reference, full):
    put(
        f"update_seconds_ratio.{batch_size}",
        (epoch_seconds[batch_size] / updates_per_epoch[batch_size])
        / (epoch_seconds[single] / updates_per_epoch[single]),
        "ratio",
        ratio=True,
        timing=True,
    )

order_best = {}
for rule, history in order_runs.items():
    at_end = history["loss"][-1, :, :, VALIDATION].mean(axis=1)
    order_best[rule] = int(np.nanargmin(at_end))
    put_exact(f"order_rate.{rule}", LEARNING_RATES[order_best[rule]], "ratio")


def final_accuracy(rule, rate):
    return order_runs[rule]["accuracy"][-1, rate, :, TEST]


def noise(rule):
    """Mean change of the test loss from one epoch to the next, per seed."""
    rate = LEARNING_RATES.index(ORDER_LEARNING_RATE)
    loss = order_runs[rule]["loss"][-ORDER_LAST_EPOCHS - 1 :, rate, :, TEST]
    return np.abs(np.diff(loss, axis=0)).mean(axis=0)


reshuffled_rate = order_best["reshuffled"]
reshuffled_accuracy = final_accuracy("reshuffled", reshuffled_rate)
put("order_accuracy.reshuffled", reshuffled_accuracy, "share")
for rule in ("fixed", "sorted"):
    tuned = final_accuracy(rule, order_best[rule])
    same_rate = final_accuracy(rule, reshuffled_rate)
    put(f"order_accuracy.{rule}", tuned, "share")
    put(f"order_accuracy.same_rate.{rule}", same_rate, "share")
    put(
        f"order_gap.{rule}",
        100 * (tuned - reshuffled_accuracy),
        "percentage points",
    )
put(
    "order_gap.whole",
    100
    * (
        final_accuracy("reshuffled_whole", order_best["reshuffled_whole"])
        - reshuffled_accuracy
    ),
    "percentage points",
)
for key, one, other in (
    ("order_noise_ratio.all", "reshuffled", "fixed"),
    ("order_noise_ratio.whole", "reshuffled_whole", "fixed_whole"),
    ("partial_noise_ratio", "reshuffled", "reshuffled_whole"),
):
    put(key, noise(one) / noise(other), "ratio", ratio=True)

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


arithmetic = {
    f"updates.kept.{case_key(*case)}": count_updates(*case) for case in COUNTED
} | {
    f"updates.dropped.{case_key(*case)}": count_updates(*case, drop_last=True)
    for case in DROPPED
}
judge(
    "arithmetic_agrees",
    all(values[key]["value"] == number for key, number in arithmetic.items()),
    *arithmetic,
)
tiny = DROPPED[-1]
empty = f"updates.dropped.{case_key(*tiny)}"
judge(
    "too_large_a_batch_trains_nothing",
    values[empty]["value"] == 0 and not dropped[tiny]["weights_changed"],
    empty,
)
judge("training_on_nothing_is_warned_about", dropped[tiny]["warned"], empty)
judge("training_on_nothing_is_silent", not dropped[tiny]["warned"], empty)
judge(
    "own_count_is_right_without_a_known_length",
    streamed["own_count"] == streamed["updates"],
    "own_count.unknown_length",
    "updates.unknown_length",
)
judge(
    "own_count_is_too_high_without_a_known_length",
    streamed["own_count"] > streamed["updates"],
    "own_count.unknown_length",
    "updates.unknown_length",
)
judge(
    "own_count_is_too_high_on_no_data",
    dropped[tiny]["own_count"] > dropped[tiny]["updates"],
    f"own_count.dropped.{case_key(*tiny)}",
    empty,
)
judge(
    "own_count_is_right_on_no_data",
    dropped[tiny]["own_count"] == dropped[tiny]["updates"],
    f"own_count.dropped.{case_key(*tiny)}",
    empty,
)
judge(
    "each_example_is_seen_once",
    all(
        sorted(order) == list(range(ORDER_EXAMPLES))
        for found in orders.values()
        for order in found
    ),
    *(f"distinct_orders.{name}" for name in orders),
)
judge(
    "a_seed_fixes_the_order",
    values["distinct_orders.seeded"]["value"] == 1,
    "distinct_orders.seeded",
)
judge(
    "a_seed_leaves_the_order_free",
    values["distinct_orders.seeded"]["value"] == ORDER_EPOCHS,
    "distinct_orders.seeded",
)
judge(
    "own_shuffle_changes_the_order",
    values["distinct_orders.own_shuffle"]["value"] == ORDER_EPOCHS,
    "distinct_orders.own_shuffle",
)
judge(
    "usual_loss_is_the_mean_over_examples",
    high("epoch_loss_error.usual") < 0.0001,
    "epoch_loss_error.usual",
)
judge(
    "usual_loss_is_off_by_a_percent",
    low("epoch_loss_error.usual") > 0.01,
    "epoch_loss_error.usual",
)
judge(
    "full_gradient_is_exact_for_its_data",
    high("gradient_distance.reordered") < 1e-11,
    "gradient_distance.reordered",
)
judge(
    "full_gradient_depends_on_the_examples",
    low("gradient_distance.disjoint") > 0.1,
    "gradient_distance.disjoint",
)
judge(
    "single_needs_fewest_epochs",
    high(f"epochs_ratio.{single}") < 1 and low(f"epochs_ratio.{full}") > 1,
    f"epochs_ratio.{single}",
    f"epochs_ratio.{full}",
)
judge(
    "full_needs_fewest_updates",
    high(f"updates_ratio.{full}") < 1 and low(f"updates_ratio.{single}") > 1,
    f"updates_ratio.{full}",
    f"updates_ratio.{single}",
)
judge(
    "mini_batch_needs_fewest_seconds",
    low(f"seconds_ratio.{full}") > 1 and low(f"seconds_ratio.{single}") > 1,
    f"seconds_ratio.{full}",
    f"seconds_ratio.{single}",
)
rates = [f"chosen_rate.{size}" for size in BATCH_SIZES]
judge(
    "single_examples_need_a_smaller_rate",
    values[rates[0]]["value"] < values[rates[1]]["value"],
    *rates,
)
rates += [f"order_rate.{rule}" for rule in ORDERS]
judge(
    "best_rates_lie_inside_the_grid",
    all(
        LEARNING_RATES[0] < values[key]["value"] < LEARNING_RATES[-1]
        for key in rates
    ),
    *rates,
)
judge(
    "fixed_order_is_level",
    -MARGIN_POINTS < low("order_gap.fixed")
    and high("order_gap.fixed") < MARGIN_POINTS,
    "order_gap.fixed",
)
judge(
    "sorted_order_is_behind",
    high("order_gap.sorted") < -MARGIN_POINTS,
    "order_gap.sorted",
)
judge(
    "dropping_is_level",
    -MARGIN_POINTS < low("order_gap.whole")
    and high("order_gap.whole") < MARGIN_POINTS,
    "order_gap.whole",
)
judge(
    "partial_batch_adds_noise",
    low("partial_noise_ratio") > 1,
    "partial_noise_ratio",
)
judge(
    "fixed_order_hides_the_noise",
    low("order_noise_ratio.all") > MARGIN_FACTOR
    and low("order_noise_ratio.whole") > MARGIN_FACTOR,
    "order_noise_ratio.all",
    "order_noise_ratio.whole",
)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Three kinds of descent
#
# All seeds at the rate that each size chose, against updates.

# %%
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
for batch_size in BATCH_SIZES:
    checkpoints, history = runs[batch_size]
    accuracy = history["accuracy"][:, best_rate[batch_size], :, TEST]
    axis.plot(checkpoints, accuracy, linewidth=0.5, color="0.7")
    axis.plot(checkpoints, accuracy.mean(axis=1), label=f"{batch_size}")
axis.set(xscale="log", xlabel="updates", ylabel="test accuracy")
axis.legend(title="batch size")
plt.show()

# %% [markdown]
# ## Results

# %%
series = {}


def curve(x, samples, unit):
    means = [mean_interval(row) for row in samples]
    mean, bottom, top = (list(column) for column in zip(*means))
    x = np.asarray(x, dtype=float).tolist()
    return {"x": x, "y": mean, "low": bottom, "high": top, "unit": unit}


for batch_size in BATCH_SIZES:
    checkpoints, history = runs[batch_size]
    accuracy = history["accuracy"][:, best_rate[batch_size], :, TEST]
    epochs = checkpoints / updates_per_epoch[batch_size]
    seconds = epochs * epoch_seconds[batch_size].mean()
    for budget, x_values in {
        "epoch": epochs,
        "update": checkpoints,
        "second": seconds,
    }.items():
        series[f"accuracy_by_{budget}.{batch_size}"] = curve(
            x_values, accuracy, "share"
        )
for rule, history in order_runs.items():
    accuracy = history["accuracy"][:, order_best[rule], :, TEST]
    series[f"accuracy_by_order.{rule}"] = curve(
        range(1, ORDER_STUDY_EPOCHS + 1), accuracy, "share"
    )
# One run, whose loss shows the noise that a mean over seeds would hide.
rate = LEARNING_RATES.index(ORDER_LEARNING_RATE)
for rule in ("reshuffled", "reshuffled_whole", "fixed"):
    loss = order_runs[rule]["loss"][:, rate, 0, TEST]
    series[f"one_run_by_order.{rule}"] = {
        "x": list(range(1, ORDER_STUDY_EPOCHS + 1)),
        "y": loss.astype(float).tolist(),
        "unit": "loss",
    }

results = {"values": values, "judgements": judgements, "series": series}
