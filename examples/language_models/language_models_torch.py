# %% [markdown]
# # Language models: one example per update (PyTorch)
#
# Trains a small language model with one to many sequences per update, with
# SGD and with Adam, and asks what is lost with one.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from snippets.keep_half_life import keep_half_life
from snippets.mean_interval import mean_interval

# %% [markdown]
# ## Settings
#
# An example is a sequence. `SHORT = True` gives a run of seconds, to see it
# work; its numbers mean nothing.

# %%
SHORT = False

# Sequences per update.
BATCH_SIZES = [1, 4, 16, 64, 256]
NUM_EXAMPLES = 256 if SHORT else 4096
SEQUENCE_LENGTH = 16
NUM_CHARACTERS = 16
# The network that the language is drawn from, and how sharp it is.
LANGUAGE_UNITS = 16
LANGUAGE_SCALE = 3.0
HIDDEN_UNITS = 32
# beta_2 of Adam, and the batch size that the kept half-life goes with.
SHORT_BETA = 0.95
DEFAULT_BETA = 0.999
REFERENCE_BATCH_SIZE = 64
# Learning rates: so many factors of two to either side of a middle, which
# rises with a power of the batch size so that the best lies inside.
RATE_STEPS = 3
MIDDLE_RATES = {"sgd": 0.18, "adam": 0.0025}
MIDDLE_POWERS = {"sgd": 0.6, "adam": 0.65}
# "Too high" is so many factors of two above the tuned rate.
TOO_HIGH_STEPS = 2
# A diverged run counts as this excess loss, in nats.
LARGEST_EXCESS = 5.0
# "No worse" is less than this, in nats per character. Set beforehand.
MARGIN_NATS = 0.02
NUM_SEEDS = 2 if SHORT else 12
FIRST_SEED = 500
TIMED_UPDATES = 2 if SHORT else 30
TIMED_REPEATS = 2 if SHORT else 10

# %% [markdown]
# ## A language for each seed
#
# The next character depends on the two before it, by a random network. So the
# loss of the best possible model is known, and so is the expected loss of any
# model: a sum over all pairs of characters, without test data.


# %%
def entropy(probabilities):
    """Along the last axis, in nats."""
    return -(probabilities * np.log(probabilities)).sum(axis=-1)


class Language:
    """Its probabilities, its entropies, and a text in it."""

    def __init__(self, seed):
        random = np.random.default_rng(seed)
        count, units = NUM_CHARACTERS, LANGUAGE_UNITS
        inward = random.normal(size=(2, count, units))
        outward = random.normal(size=(units, count)) / np.sqrt(units)
        hidden = np.tanh(inward[0][:, None] + inward[1][None])
        weights = np.exp(LANGUAGE_SCALE * hidden @ outward)
        # [second last, last, next]
        self.next = weights / weights.sum(axis=-1, keepdims=True)
        pairs = np.full((count, count), count**-2.0)
        for _ in range(200):
            pairs = np.einsum("ab,abc->bc", pairs, self.next)
        # How often each pair of characters stands in a long text.
        self.pairs = pairs
        self.entropy = (pairs * entropy(self.next)).sum()
        # What is left to a model that sees one character, or none.
        after_one = np.einsum("ab,abc->bc", pairs, self.next)
        after_one /= after_one.sum(axis=1, keepdims=True)
        self.pair_entropy = (pairs.sum(axis=0) * entropy(after_one)).sum()
        self.character_entropy = entropy(pairs.sum(axis=0))

    def write(self, seed):
        """Pairs and the characters after them, [examples, length] each."""
        random = np.random.default_rng(seed)
        upper = self.next.reshape(-1, NUM_CHARACTERS).cumsum(axis=1)
        pair = random.choice(
            len(upper), size=NUM_EXAMPLES, p=self.pairs.ravel()
        )
        read, written = [], []
        for _ in range(SEQUENCE_LENGTH):
            draw = random.random((NUM_EXAMPLES, 1))
            character = (draw > upper[pair, :-1]).sum(axis=1)
            read.append(pair)
            written.append(character)
            pair = pair % NUM_CHARACTERS * NUM_CHARACTERS + character
        return np.stack(read, axis=1), np.stack(written, axis=1)


