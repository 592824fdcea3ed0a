# %% [markdown]
# # Rare classes: what batch size does to one attack in a hundred (PyTorch)
#
# Counts the batches without an attack, and trains a network on rare attacks
# at three batch sizes under several budgets, rates, weights and orders.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score
from torch import nn
from torch.utils.data import DataLoader

from snippets.chance_without_class import chance_without_class
from snippets.count_updates import count_updates
from snippets.mean_interval import mean_interval
from snippets.stratify_batches import stratify_batches

# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
SHORT = False

BATCH_SIZES = [32, 256, 1024]
# Sizes whose batches are only counted, in a loader of the framework.
COUNTED_SIZES = [8, 16, 32, 64, 128, 256, 512, 1024]
COUNTED_EPOCHS = 10
NUM_FEATURES = 10
INFORMATIVE_FEATURES = 5
HIDDEN_UNITS = [64, 32]
# One message in so many is an attack, in each part of the data.
ATTACK_IN = 100
NUM_TRAIN = 10000
NUM_VALIDATION = 5000
NUM_TEST = 2000 if SHORT else 20000
# Data sets that are reported, and others on which the rates are chosen.
NUM_DATA_SETS = 2 if SHORT else 16
TUNING_DATA_SETS = 1 if SHORT else 4
FIRST_SEED = 4000
# Budgets.
NUM_EPOCHS = 1 if SHORT else 10
NUM_UPDATES = 20 if SHORT else 300
# Of Adam. The other rates are this times a power of two; the square-root
# rule gives BASE_RATE to the smallest size.
BASE_RATE = 0.001
RATE_EXPONENTS = {
    32: [0, 1, 2, 3, 4],
    256: [1, 2, 3, 4, 5],
    1024: [2, 3, 4, 5, 6, 7],
}
# No difference that matters is less than this, in percentage points. Set
# beforehand, from trials with other seeds.
MARGIN_POINTS = 5.0
# Two gradients are equal if they differ by less than this share.
EQUAL_SHARE = 1e-4
# The same training in another order of arithmetic; of logits of about one.
LARGEST_LOGIT_ERROR = 1e-3

# %% [markdown]
# ## Data and network
#
# Every replicate is a data set of its own, with exactly one attack in a
# hundred messages to train, to validate and to test. By default,
# make_classification draws one label in a hundred at random, which would
# spoil many of the attacks; `flip_y=0` leaves that out.


# %%
def make_data(seed):
    """{part: (x, y)}, every part with its share of attacks."""
    parts = {"train": NUM_TRAIN, "validation": NUM_VALIDATION, "test": NUM_TEST}
    x, y = make_classification(
        n_samples=int(1.02 * sum(parts.values())),
        n_features=NUM_FEATURES,
        n_informative=INFORMATIVE_FEATURES,
        n_redundant=NUM_FEATURES - INFORMATIVE_FEATURES,
        weights=[1 - 1 / ATTACK_IN],
        flip_y=0,
        random_state=seed,
    )
    benign, attacks = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
    made = {}
    for part, size in parts.items():
        rare = size // ATTACK_IN
        taken = np.concatenate([attacks[:rare], benign[: size - rare]])
        attacks, benign = attacks[rare:], benign[size - rare :]
        made[part] = x[taken].astype("float32"), y[taken].astype("int32")
    return made


num_sets = NUM_DATA_SETS + TUNING_DATA_SETS
drawn = [make_data(FIRST_SEED + number) for number in range(num_sets)]
# {part: ([data sets, examples, features], [data sets, examples])}.
data = {
    part: tuple(np.stack(each) for each in zip(*(made[part] for made in drawn)))
    for part in drawn[0]
}
reported = list(range(NUM_DATA_SETS))
tuned_on = list(range(NUM_DATA_SETS, num_sets))


def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    layers, inputs = [], NUM_FEATURES
    for units in [*HIDDEN_UNITS, 1]:
        layer = nn.Linear(inputs, units)
        # The initial weights that Keras draws; PyTorch's own are smaller.
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
        inputs = units
    return nn.Sequential(*layers[:-1])


