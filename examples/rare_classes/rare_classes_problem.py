# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import numpy as np
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score

from snippets.count_updates import count_updates
from snippets.stratify_batches import stratify_batches

SHORT = False

BATCH_SIZES = [32, 256, 1024]
SMALLEST = 32
LARGEST = 1024
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
# Balanced: attacks weigh as much as the rest. Of a benign one, of an attack.
CLASS_WEIGHTS = [
    NUM_TRAIN / (2 * (NUM_TRAIN - NUM_TRAIN // ATTACK_IN)),
    ATTACK_IN / 2,
]
# Outputs and labels of one batch, for a look at the weighted loss.
LOSS_LOGITS = [0.5, -1.0, 0.0, 2.0]
LOSS_LABELS = [1, 0, 0, 0]
# Of a plain loop, to compare it with the training of many at once.
FEW_UPDATES = 5

# %% [markdown]
# ## Data
#
# Every replicate is a data set of its own, with exactly one attack in a
# hundred messages to train, to validate and to test. By default,
# make_classification draws one label in a hundred at random, which would
# spoil a third of the attacks; `flip_y=0` leaves that out.


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
x_one, y_one = (each[0] for each in data["train"])

# %% [markdown]
# ## In which order examples come
#
# Each data set has an order of its own, drawn anew for every epoch: at random,
# or so that the batches share the attacks out evenly.


# %%
def epoch_order(numbers, batch_size, way, random):
    """The order of an epoch for each data set: [networks, examples]."""
    if way != "stratified":
        in_order = np.tile(np.arange(NUM_TRAIN), (len(numbers), 1))
        return random.permuted(in_order, axis=1)
    labels = data["train"][1][numbers]
    batches = [stratify_batches(each, batch_size, random) for each in labels]
    return np.stack([np.concatenate(each) for each in batches])


def train_in_order(numbers, batch_size, looks, way, advance, predict):
    """{number of updates: {part: logits [networks, examples]}}.

    numbers: the data set of each network.
    looks: after how many updates to look; training ends with the last.
    way: "plain", "weighted" or "stratified".
    advance: makes the updates of an order of examples [networks, any], which
        counts through all data sets, one behind the other.
    predict: the logits of examples [networks, examples, features].
    """
    random = np.random.default_rng(FIRST_SEED + batch_size)
    per_epoch = count_updates(NUM_TRAIN, batch_size)
    found, done = {}, 0
    for look in looks:
        while done < look:
            first = done % per_epoch
            if first == 0:
                order = epoch_order(numbers, batch_size, way, random)
                order += NUM_TRAIN * np.array(numbers)[:, None]
            # Up to the end of the epoch, or to the look.
            last = min(per_epoch, first + look - done)
            advance(order[:, first * batch_size : last * batch_size])
            done += last - first
        found[look] = {
            part: predict(data[part][0][numbers])
            for part in ("validation", "test")
        }
    return found


# What a plain loop gets.
order = epoch_order(
    [0], SMALLEST, "weighted", np.random.default_rng(FIRST_SEED + SMALLEST)
)
few_batches = order.reshape(-1)[: SMALLEST * FEW_UPDATES].reshape(-1, SMALLEST)

# %% [markdown]
# ## Gradients of an epoch
#
# With the weights held still, each batch counts by its number of examples.


# %%
def errors_of_sums(gradient_of):
    """How far an epoch's batches sum to another gradient, by batch size.

    gradient_of: (x, y) -> gradient of the mean loss, as one row.
    Returns a share of the length of the gradient of all data.
    """
    whole = gradient_of(x_one, y_one)
    order = np.random.default_rng(FIRST_SEED).permutation(NUM_TRAIN)
    errors = {}
    for size in BATCH_SIZES:
        total = sum(
            len(batch) / NUM_TRAIN * gradient_of(x_one[batch], y_one[batch])
            for batch in np.split(order, range(size, NUM_TRAIN, size))
        )
        error = np.linalg.norm(total - whole) / np.linalg.norm(whole)
        errors[size] = float(error)
    return errors


# %% [markdown]
# ## How a network is scored
#
# Recall is the share of the attacks that are found, precision the share of
# attacks among what is flagged; it counts as zero where nothing is flagged.
# Both need a threshold: a probability of one half, or the one with the best
# F1 on the validation data. Average precision needs none: it judges the
# ranking.


# %%
def best_threshold(logits, labels):
    """The logit from which on flagging has the best F1."""
    order = np.argsort(-logits)
    hits = labels[order].cumsum()
    f1 = 2 * hits / (np.arange(1, len(logits) + 1) + labels.sum())
    return logits[order][f1.argmax()]


def score(run):
    """{metric: one number for each data set} of {part: logits}."""
    rows = []
    for number in reported:
        labels, logits = data["test"][1][number], run["test"][number]
        known = run["validation"][number], data["validation"][1][number]
        flagged, chosen = logits > 0, logits >= best_threshold(*known)
        hits, hits_chosen = labels[flagged].sum(), labels[chosen].sum()
        row = {
            "average_precision": average_precision_score(labels, logits),
            "alarms": flagged.sum(),
            "recall": hits / labels.sum(),
            "precision": hits / max(flagged.sum(), 1),
            "recall_chosen": hits_chosen / labels.sum(),
            "f1_chosen": 2 * hits_chosen / (chosen.sum() + labels.sum()),
        }
        rows.append(row)
    return {name: np.array([row[name] for row in rows]) for name in row}


def recall_with(alarms, run):
    """Recall on each data set if so many messages are flagged."""
    ranked = np.argsort(-run["test"], axis=1)
    each = zip(alarms, data["test"][1], ranked)
    return np.array(
        [labels[top[:n]].sum() / labels.sum() for n, labels, top in each]
    )


# %% [markdown]
# ## Which runs to make
#
# Rates are chosen by the average precision on data sets that are not
# reported, after equal epochs. Weights and stratified batches are compared
# with plain training under the budget that trains longer.

# %%
COMPARED_AFTER = {SMALLEST: "epochs", LARGEST: "updates"}


def choose_exponents(train):
    """The best exponent of a rate, by batch size.

    train: (numbers of the data sets, their rates, batch size, looks, way) ->
        {number of updates: {part: logits}}.
    """
    chosen = {}
    for size, exponents in RATE_EXPONENTS.items():
        numbers = tuned_on * len(exponents)
        rates = BASE_RATE * 2.0 ** np.repeat(exponents, len(tuned_on))
        last = NUM_EPOCHS * count_updates(NUM_TRAIN, size)
        logits = train(numbers, rates, size, [last], "plain")[last]["test"]
        labels = data["test"][1][numbers]
        scores = [
            average_precision_score(*each) for each in zip(labels, logits)
        ]
        scores = np.reshape(scores, (len(exponents), -1)).mean(axis=1)
        chosen[size] = exponents[int(scores.argmax())]
        print(size, "rates by average precision:", scores.round(3))
    return chosen


def budgets_of(regime, batch_size):
    """{budget: number of updates} of the runs to make, maybe none."""
    wanted = ["epochs", "updates"]
    if regime == "root":
        # At the smallest size its rate is that of all.
        wanted = ["epochs"] if batch_size > SMALLEST else []
    elif regime in ("weighted", "stratified"):
        wanted = [COMPARED_AFTER.get(batch_size)]
    epochs = NUM_EPOCHS * count_updates(NUM_TRAIN, batch_size)
    budgets = {"epochs": epochs, "updates": NUM_UPDATES}
    return {name: budgets[name] for name in budgets if name in wanted}


def train_all(train, chosen):
    """{(budget, regime, batch size): {metric: [data sets]}}."""
    runs = {}
    for regime in ("one", "root", "tuned", "weighted", "stratified"):
        way = regime if regime in ("weighted", "stratified") else "plain"
        for size in BATCH_SIZES:
            budgets = budgets_of(regime, size)
            if not budgets:
                continue
            exponents = {"one": 0, "root": 0.5 * np.log2(size / SMALLEST)}
            exponent = exponents.get(regime, chosen[size])
            rates = [BASE_RATE * 2.0**exponent] * NUM_DATA_SETS
            looks = sorted(set(budgets.values()))
            found = train(reported, rates, size, looks, way)
            for budget, look in budgets.items():
                runs[budget, regime, size] = found[look]
            print("trained:", regime, size)
    runs["epochs", "root", SMALLEST] = runs["epochs", "one", SMALLEST]
    scores = {key: score(run) for key, run in runs.items()}
    for size, budget in COMPARED_AFTER.items():
        alarms = scores[budget, "weighted", size]["alarms"]
        recall = recall_with(alarms, runs[budget, "tuned", size])
        scores[budget, "tuned", size]["recall_at_equal_alarms"] = recall
    return scores