SEEDS = [FIRST_SEED + number for number in range(NUM_SEEDS)]
languages = [Language(seed) for seed in SEEDS]
texts = [language.write(seed) for language, seed in zip(languages, SEEDS)]
read = np.stack([pairs for pairs, _ in texts]).astype("int32")
written = np.stack([characters for _, characters in texts]).astype("int32")
# Both characters of every pair, each as one of NUM_CHARACTERS features.
one_hot = np.eye(NUM_CHARACTERS, dtype="float32")
all_pairs = np.concatenate(
    [
        np.repeat(one_hot, NUM_CHARACTERS, axis=0),
        np.tile(one_hot, (NUM_CHARACTERS, 1)),
    ],
    axis=1,
)
print("entropy:", np.mean([each.entropy for each in languages]))


def excess_loss(log_probabilities):
    """Expected loss less that of the best model, [rates, seeds].

    log_probabilities: [rates, seeds, pairs, characters].
    """
    found = []
    for number, language in enumerate(languages):
        truth = language.next.reshape(-1, NUM_CHARACTERS)
        loss = -(truth * log_probabilities[:, number]).sum(axis=-1)
        found.append(loss @ language.pairs.ravel() - language.entropy)
    excess = np.nan_to_num(np.stack(found, axis=1), nan=LARGEST_EXCESS)
    return excess.clip(max=LARGEST_EXCESS)


# %% [markdown]
# ## Network
#
# Two characters in, one-hot; one hidden layer; a score for each next
# character.


# %%
def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(2 * NUM_CHARACTERS, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, NUM_CHARACTERS),
    )
    # The initial weights that Keras draws; PyTorch's own are smaller.
    nn.init.kaiming_uniform_(
        model[0].weight, nonlinearity="relu", generator=random
    )
    nn.init.xavier_uniform_(model[2].weight, generator=random)
    nn.init.zeros_(model[0].bias)
    nn.init.zeros_(model[2].bias)
    return model


models = [build_model(seed) for seed in SEEDS]
features = torch.tensor(all_pairs)

# %% [markdown]
# ## Time an update
#
# Of a plain loop, as a reader would write it, in seconds of the processor.
# The first turn is not counted. Sizes take turns, so that a slow moment of
# the machine falls on all of them.


# %%
class PlainTraining:
    """The loop that a reader would write, for one batch size."""

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.model = build_model(FIRST_SEED)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=0.001, eps=1e-7
        )
        self.x = features[torch.tensor(read[0, :batch_size].reshape(-1))]
        self.y = torch.tensor(written[0, :batch_size].reshape(-1)).long()

    def updates(self, count):
        for _ in range(count):
            self.optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self.model(self.x), self.y)
            loss.backward()
            self.optimizer.step()


plain = {size: PlainTraining(size) for size in BATCH_SIZES}
for size in BATCH_SIZES:
    plain[size].updates(TIMED_UPDATES)
update_seconds = {size: [] for size in BATCH_SIZES}
for _ in range(TIMED_REPEATS):
    for size in BATCH_SIZES:
        start = time.process_time()
        plain[size].updates(TIMED_UPDATES)
        update_seconds[size].append(
            (time.process_time() - start) / TIMED_UPDATES
        )
update_seconds = {size: np.array(t) for size, t in update_seconds.items()}

# %% [markdown]
# ## Train
#
# One pass over the text, so every sequence is new. All rates and seeds of a
# batch size are trained at once, with stacked weights. The optimizer is
# PyTorch's own, at a rate of one; it moves what is then multiplied by each
# model's rate. That is exact for SGD and Adam.