x_one, y_one = (each[0] for each in data["train"])
model_one = build_model(FIRST_SEED)

# %% [markdown]
# ## Count in a loader
#
# Full batches of a shuffled `DataLoader`.


# %%
def count_empty(batch_size):
    """Share of the batches of each epoch that hold no attack."""
    loader = DataLoader(
        y_one.tolist(),
        batch_size,
        shuffle=True,
        drop_last=True,
        generator=torch.Generator().manual_seed(FIRST_SEED),
    )
    return np.array(
        [
            np.mean([not batch.any() for batch in loader])
            for _ in range(COUNTED_EPOCHS)
        ]
    )


empty_shares = {}
for batch_size in COUNTED_SIZES:
    empty_shares[batch_size] = count_empty(batch_size)
    print(batch_size, "without an attack:", empty_shares[batch_size].mean())

# %% [markdown]
# ## Add up the gradients of an epoch
#
# With the weights held still, each batch counts by its number of examples.


# %%
def gradient_of(x, y):
    """Of the mean loss of a batch, as one row."""
    loss = nn.functional.binary_cross_entropy_with_logits(
        model_one(torch.tensor(x))[:, 0], torch.tensor(y).float()
    )
    found = torch.autograd.grad(loss, list(model_one.parameters()))
    return np.concatenate([each.numpy().ravel() for each in found])


def epoch_gradient(batch_size):
    """Sum over the batches of one epoch; many of them hold no attack."""
    order = np.random.default_rng(FIRST_SEED).permutation(NUM_TRAIN)
    return sum(
        len(batch) / NUM_TRAIN * gradient_of(x_one[batch], y_one[batch])
        for batch in np.split(order, range(batch_size, NUM_TRAIN, batch_size))
    )


whole = gradient_of(x_one, y_one)
gradient_errors = {
    batch_size: np.linalg.norm(epoch_gradient(batch_size) - whole)
    / np.linalg.norm(whole)
    for batch_size in BATCH_SIZES
}
print("relative errors of the sum:", gradient_errors)

# %% [markdown]
# ## What a weighted loss is divided by
#
# `CrossEntropyLoss` with `weight`, on two outputs that mean the same.