# %%
KINDS = {
    "sgd": lambda batch_size: None,
    "adam_short": lambda batch_size: SHORT_BETA,
    "adam_default": lambda batch_size: DEFAULT_BETA,
    "adam_kept": lambda batch_size: keep_half_life(
        SHORT_BETA, REFERENCE_BATCH_SIZE, batch_size
    ),
}
initial = [
    torch.stack(weights).detach()
    for weights in zip(*(model.parameters() for model in models))
]


def rates_for(kind, batch_size):
    """Learning rates to try, a factor of two apart."""
    name = kind.split("_")[0]
    middle = MIDDLE_RATES[name] * batch_size ** MIDDLE_POWERS[name]
    return middle * 2.0 ** np.arange(-RATE_STEPS, RATE_STEPS + 1)


def checkpoints_for(batch_size):
    """Numbers of updates to look at, about evenly on a logarithmic axis."""
    last = NUM_EXAMPLES // batch_size
    points = last / 2.0 ** np.arange(0, 12.5, 0.5)
    return sorted({round(point) for point in points if point >= 1})


def train(kind, batch_size):
    """Excess loss [checkpoints, rates, seeds], and the updates made."""
    rates = rates_for(kind, batch_size)
    count = len(rates)
    start = [w.repeat(count, *[1] * (w.dim() - 1)) for w in initial]
    factor = torch.tensor(np.repeat(rates, NUM_SEEDS), dtype=torch.float32)
    factor = [factor.reshape(-1, *[1] * (w.dim() - 1)) for w in start]
    travelled = [torch.zeros_like(weight) for weight in start]
    beta = KINDS[kind](batch_size)
    if beta is None:
        optimizer = torch.optim.SGD(travelled, lr=1.0, fused=True)
    else:
        optimizer = torch.optim.Adam(
            travelled, lr=1.0, betas=(0.9, beta), eps=1e-7, fused=True
        )

    def now():
        return [
            torch.addcmul(*parts) for parts in zip(start, factor, travelled)
        ]

    def scores(weights, inputs):
        # Features before examples: [replicas, scores, predictions].
        kernel, bias, last_kernel, last_bias = weights
        hidden = torch.baddbmm(bias[:, :, None], kernel, inputs).relu()
        return torch.baddbmm(last_bias[:, :, None], last_kernel, hidden)

    @torch.no_grad()
    def look():
        inputs = features.T.expand(count * NUM_SEEDS, -1, -1)
        found = scores(now(), inputs).log_softmax(dim=1).transpose(1, 2)
        shape = count, NUM_SEEDS, *found.shape[1:]
        return excess_loss(found.reshape(shape).numpy())

    pairs, characters = torch.tensor(read), torch.tensor(written).long()
    wanted, found = set(checkpoints_for(batch_size)), []
    num_updates = 0
    for batch in torch.arange(NUM_EXAMPLES).split(batch_size):
        inputs = features[pairs[:, batch].flatten(1)].transpose(1, 2)
        labels = characters[:, batch].flatten(1)
        weights = [weight.requires_grad_() for weight in now()]
        loss = nn.functional.cross_entropy(
            scores(weights, inputs.repeat(count, 1, 1)),
            labels.repeat(count, 1),
            reduction="sum",
        )
        # Each model's own mean; their gradients do not mix in a sum.
        gradients = torch.autograd.grad(loss / labels.shape[1], weights)
        for moved, gradient in zip(travelled, gradients):
            moved.grad = gradient
        optimizer.step()
        num_updates += 1
        if num_updates in wanted:
            found.append(look())
    return np.stack(found), num_updates


runs, updates_per_epoch = {}, {}
for kind in KINDS:
    for size in BATCH_SIZES:
        # Where the kept half-life is the reference's own, so is the run.
        if kind == "adam_kept" and size == REFERENCE_BATCH_SIZE:
            runs[kind, size] = runs["adam_short", size]
            continue
        runs[kind, size], updates_per_epoch[size] = train(kind, size)
    print("trained:", kind)

# %% [markdown]
# ## Measure
#
# The rate of one half of the seeds is the one with the lowest mean loss in
# the other half. A ratio pairs the runs of one seed, which share language,
# text and initial weights.

# %%
FEW = {"because": "short run"} if SHORT else {}
NOT_REACHED = "not every run became as good as a table of pairs"
values = {}


def put(key, samples, unit, ratio=False, timing=False):
    """Store the mean of the replicates with its interval."""
    samples = np.asarray(samples, dtype=float)
    if np.isnan(samples).any():
        values[key] = {"value": None, "unit": unit, "reason": NOT_REACHED}
        return
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW | ({"timing": True} if timing else {})


def low(key):
    return (values[key].get("ci") or [-np.inf])[0]


def high(key):
    return (values[key].get("ci") or [0, np.inf])[1]


everyone = np.arange(NUM_SEEDS)
smallest, largest = BATCH_SIZES[0], BATCH_SIZES[-1]
first_updates = updates_per_epoch[largest]
# By how much a table of pairs is worse than the best possible model.
pair_gap = np.array(
    [language.pair_entropy - language.entropy for language in languages]
)


def chosen_rates(kind, size):
    """Index of the rate of each seed, chosen on the other half of them."""
    final = runs[kind, size][-1]
    return np.array(
        [
            final[:, everyone % 2 != number % 2].mean(axis=1).argmin()
            for number in everyone
        ]
    )


def tuned(kind, size, steps=0):
    """Excess loss [checkpoints, seeds], at the tuned rate or above it."""
    chosen = np.minimum(chosen_rates(kind, size) + steps, 2 * RATE_STEPS)
    return runs[kind, size][:, chosen, everyone]


def best_rates(kind, size):
    """Best rate of each seed: the lowest point of a parabola.

    The parabola goes through the logarithms of the lowest loss and of its
    neighbours, so that the answer is not bound to the grid.
    """
    final = np.log(runs[kind, size][-1])
    middle = final.argmin(axis=0).clip(1, 2 * RATE_STEPS - 1)
    left, here, right = (final[middle + step, everyone] for step in (-1, 0, 1))
    bend = left - 2 * here + right
    # A short run may be flat.
    shift = np.where(bend > 0, (left - right) / (2 * bend + 1e-12), 0)
    return rates_for(kind, size)[middle] * 2.0 ** shift.clip(-1, 1)


def updates_to_pairs(kind, size):
    """Updates until as good as a table of pairs; nan where never.

    Between two looks it is interpolated, in log updates.
    """
    updates = np.log(checkpoints_for(size))
    found = []
    for excess, wanted in zip(tuned(kind, size).T, pair_gap):
        reached = np.flatnonzero(excess <= wanted)
        if not len(reached) or not reached[0]:
            found.append(np.nan)
            continue
        pair = slice(reached[0] - 1, reached[0] + 1)
        # np.interp wants rising numbers.
        found.append(np.interp(-wanted, -excess[pair], updates[pair]))
    return np.exp(found)


for name in ("entropy", "pair_entropy", "character_entropy"):
    put(name, [getattr(each, name) for each in languages], "nats")
for size in BATCH_SIZES:
    values[f"updates_per_epoch.{size}"] = {
        "value": updates_per_epoch[size],
        "unit": "updates",
        "exact": True,
    }
    for kind in ("adam_short", "adam_default", "adam_kept"):
        beta = KINDS[kind](size)
        exact = {"exact": True}
        values[f"beta.{kind}.{size}"] = {"value": beta, "unit": "1"} | exact
        values[f"half_life.{kind}.{size}"] = {
            "value": size * np.log(0.5) / np.log(beta),
            "unit": "examples",
        } | exact
    if size == smallest:
        continue
    cost = update_seconds[size] / update_seconds[smallest]
    put(f"update_cost.{size}", cost, "ratio", ratio=True, timing=True)
    cost = cost * updates_per_epoch[size] / updates_per_epoch[smallest]
    put(f"epoch_cost.{size}", cost, "ratio", ratio=True, timing=True)