# %%
CLASS_WEIGHTS = [
    NUM_TRAIN / (2 * (NUM_TRAIN - NUM_TRAIN // ATTACK_IN)),
    ATTACK_IN / 2,
]
LOSS_LOGITS, LOSS_LABELS = [0.5, -1.0, 0.0, 2.0], [1, 0, 0, 0]
logits = torch.tensor(LOSS_LOGITS)
weighted_loss = float(
    nn.CrossEntropyLoss(weight=torch.tensor(CLASS_WEIGHTS))(
        torch.stack([torch.zeros_like(logits), logits], dim=1),
        torch.tensor(LOSS_LABELS),
    )
)

print("a weighted loss of one batch:", weighted_loss)

# %% [markdown]
# ## Train many networks at once
#
# One for each data set and rate, on batches of its own. Adam's steps are
# proportional to the rate, so it runs at a rate of one, and what it moves is
# multiplied by each network's own.


# %%
def epoch_order(numbers, batch_size, way, random):
    """The order of an epoch for each data set: [networks, examples]."""
    if way == "stratified":
        return np.stack(
            [
                np.concatenate(stratify_batches(labels, batch_size, random))
                for labels in data["train"][1][numbers]
            ]
        )
    in_order = np.tile(np.arange(NUM_TRAIN), (len(numbers), 1))
    return random.permuted(in_order, axis=1)


def train(numbers, rates, batch_size, looks, way):
    """{number of updates: {part: logits [networks, examples]}}.

    numbers: the data set of each network; rates: one for each.
    looks: after how many updates to look; training ends with the last.
    way: "plain", "weighted" or "stratified".
    """
    models = [build_model(FIRST_SEED + number) for number in numbers]
    initial = [
        torch.stack(weights).detach()
        for weights in zip(*(model.parameters() for model in models))
    ]
    rates = torch.tensor(np.array(rates), dtype=torch.float32)
    rates = [rates.reshape(-1, *[1] * (weight.dim() - 1)) for weight in initial]
    travelled = [torch.zeros_like(weight) for weight in initial]
    optimizer = torch.optim.Adam(travelled, lr=1.0, eps=1e-7, fused=True)
    class_weights = torch.tensor(
        CLASS_WEIGHTS if way == "weighted" else [1.0, 1.0]
    )
    # Data sets lie one behind the other, so that one index finds an example.
    x = torch.tensor(data["train"][0]).reshape(-1, NUM_FEATURES)
    y = torch.tensor(data["train"][1]).reshape(-1).long()
    offset = NUM_TRAIN * np.array(numbers)[:, None]

    def now():
        return [
            torch.addcmul(start, rate, moved)
            for start, rate, moved in zip(initial, rates, travelled)
        ]

    def predict(stacked, inputs):
        # Features before examples: [networks, outputs, batch].
        outputs = inputs.transpose(1, 2)
        weights = iter(stacked)
        for layer in models[0]:
            if isinstance(layer, nn.Linear):
                kernel, bias = next(weights), next(weights)
                outputs = torch.baddbmm(bias[:, :, None], kernel, outputs)
            else:
                outputs = layer(outputs)
        return outputs[:, 0]

    def update(batch):
        labels = y[batch]
        stacked = [weight.requires_grad_() for weight in now()]
        each = nn.functional.binary_cross_entropy_with_logits(
            predict(stacked, x[batch]),
            labels.float(),
            weight=class_weights[labels],
            reduction="none",
        )
        # Each network's own mean; their gradients do not mix in a sum.
        gradients = torch.autograd.grad(each.mean(dim=1).sum(), stacked)
        for moved, gradient in zip(travelled, gradients):
            moved.grad = gradient
        optimizer.step()

    random = np.random.default_rng(FIRST_SEED + batch_size)
    per_epoch = count_updates(NUM_TRAIN, batch_size)
    found = {}
    for done in range(looks[-1]):
        if done % per_epoch == 0:
            order = epoch_order(numbers, batch_size, way, random) + offset
            batches = torch.from_numpy(order).split(batch_size, dim=1)
        update(batches[done % per_epoch])
        if done + 1 in looks:
            with torch.no_grad():
                found[done + 1] = {
                    part: predict(
                        now(), torch.tensor(data[part][0][numbers])
                    ).numpy()
                    for part in ("validation", "test")
                }
    return found


# %% [markdown]
# ## The same as a plain loop
#
# A few updates of one network, as a reader would write them.

# %%
FEW_UPDATES = 5
together = train([0], [BASE_RATE], 32, [FEW_UPDATES], "weighted")
order = epoch_order([0], 32, "weighted", np.random.default_rng(FIRST_SEED + 32))
model = build_model(FIRST_SEED)
optimizer = torch.optim.Adam(model.parameters(), lr=BASE_RATE, eps=1e-7)
for batch in order[0, : 32 * FEW_UPDATES].reshape(FEW_UPDATES, 32):
    labels = torch.tensor(y_one[batch]).long()
    optimizer.zero_grad()
    nn.functional.binary_cross_entropy_with_logits(
        model(torch.tensor(x_one[batch]))[:, 0],
        labels.float(),
        weight=torch.tensor(CLASS_WEIGHTS)[labels],
    ).backward()
    optimizer.step()
with torch.no_grad():
    alone = model(torch.tensor(data["validation"][0][0]))[:, 0].numpy()

plain_errors = np.abs(together[FEW_UPDATES]["validation"][0] - alone)
print("largest difference of a logit:", plain_errors.max())

# %% [markdown]
# ## Choose the rates, and train
#
# Rates are chosen by the average precision on data sets that are not
# reported, after equal epochs.


# %%
def updates_for(batch_size):
    """{budget: number of updates}."""
    per_epoch = count_updates(NUM_TRAIN, batch_size)
    return {"epochs": NUM_EPOCHS * per_epoch, "updates": NUM_UPDATES}


def precisions(logits, numbers):
    """Average precision on the test data of each network's data set."""
    labels = data["test"][1][numbers]
    return np.array(
        [average_precision_score(y, each) for y, each in zip(labels, logits)]
    )


chosen = {}
for batch_size in BATCH_SIZES:
    exponents = RATE_EXPONENTS[batch_size]
    numbers = tuned_on * len(exponents)
    last = updates_for(batch_size)["epochs"]
    rates = BASE_RATE * 2.0 ** np.repeat(exponents, len(tuned_on))
    found = train(numbers, rates, batch_size, [last], "plain")
    scores = precisions(found[last]["test"], numbers)
    scores = scores.reshape(len(exponents), -1).mean(axis=1)
    chosen[batch_size] = exponents[int(scores.argmax())]
    print(batch_size, "rates by average precision:", scores.round(3))

smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]


def exponent_for(regime, batch_size):
    if regime == "one":
        return 0
    if regime == "root":
        return 0.5 * np.log2(batch_size / smallest)
    return chosen[batch_size]


# {(budget, regime, batch size): logits}.
runs = {}
for regime in ("one", "root", "tuned", "weighted", "stratified"):
    way = regime if regime in ("weighted", "stratified") else "plain"
    for batch_size in BATCH_SIZES:
        budgets = updates_for(batch_size)
        if regime == "root" and batch_size == smallest:
            runs["epochs", "root", smallest] = runs["epochs", "one", smallest]
            continue
        if way != "plain" and batch_size not in (smallest, largest):
            continue
        if regime == "root":
            del budgets["updates"]
        rate = BASE_RATE * 2.0 ** exponent_for(regime, batch_size)
        found = train(
            reported,
            [rate] * NUM_DATA_SETS,
            batch_size,
            sorted(set(budgets.values())),
            way,
        )
        for budget, update in budgets.items():
            runs[budget, regime, batch_size] = found[update]
        print("trained:", regime, batch_size)

# %% [markdown]
# ## Measure
#
# Recall is the share of the attacks that are found, precision the share of
# attacks among what is flagged; it counts as zero where nothing is flagged.
# Both need a threshold: a probability of one half, or the one with the best
# F1 on the validation data. Average precision needs none: it judges the
# ranking.

# %%
FEW = {"because": "short run"} if SHORT else {}
values = {}


def put(key, samples, unit):
    """Store the mean of the replicates with its interval."""
    mean, low, high = mean_interval(samples)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW


def exact(key, value, unit):
    values[key] = {"value": value, "unit": unit, "exact": True}


def low(key):
    return values[key]["ci"][0]


def high(key):
    return values[key]["ci"][1]


def rates_of(flagged, labels):
    """Recall, precision and F1."""
    hits = (flagged & (labels == 1)).sum()
    recall = hits / labels.sum()
    precision = hits / max(flagged.sum(), 1)
    return recall, precision, 2 * hits / (flagged.sum() + labels.sum())


def best_threshold(logits, labels):
    """The logit from which on flagging has the best F1."""
    order = np.argsort(-logits)
    hits = labels[order].cumsum()
    f1 = 2 * hits / (np.arange(1, len(logits) + 1) + labels.sum())
    return logits[order][f1.argmax()]


def measure(run):
    """{metric: one number for each data set}."""
    rows = []
    for number in reported:
        labels = data["test"][1][number]
        logits = run["test"][number]
        threshold = best_threshold(
            run["validation"][number], data["validation"][1][number]
        )
        rows.append(
            [
                average_precision_score(labels, logits),
                *rates_of(logits > 0, labels),
                *rates_of(logits >= threshold, labels),
            ]
        )
    names = ["average_precision", "recall", "precision", "f1"]
    names += ["recall_chosen", "precision_chosen", "f1_chosen"]
    return dict(zip(names, np.array(rows).T))


measured = {key: measure(run) for key, run in runs.items()}

for batch_size in COUNTED_SIZES:
    mean = batch_size / ATTACK_IN
    exact(f"attacks_per_batch.{batch_size}", mean, "attacks")
    # Of a draw without replacement, relative to its mean.
    left = (NUM_TRAIN - batch_size) / (NUM_TRAIN - 1)
    exact(
        f"spread_of_attacks.{batch_size}",
        np.sqrt(mean * (1 - 1 / ATTACK_IN) * left) / mean,
        "times the mean",
    )
    chance = chance_without_class(batch_size, NUM_TRAIN, NUM_TRAIN // ATTACK_IN)
    exact(f"chance_without.{batch_size}", chance, "share of batches")
    put(
        f"counted_without.{batch_size}",
        empty_shares[batch_size],
        "share of batches",
    )
exact("attacks_per_epoch", NUM_TRAIN // ATTACK_IN, "attacks")
for batch_size in BATCH_SIZES:
    exact(
        f"updates_per_epoch.{batch_size}",
        count_updates(NUM_TRAIN, batch_size),
        "updates",
    )
    chance = values[f"chance_without.{batch_size}"]["value"]
    exact(
        f"empty_per_epoch.{batch_size}",
        chance * (NUM_TRAIN // batch_size),
        "batches",
    )
    # What part of an epoch's weight the attacks get where each batch is
    # divided by its own weights; half of it is what was asked for.
    counts = np.arange(NUM_TRAIN // ATTACK_IN + 1)
    likely = stats.hypergeom.pmf(
        counts, NUM_TRAIN, NUM_TRAIN // ATTACK_IN, batch_size
    )
    attack_weight = counts * CLASS_WEIGHTS[1]
    benign_weight = (batch_size - counts).clip(0) * CLASS_WEIGHTS[0]
    share = attack_weight / (attack_weight + benign_weight)
    exact(
        f"attack_weight_share.{batch_size}",
        float((likely * share).sum()),
        "share of the weight",
    )
    factor = 2.0 ** chosen[batch_size]
    values[f"rate_factor.{batch_size}"] = {
        "value": factor,
        "ci": [factor / 2, factor * 2],
        "n": TUNING_DATA_SETS,
        "unit": "times the base rate",
        "because": "one choice; its neighbours in the grid are as near",
    }
exact(
    "gradient_sums_that_differ",
    sum(error > EQUAL_SHARE for error in gradient_errors.values()),
    "batch sizes",
)
exact(
    "logits_that_differ_from_a_plain_loop",
    int((plain_errors > LARGEST_LOGIT_ERROR).sum()),
    "logits",
)


def worth_telling(budget, regime, batch_size):
    """The metrics of a run that are reported."""
    if (budget, regime, batch_size) == ("epochs", "root", smallest):
        return []
    if regime in ("weighted", "stratified"):
        return METRICS if budget == trained_out[batch_size] else []
    if budget == "updates" or batch_size not in trained_out:
        return ["average_precision", "recall"]
    return METRICS


METRICS = [
    "average_precision",
    "recall",
    "precision",
    "recall_chosen",
    "precision_chosen",
    "f1_chosen",
]
# Weights and orders are compared under the budget that trains longer.
trained_out = {smallest: "epochs", largest: "updates"}
for key, found in measured.items():
    for metric in worth_telling(*key):
        budget, regime, batch_size = key
        put(f"{metric}.{budget}.{regime}.{batch_size}", found[metric], "share")
nothing = [
    not (logits > 0).any() for logits in runs["epochs", "one", largest]["test"]
]
put("flags_nothing.epochs.one.1024", nothing, "share of data sets")


def put_difference(key, found, other):
    put(key, 100 * (found - other), "percentage points")


REGIMES = {
    "epochs": ["one", "root", "tuned"],
    "updates": ["one", "tuned"],
}
for budget, regimes in REGIMES.items():
    for regime in regimes:
        large = measured[budget, regime, largest]
        small = measured[budget, regime, smallest]
        name = f"{budget}.{regime}"
        for metric in ("average_precision", "recall", "recall_chosen"):
            put_difference(
                f"large_less_small.{metric}.{name}",
                large[metric],
                small[metric],
            )
        # By how much more the large size falls behind at one half.
        put_difference(
            f"added_by_one_half.{name}",
            large["recall"] - large["recall_chosen"],
            small["recall"] - small["recall_chosen"],
        )
long = measured["updates", "tuned", largest]["average_precision"]
for name, size in (("itself", largest), ("small", smallest)):
    put_difference(
        f"longer_large_less_{name}.average_precision",
        long,
        measured["epochs", "tuned", size]["average_precision"],
    )
for batch_size, budget in trained_out.items():
    plain = measured[budget, "tuned", batch_size]
    for regime, metrics in (
        ("weighted", METRICS[:4] + ["f1_chosen"]),
        ("stratified", METRICS[:2] + ["f1_chosen"]),
    ):
        for metric in metrics:
            put_difference(
                f"{regime}_less_plain.{metric}.{batch_size}",
                measured[budget, regime, batch_size][metric],
                plain[metric],
            )
    # The plain network flags as many messages as the weighted one did.
    differences = []
    for number in reported:
        labels = data["test"][1][number]
        weighted = runs[budget, "weighted", batch_size]["test"][number]
        ranked = runs[budget, "tuned", batch_size]["test"][number]
        top = np.argsort(-ranked)[: (weighted > 0).sum()]
        hits = labels[top].sum() - labels[weighted > 0].sum()
        differences.append(-100 * hits / labels.sum())
    put(
        f"weighted_less_plain.recall_at_equal_alarms.{batch_size}",
        differences,
        "percentage points",
    )

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


def within(key, margin):
    return -margin < low(key) and high(key) < margin


def deviation(batch_size):
    """Counted batches without an attack, less those to be expected."""
    batches = COUNTED_EPOCHS * (NUM_TRAIN // batch_size)
    chance = values[f"chance_without.{batch_size}"]["value"]
    off = batches * (empty_shares[batch_size].mean() - chance)
    # One batch too many or too few says nothing where none is expected.
    return max(abs(off) - 1, 0) / np.sqrt(batches * chance * (1 - chance))


counted = [f"counted_without.{batch_size}" for batch_size in COUNTED_SIZES]
judge(
    "counts_agree_with_calculation",
    max(deviation(batch_size) for batch_size in COUNTED_SIZES) < 4,
    *counted,
)
# Above these sizes an epoch has hardly any such batch.
often = [f"counted_without.{size}" for size in COUNTED_SIZES if size <= 256]
judge(
    "smaller_batches_more_often_hold_no_attack",
    all(low(left) > high(right) for left, right in zip(often, often[1:])),
    *often,
)
judge(
    "most_small_batches_hold_no_attack",
    values[f"chance_without.{smallest}"]["value"] > 0.5,
    f"chance_without.{smallest}",
)
judge(
    "large_batches_hardly_ever_hold_no_attack",
    values[f"empty_per_epoch.{largest}"]["value"] < 0.01,
    f"empty_per_epoch.{largest}",
)
spreads = [f"spread_of_attacks.{size}" for size in COUNTED_SIZES]
judge(
    "larger_batches_hold_a_steadier_share",
    all(
        values[left]["value"] > values[right]["value"]
        for left, right in zip(spreads, spreads[1:])
    ),
    *spreads,
)
judge(
    "batch_gradients_add_up",
    max(gradient_errors.values()) < EQUAL_SHARE,
    "gradient_sums_that_differ",
)
judge(
    "together_is_as_alone",
    plain_errors.max() < LARGEST_LOGIT_ERROR,
    "logits_that_differ_from_a_plain_loop",
)

logits, labels = np.array(LOSS_LOGITS), np.array(LOSS_LABELS)
each = np.log1p(np.exp(-np.where(labels == 1, logits, -logits)))
weights = np.array(CLASS_WEIGHTS)[labels]
by_batch = (weights * each).mean()
by_weights = (weights * each).sum() / weights.sum()
exact("weighted_loss", round(weighted_loss, 4), "nats")
judge(
    "weighted_loss_divides_by_the_weights",
    abs(weighted_loss - by_weights) < 1e-3,
    "weighted_loss",
)
judge(
    "weighted_loss_divides_by_the_number",
    abs(weighted_loss - by_batch) < 1e-3,
    "weighted_loss",
)
judge(
    "small_batches_weaken_such_weights",
    values[f"attack_weight_share.{smallest}"]["value"] < 0.25
    and values[f"attack_weight_share.{largest}"]["value"] > 0.45,
    f"attack_weight_share.{smallest}",
    f"attack_weight_share.{largest}",
)
judge(
    "rates_lie_inside_their_grids",
    all(
        RATE_EXPONENTS[size][0] < chosen[size] < RATE_EXPONENTS[size][-1]
        for size in BATCH_SIZES
    ),
    *(f"rate_factor.{size}" for size in BATCH_SIZES),
)

for budget, regimes in REGIMES.items():
    for regime in regimes:
        for metric in ("average_precision", "recall"):
            name = f"{metric}.{budget}.{regime}"
            key = f"large_less_small.{name}"
            judge(f"large_is_behind.{name}", high(key) < 0, key)
            judge(f"large_is_ahead.{name}", low(key) > 0, key)
judge(
    "one_half_widens_the_gap",
    high("added_by_one_half.epochs.one") < 0,
    "added_by_one_half.epochs.one",
)
judge(
    "longer_training_raises_the_large",
    low("longer_large_less_itself.average_precision") > 0,
    "longer_large_less_itself.average_precision",
)
judge(
    "longer_large_is_level_with_small",
    within("longer_large_less_small.average_precision", MARGIN_POINTS),
    "longer_large_less_small.average_precision",
)
for batch_size in (smallest, largest):
    key = f"weighted_less_plain.{{}}.{batch_size}"
    judge(
        f"weights_raise_recall.{batch_size}",
        low(key.format("recall")) > MARGIN_POINTS,
        key.format("recall"),
    )
    judge(
        f"weights_lower_precision.{batch_size}",
        high(key.format("precision")) < -MARGIN_POINTS,
        key.format("precision"),
    )
    for metric, name in (
        ("average_precision", "ranking"),
        ("recall_at_equal_alarms", "recall_at_equal_alarms"),
        ("f1_chosen", "f1"),
    ):
        judge(
            f"weights_do_not_raise_{name}.{batch_size}",
            high(key.format(metric)) < MARGIN_POINTS,
            key.format(metric),
        )
    for metric in ("average_precision", "f1_chosen"):
        key = f"stratified_less_plain.{metric}.{batch_size}"
        judge(
            f"stratified_gains_nothing.{metric}.{batch_size}",
            high(key) < MARGIN_POINTS,
            key,
        )
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Average precision and recall against batch size

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for axis, metric in zip(axes, ("average_precision", "recall")):
    for regime in REGIMES["epochs"]:
        means = [
            measured["epochs", regime, size][metric].mean()
            for size in BATCH_SIZES
        ]
        axis.plot(BATCH_SIZES, means, marker="o", label=regime)
    axis.set_xscale("log", base=2)
    axis.set(xlabel="Batch size", ylabel=metric)
axes[0].legend()
plt.show()

# %% [markdown]
# ## Results


# %%
def line(keys, x):
    found = [values[key] for key in keys]
    drawn = {"x": x, "y": [each["value"] for each in found]}
    if "ci" in found[0]:
        drawn["low"] = [each["ci"][0] for each in found]
        drawn["high"] = [each["ci"][1] for each in found]
    return drawn | {"unit": found[0]["unit"]}


series = {
    f"{kind}_without": line(
        [f"{kind}_without.{size}" for size in COUNTED_SIZES], COUNTED_SIZES
    )
    for kind in ("chance", "counted")
}
for budget, regimes in REGIMES.items():
    for regime in regimes:
        for metric in ("average_precision", "recall"):
            name = f"{metric}.{budget}.{regime}"
            keys = [f"{name}.{size}" for size in BATCH_SIZES]
            if regime == "root":
                # At the smallest size the rule gives the base rate.
                keys[0] = f"{metric}.{budget}.one.{smallest}"
            series[name] = line(keys, BATCH_SIZES)

results = {"values": values, "judgements": judgements, "series": series}