inside = []
for kind in KINDS:
    to_pairs = {size: updates_to_pairs(kind, size) for size in BATCH_SIZES}
    best = {size: best_rates(kind, size) for size in BATCH_SIZES}
    for size in BATCH_SIZES:
        key = f"{kind}.{size}"
        excess = tuned(kind, size)
        chosen = chosen_rates(kind, size)
        inside.append((0 < chosen) & (chosen < 2 * RATE_STEPS))
        put(f"excess.{key}", excess[-1], "nats")
        put(f"learned.{key}", 1 - excess[-1] / pair_gap, "share")
        put(f"best_rate.{key}", best[size], "1", ratio=True)
        look = checkpoints_for(size).index(first_updates)
        put(f"excess_after_equal_updates.{key}", excess[look], "nats")
        put(f"updates_to_pairs.{key}", to_pairs[size], "updates")
        put(
            f"epochs_to_pairs.{key}",
            to_pairs[size] / updates_per_epoch[size],
            "epochs",
        )
        above = tuned(kind, size, TOO_HIGH_STEPS)[-1]
        put(f"excess_too_high.{key}", above, "nats")
        if size == smallest:
            continue
        put(
            f"worse_than_one.{key}",
            excess[-1] - tuned(kind, smallest)[-1],
            "nats",
        )
        # Updates vary with the seed and seconds with the machine: their
        # intervals are multiplied end by end, wider than need be.
        updates = to_pairs[size] / to_pairs[smallest]
        put(f"updates_ratio.{key}", updates, "ratio", ratio=True)
        put(
            f"seconds_to_pairs.{key}", updates, "ratio", ratio=True, timing=True
        )
        entry, cost = (
            values[f"seconds_to_pairs.{key}"],
            values[f"update_cost.{size}"],
        )
        if entry["value"] is not None:
            entry["value"] *= cost["value"]
            entry["ci"] = np.multiply(entry["ci"], cost["ci"]).tolist()
            entry["n"] = min(NUM_SEEDS, TIMED_REPEATS)
    for part, sizes in {"all": BATCH_SIZES, "small": BATCH_SIZES[:4]}.items():
        rates = np.log2([best[size] for size in sizes])
        slope = np.polyfit(np.log2(sizes), rates, 1)[0]
        put(f"exponent.{part}.{kind}", slope, "1")
        rise = best[sizes[-1]] / best[smallest]
        put(f"best_rate_rise.{part}.{kind}", rise, "ratio", ratio=True)

for size in BATCH_SIZES:
    for kind in ("sgd", "adam_short", "adam_default"):
        for name, steps in {
            "ratio": 0,
            "ratio_too_high": TOO_HIGH_STEPS,
        }.items():
            put(
                f"{name}.{kind}.{size}",
                tuned(kind, size, steps)[-1]
                / tuned("adam_kept", size, steps)[-1],
                "ratio",
                ratio=True,
            )
sgd_ratio = {
    size: tuned("sgd", size)[-1] / tuned("adam_kept", size)[-1]
    for size in BATCH_SIZES
}
for size in BATCH_SIZES[3:]:
    put(
        f"sgd_ratio_grows.{size}",
        sgd_ratio[size] / sgd_ratio[smallest],
        "ratio",
        ratio=True,
    )

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


all_keys = [f"{kind}.{size}" for kind in KINDS for size in BATCH_SIZES]
judge(
    "every_tuned_rate_is_inside",
    np.all(inside),
    *(f"best_rate.{key}" for key in all_keys),
)
# The largest size makes too few updates to be judged.
learning = [
    f"learned.{kind}.{size}" for kind in KINDS for size in BATCH_SIZES[:-1]
]
judge(
    "all_but_the_largest_learn",
    all(low(key) > 0 for key in learning),
    *learning,
)
for kind in KINDS:
    keys = [f"worse_than_one.{kind}.{size}" for size in BATCH_SIZES[1:]]
    judge(
        f"one_is_no_worse.{kind}",
        all(low(key) > -MARGIN_NATS for key in keys),
        *keys,
    )
    judge(
        f"largest_is_worse.{kind}",
        low(f"worse_than_one.{kind}.{largest}") > MARGIN_NATS,
        f"worse_than_one.{kind}.{largest}",
    )
    judge(
        f"largest_leads_after_equal_updates.{kind}",
        high(f"excess_after_equal_updates.{kind}.{largest}")
        < low(f"excess_after_equal_updates.{kind}.{smallest}"),
        f"excess_after_equal_updates.{kind}.{largest}",
        f"excess_after_equal_updates.{kind}.{smallest}",
    )
    judge(
        f"one_takes_more_seconds.{kind}",
        high(f"seconds_to_pairs.{kind}.64") < 1,
        f"seconds_to_pairs.{kind}.64",
    )
    key = f"exponent.small.{kind}"
    judge(
        f"rate_rises_faster_than_the_root.{kind}",
        low(key) > 0.5,
        key,
    )
    judge(f"rate_rises_slower_than_linear.{kind}", high(key) < 1, key)
judge(
    "kept_half_life_helps_at_one",
    low("ratio.adam_short.1") > 1,
    "ratio.adam_short.1",
)
judge(
    "kept_half_life_forgives_at_one",
    low("ratio_too_high.adam_short.1") > 1,
    "ratio_too_high.adam_short.1",
)
key = f"ratio.adam_default.{largest}"
judge("default_beta_is_better_at_the_largest", high(key) < 1, key)
key = f"sgd_ratio_grows.{REFERENCE_BATCH_SIZE}"
judge("sgd_comes_closer_at_one", low(key) > 1, key)
judge(
    "sgd_is_behind_at_one",
    low(f"ratio.sgd.{smallest}") > 1,
    f"ratio.sgd.{smallest}",
)
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Excess loss after one pass

# %%
figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
for kind in KINDS:
    excess = [values[f"excess.{kind}.{size}"]["value"] for size in BATCH_SIZES]
    axis.plot(BATCH_SIZES, excess, "o-", label=kind)
axis.set_xscale("log", base=2)
axis.set_yscale("log")
axis.set(xlabel="Sequences per update", ylabel="Excess loss (nats)")
axis.legend()
plt.show()

# %% [markdown]
# ## Results

# %%
series = {}


def band(samples, x, unit, ratio=False):
    """Mean and interval over the last axis, as a series."""
    rows = np.array([mean_interval(each, ratio=ratio) for each in samples]).T
    return {"x": list(x), "unit": unit} | {
        key: row.tolist() for key, row in zip(("y", "low", "high"), rows)
    }


for kind in KINDS:
    series[f"final.{kind}"] = band(
        [tuned(kind, size)[-1] for size in BATCH_SIZES], BATCH_SIZES, "nats"
    )
    series[f"best_rate.{kind}"] = band(
        [best_rates(kind, size) for size in BATCH_SIZES],
        BATCH_SIZES,
        "1",
        ratio=True,
    )
    for size in BATCH_SIZES:
        series[f"map.{kind}.{size}"] = band(
            runs[kind, size][-1], rates_for(kind, size).tolist(), "nats"
        )
        updates = np.array(checkpoints_for(size))
        axes_of = {
            "epoch": updates / updates_per_epoch[size],
            "update": updates,
            "second": updates * update_seconds[size].mean(),
        }
        for budget, x in axes_of.items():
            series[f"loss_by_{budget}.{kind}.{size}"] = band(
                tuned(kind, size), x.tolist(), "nats"
            )

results = {"values": values, "judgements": judgements, "series": series}
