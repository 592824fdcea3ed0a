# %% [markdown]
# # Mistakes with batches and updates (PyTorch)
#
# Makes each of the usual mistakes on purpose, measures how it shows, and runs
# what mends it.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`
# - Expected: `0.5` minutes

# %%
import os

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import warnings

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from snippets.mean_interval import mean_interval

torch.set_num_threads(1)

# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
SHORT = False

NUM_TRAIN = 1000
SPLIT_SEED = 1
NUM_FEATURES = 64
NUM_CLASSES = 10
HIDDEN_UNITS = 32
# Examples per update, and per forward pass where they are accumulated.
BATCH_SIZE = 32
MICRO_BATCH_SIZE = 8
LEARNING_RATE = 0.2
NUM_EPOCHS = 5
# Added to the variance by both kinds of normalisation.
EPSILON = 1e-5
# Updates with the same examples, to see the gradient grow.
NUM_GROUPS = 5
# Two whole batches and one example over.
LEFT_OVER_EXAMPLES = 65
# Fewer examples than a batch.
FEW_EXAMPLES = 20
# How often the examples of a batch are repeated to make a larger one.
COPIES = 8
# Examples per update over all devices, and how many devices.
GLOBAL_BATCH_SIZE = 64
NUM_DEVICES = 4
# Padded sequences of a batch and of a micro-batch, and the longest, in tokens.
NUM_SEQUENCES = 8
MICRO_SEQUENCES = 2
MAX_LENGTH = 8
# How often one token occurs in a batch.
NUM_OCCURRENCES = 4
EMBEDDING_RATE = 0.1
ADAM_EPSILON = 1e-7
# A relative difference below this is rounding. Set beforehand.
ROUNDING = 1e-4
# A gradient that is off by more than this is wrong. Set beforehand.
WRONG = 0.05
# Classes at the end of sorted data, of which most predictions are then.
LAST_CLASSES = 2
# "Far behind" is more than this, in percentage points. Set beforehand.
FAR_POINTS = 20.0
NUM_SEEDS = 3 if SHORT else 10
FIRST_SEED = 700

# %% [markdown]
# ## Devices
#
# Nothing to do: of several devices only the loaders are looked at.

# %% [markdown]
# ## Data and network
#
# Handwritten digits, `8` by `8` pixels, split once for all runs.

# %%
x, y = load_digits(return_X_y=True)
order = np.random.default_rng(SPLIT_SEED).permutation(len(x))
x, y = (x / 16).astype("float32")[order], y.astype("int64")[order]
x, y = torch.tensor(x), torch.tensor(y)
x_train, y_train = x[:NUM_TRAIN], y[:NUM_TRAIN]
x_test, y_test = x[NUM_TRAIN:], y[NUM_TRAIN:]
seeds = range(FIRST_SEED, FIRST_SEED + NUM_SEEDS)


# --8<-- [start:common]
def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, HIDDEN_UNITS),
        nn.ReLU(),
        nn.Linear(HIDDEN_UNITS, NUM_CLASSES),
    )
    # The initial weights that Keras draws.
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


def mean_loss(outputs, labels):
    return nn.functional.cross_entropy(outputs, labels)


def train_on(model, optimizer, batches):
    for x, y in batches:
        optimizer.zero_grad()
        mean_loss(model(x), y).backward()
        optimizer.step()


# --8<-- [end:common]


def plain_descent(model, rate=LEARNING_RATE):
    return torch.optim.SGD(model.parameters(), lr=rate)


def flat(tensors):
    return np.concatenate([each.detach().numpy().ravel() for each in tensors])


def length_of(tensors):
    return float(np.linalg.norm(flat(tensors)))


def gradients(model):
    return [each.grad for each in model.parameters()]


def first_batch():
    return x_train[:BATCH_SIZE], y_train[:BATCH_SIZE]


def micro_batches(x, y):
    return list(zip(x.split(MICRO_BATCH_SIZE), y.split(MICRO_BATCH_SIZE)))


def moved_by(update, model, parts):
    """How far each weight moves in one update at a rate of one."""
    before = flat(model.parameters())
    update(model, plain_descent(model, 1.0), parts)
    return flat(model.parameters()) - before


def relative(found, right):
    return float(np.linalg.norm(found - right) / np.linalg.norm(right))


def count_warnings(caught):
    """Warnings to the user, but for one that a dataset is not shuffled."""
    messages = [str(w.message) for w in caught if w.category is UserWarning]
    return sum("shuffle" not in message for message in messages)


# What each mistake and each repair gave; lists have one entry for each seed.
found = {}

# %% [markdown]
# ## Accumulate without dividing
#
# The first of each pair of functions makes the mistake, the second does not.


# %%
# --8<-- [start:no_division]
def update_undivided(model, optimizer, parts):
    optimizer.zero_grad()
    for x, y in parts:
        mean_loss(model(x), y).backward()
    optimizer.step()


# --8<-- [end:no_division]
# --8<-- [start:division]
def update_divided(model, optimizer, parts):
    num_examples = sum(len(x) for x, _ in parts)
    optimizer.zero_grad()
    for x, y in parts:
        share = len(x) / num_examples
        (share * mean_loss(model(x), y)).backward()
    optimizer.step()


# --8<-- [end:division]
found["no_division"], found["division"] = [], []
for seed in seeds:
    parts = micro_batches(*first_batch())
    right = moved_by(update_divided, build_model(seed), [first_batch()])
    wrong = moved_by(update_undivided, build_model(seed), parts)
    mended = moved_by(update_divided, build_model(seed), parts)
    found["no_division"].append(np.linalg.norm(wrong) / np.linalg.norm(right))
    found["division"].append(relative(mended, right))

# %% [markdown]
# ## Forget to clear the gradients
#
# At a rate of zero and with the same examples, each update should have the
# same gradient.


# %%
# --8<-- [start:no_reset]
def train_without_clearing(model, optimizer, groups):
    lengths = []
    for parts in groups:
        for x, y in parts:
            (mean_loss(model(x), y) / len(parts)).backward()
        optimizer.step()
        lengths.append(length_of(gradients(model)))
    return lengths


# --8<-- [end:no_reset]
# --8<-- [start:reset]
def train_with_clearing(model, optimizer, groups):
    lengths = []
    for parts in groups:
        # Anew for each update.
        optimizer.zero_grad()
        for x, y in parts:
            (mean_loss(model(x), y) / len(parts)).backward()
        optimizer.step()
        lengths.append(length_of(gradients(model)))
    return lengths


# --8<-- [end:reset]
found["no_reset"], found["reset"] = [], []
for seed in seeds:
    groups = [micro_batches(*first_batch())] * NUM_GROUPS
    for key, train in (
        ("no_reset", train_without_clearing),
        ("reset", train_with_clearing),
    ):
        model = build_model(seed)
        lengths = train(model, plain_descent(model, 0.0), groups)
        found[key].append(lengths[-1] / lengths[0])

# %% [markdown]
# ## Accumulate with batch normalisation
#
# The update from micro-batches against that of the whole batch.


# %%
# --8<-- [start:batch_norm]
def build_with_batch_norm(seed):
    first, activation, last = build_model(seed)
    norm = nn.BatchNorm1d(HIDDEN_UNITS, eps=EPSILON)
    return nn.Sequential(first, norm, activation, last)


# --8<-- [end:batch_norm]
# --8<-- [start:layer_norm]
def build_with_layer_norm(seed):
    first, activation, last = build_model(seed)
    norm = nn.LayerNorm(HIDDEN_UNITS, eps=EPSILON)
    return nn.Sequential(first, norm, activation, last)


# --8<-- [end:layer_norm]
for key, build in (
    ("batch_norm", build_with_batch_norm),
    ("layer_norm", build_with_layer_norm),
):
    found[key] = []
    for seed in seeds:
        parts = micro_batches(*first_batch())
        right = moved_by(update_divided, build(seed), [first_batch()])
        parted = moved_by(update_divided, build(seed), parts)
        found[key].append(relative(parted, right))

# %% [markdown]
# ## Normalise a batch of two
#
# How many of the normalised values are as good as plus or minus one:
# nothing but a sign is left of those.


# %%
# --8<-- [start:pair_by_batch]
def normalise_pair_by_batch(hidden):
    layer = nn.BatchNorm1d(HIDDEN_UNITS, eps=EPSILON)
    return layer(hidden[:2])


# --8<-- [end:pair_by_batch]
# --8<-- [start:pair_by_example]
def normalise_pair_by_example(hidden):
    layer = nn.LayerNorm(HIDDEN_UNITS, eps=EPSILON)
    return layer(hidden[:2])


# --8<-- [end:pair_by_example]
for key, normalise in (
    ("pair_by_batch", normalise_pair_by_batch),
    ("pair_by_example", normalise_pair_by_example),
):
    found[key] = []
    for number, seed in enumerate(seeds):
        hidden = build_with_batch_norm(seed)[0](x_train[2 * number :])
        values = normalise(hidden).detach().numpy()
        found[key].append(float((np.abs(np.abs(values) - 1) < 0.01).mean()))

# %% [markdown]
# ## Leave one example over, with batch normalisation
#
# If it raises, that is caught and counted. If not, single examples go through
# the layer, and their different outputs are counted.


# %%
# --8<-- [start:one_left_over]
def train_with_one_left_over(model, x, y):
    batches = DataLoader(TensorDataset(x, y), BATCH_SIZE, shuffle=True)
    train_on(model, plain_descent(model), batches)


# --8<-- [end:one_left_over]
# --8<-- [start:none_left_over]
def train_with_none_left_over(model, x, y):
    batches = DataLoader(
        TensorDataset(x, y), BATCH_SIZE, shuffle=True, drop_last=True
    )
    train_on(model, plain_descent(model), batches)


# --8<-- [end:none_left_over]
some = x_train[:LEFT_OVER_EXAMPLES], y_train[:LEFT_OVER_EXAMPLES]
for key, train in (
    ("one_left_over", train_with_one_left_over),
    ("none_left_over", train_with_none_left_over),
):
    torch.manual_seed(FIRST_SEED)
    model = build_with_batch_norm(FIRST_SEED)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            train(model, *some)
            found[key + ".refused"] = 0
        except ValueError as error:
            print("refused:", error)
            found[key + ".refused"] = 1
    found[key + ".warned"] = count_warnings(caught)
model = build_with_batch_norm(FIRST_SEED)
try:
    alone = [
        model(x_train[number : number + 1]).detach().numpy()
        for number in range(10)
    ]
    found["different_outputs"] = len({each.tobytes() for each in alone})
except ValueError:
    found["different_outputs"] = None

# %% [markdown]
# ## Average the losses of unequal batches
#
# How much of the mean is the example that was left over: the change of the
# mean over the change of that example's own loss.


# %%
# --8<-- [start:mean_of_batches]
def loss_by_batches(model, batches):
    losses = [mean_loss(model(x), y).item() for x, y in batches]
    return sum(losses) / len(losses)


# --8<-- [end:mean_of_batches]
# --8<-- [start:mean_of_examples]
def loss_by_examples(model, batches):
    losses = [mean_loss(model(x), y).item() * len(x) for x, y in batches]
    return sum(losses) / sum(len(x) for x, _ in batches)


# --8<-- [end:mean_of_examples]
def share_of_the_last(average, model):
    x, y = some
    changed = y.clone()
    changed[-1] = (y[-1] + 1) % NUM_CLASSES
    means, own = [], []
    for labels in (y, changed):
        batches = list(zip(x.split(BATCH_SIZE), labels.split(BATCH_SIZE)))
        means.append(average(model, batches))
        own.append(average(model, batches[-1:]))
    return (means[1] - means[0]) / (own[1] - own[0])


model = build_model(FIRST_SEED)
found["mean_of_batches"] = share_of_the_last(loss_by_batches, model)
found["mean_of_examples"] = share_of_the_last(loss_by_examples, model)

# %% [markdown]
# ## Drop the only batch


# %%
# --8<-- [start:dropped]
def train_dropping_the_rest(model, x, y, batch_size):
    batches = DataLoader(TensorDataset(x, y), batch_size, drop_last=True)
    train_on(model, plain_descent(model), batches)


# --8<-- [end:dropped]
# --8<-- [start:not_dropped]
def train_on_what_there_is(model, x, y, batch_size):
    batch_size = min(batch_size, len(x))
    batches = DataLoader(TensorDataset(x, y), batch_size, drop_last=True)
    train_on(model, plain_descent(model), batches)


# --8<-- [end:not_dropped]
few = x_train[:FEW_EXAMPLES], y_train[:FEW_EXAMPLES]
for key, train in (
    ("dropped", train_dropping_the_rest),
    ("not_dropped", train_on_what_there_is),
):
    model = build_model(FIRST_SEED)
    before = flat(model.parameters())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(model, *few, BATCH_SIZE)
    found[key + ".warned"] = count_warnings(caught)
    found[key + ".changed"] = int((flat(model.parameters()) != before).any())

# %% [markdown]
# ## Seed everything, and shuffle
#
# The orders are read from what passes through a layer.


# %%
# --8<-- [start:seeded_order]
def train_seeded(model, x, y):
    torch.manual_seed(FIRST_SEED)
    batches = DataLoader(TensorDataset(x, y), BATCH_SIZE, shuffle=True)
    for _ in range(NUM_EPOCHS):
        train_on(model, plain_descent(model), batches)


# --8<-- [end:seeded_order]
# --8<-- [start:own_order]
def train_with_own_shuffle(model, x, y):
    random = torch.Generator().manual_seed(FIRST_SEED)
    batches = DataLoader(
        TensorDataset(x, y), BATCH_SIZE, shuffle=True, generator=random
    )
    for _ in range(NUM_EPOCHS):
        train_on(model, plain_descent(model), batches)


# --8<-- [end:own_order]
class Spy(nn.Module):
    """Writes down which examples pass."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, inputs):
        self.seen += inputs[:, 0].int().tolist()
        return inputs


numbers = torch.arange(2.0 * BATCH_SIZE)[:, None]
for key, train in (
    ("seeded_order", train_seeded),
    ("own_order", train_with_own_shuffle),
):
    spy = Spy()
    train(
        nn.Sequential(spy, nn.Linear(1, 2)), numbers, 0 * numbers[:, 0].long()
    )
    epochs = np.array(spy.seen).reshape(NUM_EPOCHS, -1)
    found[key] = len({tuple(order) for order in epochs.tolist()})

# %% [markdown]
# ## Leave the data sorted by class


# %%
by_class = torch.argsort(y_train, stable=True)
x_sorted, y_sorted = x_train[by_class], y_train[by_class]


# --8<-- [start:sorted]
def train_in_order(model, x, y, seed):
    batches = DataLoader(TensorDataset(x, y), BATCH_SIZE)
    for _ in range(NUM_EPOCHS):
        train_on(model, plain_descent(model), batches)


# --8<-- [end:sorted]
# --8<-- [start:shuffled]
def train_shuffled(model, x, y, seed):
    random = torch.Generator().manual_seed(seed)
    batches = DataLoader(
        TensorDataset(x, y), BATCH_SIZE, shuffle=True, generator=random
    )
    for _ in range(NUM_EPOCHS):
        train_on(model, plain_descent(model), batches)


# --8<-- [end:shuffled]
for key, train in (("sorted", train_in_order), ("shuffled", train_shuffled)):
    found[key], found[key + ".late"] = [], []
    for seed in seeds:
        model = build_model(seed)
        train(model, x_sorted, y_sorted, seed)
        chosen = model(x_test).argmax(dim=1)
        found[key].append(100 * (chosen == y_test).double().mean().item())
        late = chosen >= NUM_CLASSES - LAST_CLASSES
        found[key + ".late"].append(late.double().mean().item())
found["updates_per_epoch"] = len(
    DataLoader(TensorDataset(x_sorted, y_sorted), BATCH_SIZE)
)

# %% [markdown]
# ## Sum the loss
#
# The gradient of a batch, and of a larger one that holds the same examples
# several times.


# %%
# --8<-- [start:summed]
def summed_loss(outputs, labels):
    return nn.functional.cross_entropy(outputs, labels, reduction="sum")


# --8<-- [end:summed]
# --8<-- [start:averaged]
def averaged_loss(outputs, labels):
    return nn.functional.cross_entropy(outputs, labels, reduction="mean")


# --8<-- [end:averaged]
for key, loss in (("summed", summed_loss), ("averaged", averaged_loss)):
    found[key] = []
    for seed in seeds:
        lengths = []
        for copies in (1, COPIES):
            x, y = (torch.cat([each] * copies) for each in first_batch())
            model = build_model(seed)
            loss(model(x), y).backward()
            lengths.append(length_of(gradients(model)))
        found[key].append(lengths[1] / lengths[0])

# %% [markdown]
# ## Take the number of one device for that of all
#
# The loaders of all devices, as their processes would make them.


# %%
# --8<-- [start:per_device]
def batches_of_device_wrong(dataset, rank):
    sampler = DistributedSampler(dataset, NUM_DEVICES, rank)
    return DataLoader(dataset, GLOBAL_BATCH_SIZE, sampler=sampler)


# --8<-- [end:per_device]
# --8<-- [start:global]
def batches_of_device(dataset, rank):
    # Its set_epoch(epoch) has to be called before each epoch.
    sampler = DistributedSampler(dataset, NUM_DEVICES, rank)
    return DataLoader(
        dataset, GLOBAL_BATCH_SIZE // NUM_DEVICES, sampler=sampler
    )


# --8<-- [end:global]
dataset = TensorDataset(x_train)
for key, batches_of in (
    ("per_device", batches_of_device_wrong),
    ("global", batches_of_device),
):
    shares = [
        next(iter(batches_of(dataset, rank)))[0] for rank in range(NUM_DEVICES)
    ]
    found[key] = sum(len(share) for share in shares)

# %% [markdown]
# ## Average tokens by micro-batch
#
# The rows of `x` are tokens, digits here; `mask` is zero for padding.


# %%
# --8<-- [start:token_means]
def update_by_token_means(model, optimizer, parts):
    optimizer.zero_grad()
    for x, y, mask in parts:
        losses = token_losses(model(x), y) * mask
        (losses.sum() / mask.sum() / len(parts)).backward()
    optimizer.step()


# --8<-- [end:token_means]
# --8<-- [start:all_tokens]
def update_by_all_tokens(model, optimizer, parts):
    num_tokens = sum(mask.sum() for _, _, mask in parts)
    optimizer.zero_grad()
    for x, y, mask in parts:
        losses = token_losses(model(x), y) * mask
        (losses.sum() / num_tokens).backward()
    optimizer.step()


# --8<-- [end:all_tokens]
def token_losses(outputs, labels):
    return nn.functional.cross_entropy(outputs, labels, reduction="none")


# The first sequence has one token, the next two, and so on.
lengths = torch.arange(1, NUM_SEQUENCES + 1)
mask = (torch.arange(MAX_LENGTH) < lengths[:, None]).float().flatten()
num_rows = NUM_SEQUENCES * MAX_LENGTH
tokens = x_train[:num_rows], y_train[:num_rows], mask
rows = MICRO_SEQUENCES * MAX_LENGTH
token_parts = list(zip(*(each.split(rows) for each in tokens)))
found["token_means"], found["all_tokens"] = [], []
for seed in seeds:
    right = moved_by(update_by_all_tokens, build_model(seed), [tokens])
    for key, update in (
        ("token_means", update_by_token_means),
        ("all_tokens", update_by_all_tokens),
    ):
        parted = moved_by(update, build_model(seed), token_parts)
        found[key].append(relative(parted, right))

# %% [markdown]
# ## Let Adam square a gradient in parts
#
# A batch in which one token comes several times, and the first update of its
# embedding, in learning rates. Adam should move it by one.


# %%
# --8<-- [start:in_parts]
def train_embedding(x):
    embedding = nn.Embedding(2, 1)
    nn.init.zeros_(embedding.weight)
    optimizer = torch.optim.Adam(
        embedding.parameters(), lr=EMBEDDING_RATE, eps=ADAM_EPSILON
    )
    embedding(x).mean().backward()
    optimizer.step()
    return embedding.weight.detach()


# --8<-- [end:in_parts]
# --8<-- [start:in_one]
def train_sparse_embedding(x):
    embedding = nn.Embedding(2, 1, sparse=True)
    nn.init.zeros_(embedding.weight)
    # It adds up what one row of the table gets, too.
    optimizer = torch.optim.SparseAdam(
        embedding.parameters(), lr=EMBEDDING_RATE, eps=ADAM_EPSILON
    )
    embedding(x).mean().backward()
    optimizer.step()
    return embedding.weight.detach()


# --8<-- [end:in_one]
same_token = torch.zeros((NUM_OCCURRENCES, 1), dtype=torch.long)
for key, train in (
    ("in_parts", train_embedding),
    ("in_one", train_sparse_embedding),
):
    found[key] = -train(same_token)[0, 0].item() / EMBEDDING_RATE

# %% [markdown]
# ## Augment at random, after seeding
#
# How many epochs differ from each other.


# %%
# --8<-- [start:same_noise]
class NoisyExamples:
    def __init__(self, x):
        torch.manual_seed(FIRST_SEED)
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        example = self.x[index]
        return example + torch.rand(example.shape)


# --8<-- [end:same_noise]
# --8<-- [start:new_noise]
class FreshlyNoisyExamples:
    def __init__(self, x):
        self.x = x
        # It keeps its state from epoch to epoch, in the main process only: each
        # worker gets a copy in the same state. torch.rand is right in both.
        self.random = torch.Generator().manual_seed(FIRST_SEED)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        example = self.x[index]
        return example + torch.rand(example.shape, generator=self.random)


# --8<-- [end:new_noise]
for key, augmented in (
    ("same_noise", NoisyExamples),
    ("new_noise", FreshlyNoisyExamples),
):
    batches = DataLoader(augmented(x_train[:BATCH_SIZE]), BATCH_SIZE)
    epochs = [flat(list(batches)).tobytes() for _ in range(NUM_EPOCHS)]
    found[key] = len(set(epochs))

# %% [markdown]
# ## Measure

# %%
FEW = {"because": "short run"} if SHORT else {}
values, judgements = {}, {}


def put(key, samples, unit, ratio=False):
    """Store the mean over the seeds with its interval."""
    mean, low, high = mean_interval(samples, ratio=ratio)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW


def put_exact(key, value, unit, reason=None):
    values[key] = {"value": value, "unit": unit, "exact": True}
    values[key] |= {"reason": reason} if value is None else {}


def put_count(key, which, unit="seeds"):
    put_exact(key, int(np.sum(which)), unit)


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


def in_no_seed(key):
    return values[key]["value"] == 0


def in_all_seeds(key):
    return values[key]["value"] == NUM_SEEDS


put_exact(
    f"updates_per_epoch.{BATCH_SIZE}", found["updates_per_epoch"], "updates"
)

# Accumulation without division.
steps = BATCH_SIZE // MICRO_BATCH_SIZE
put("no_division.length", found["no_division"], "ratio", ratio=True)
off = np.abs(np.array(found["no_division"]) / steps - 1) > ROUNDING
put_count("no_division.not_as_long_as_passes", off)
put_count("division.differs", np.array(found["division"]) > ROUNDING)
judge(
    "undivided_is_as_many_times_as_long",
    in_no_seed("no_division.not_as_long_as_passes"),
    "no_division.not_as_long_as_passes",
)
judge("division_mends_it", in_no_seed("division.differs"), "division.differs")

# Gradients that are not cleared.
put("no_reset.length", found["no_reset"], "ratio", ratio=True)
off = np.abs(np.array(found["no_reset"]) / NUM_GROUPS - 1) > ROUNDING
put_count("no_reset.not_as_long_as_updates", off)
off = np.abs(np.array(found["reset"]) - 1) > ROUNDING
put_count("reset.differs", off)
judge(
    "uncleared_gradients_add_up",
    in_no_seed("no_reset.not_as_long_as_updates"),
    "no_reset.not_as_long_as_updates",
)
judge("clearing_mends_it", in_no_seed("reset.differs"), "reset.differs")

# Accumulation with normalisation.
put("batch_norm.difference", found["batch_norm"], "ratio", ratio=True)
put_count("batch_norm.wrong", np.array(found["batch_norm"]) > WRONG)
put_count("layer_norm.differs", np.array(found["layer_norm"]) > ROUNDING)
judge(
    "batch_norm_changes_the_update",
    in_all_seeds("batch_norm.wrong"),
    "batch_norm.wrong",
)
judge(
    "layer_norm_keeps_the_update",
    in_no_seed("layer_norm.differs"),
    "layer_norm.differs",
)

# Two examples, normalised.
put("pair_by_batch.signs", found["pair_by_batch"], "share")
put("pair_by_example.signs", found["pair_by_example"], "share")
judge(
    "most_of_a_pair_are_signs",
    values["pair_by_batch.signs"]["ci"][0] > 0.5,
    "pair_by_batch.signs",
)
judge(
    "few_of_a_pair_are_signs",
    values["pair_by_example.signs"]["ci"][1] < 0.2,
    "pair_by_example.signs",
)

# One example left over.
for key in ("one_left_over", "none_left_over"):
    put_exact(f"{key}.refused", found[f"{key}.refused"], "runs")
put_exact("one_left_over.warnings", found["one_left_over.warned"], "warnings")
put_exact(
    "one_left_over.different_outputs",
    found["different_outputs"],
    "outputs",
    "a single example is refused",
)
refused = values["one_left_over.refused"]["value"] == 1
judge("one_example_is_refused", refused, "one_left_over.refused")
judge(
    "one_example_passes_unnoticed",
    not refused and values["one_left_over.warnings"]["value"] == 0,
    "one_left_over.refused",
    "one_left_over.warnings",
)
judge(
    "one_example_has_no_say",
    values["one_left_over.different_outputs"]["value"] == 1,
    "one_left_over.different_outputs",
)
judge(
    "dropping_one_mends_it",
    values["none_left_over.refused"]["value"] == 0,
    "none_left_over.refused",
)

# The loss of an epoch.
for key in ("mean_of_batches", "mean_of_examples"):
    put_exact(f"{key}.share", round(found[key], 3), "share")
judge(
    "the_last_example_counts_too_much",
    values["mean_of_batches.share"]["value"]
    > 10 * values["mean_of_examples.share"]["value"],
    "mean_of_batches.share",
    "mean_of_examples.share",
)
fair = 1 / LEFT_OVER_EXAMPLES
judge(
    "weighting_mends_it",
    abs(values["mean_of_examples.share"]["value"] - fair) < 0.001,
    "mean_of_examples.share",
)

# No batch left.
for key in ("dropped", "not_dropped"):
    put_exact(f"{key}.weights_change", found[f"{key}.changed"], "runs")
    put_exact(f"{key}.warnings", found[f"{key}.warned"], "warnings")
trains = values["dropped.weights_change"]["value"] == 1
warned = values["dropped.warnings"]["value"] > 0
judge("nothing_is_trained", not trains, "dropped.weights_change")
judge("nothing_is_said", not warned, "dropped.warnings")
judge("there_is_a_warning", warned, "dropped.warnings")
judge(
    "a_smaller_batch_trains",
    values["not_dropped.weights_change"]["value"] == 1,
    "not_dropped.weights_change",
)

# Orders.
for key in ("seeded_order", "own_order"):
    put_exact(f"{key}.orders", found[key], "orders")
repeats = values["seeded_order.orders"]["value"] == 1
judge("a_seed_repeats_one_order", repeats, "seeded_order.orders")
judge(
    "each_epoch_has_its_order",
    values["seeded_order.orders"]["value"] == NUM_EPOCHS,
    "seeded_order.orders",
)
judge(
    "own_shuffle_mends_it",
    values["own_order.orders"]["value"] == NUM_EPOCHS,
    "own_order.orders",
)

# Sorted data.
for key in ("sorted", "shuffled"):
    put(f"{key}.accuracy", found[key], "percent")
    put(f"{key}.late", found[f"{key}.late"], "share")
behind = np.array(found["shuffled"]) - np.array(found["sorted"])
put("sorted.behind", behind, "percentage points")
judge(
    "sorted_is_far_behind",
    values["sorted.behind"]["ci"][0] > FAR_POINTS,
    "sorted.behind",
)
judge(
    "sorted_answers_with_the_last_classes",
    values["sorted.late"]["ci"][0] > 0.5 > values["shuffled.late"]["ci"][1],
    "sorted.late",
    "shuffled.late",
)

# A summed loss.
put("summed.growth", found["summed"], "ratio", ratio=True)
put("averaged.growth", found["averaged"], "ratio", ratio=True)
off = np.abs(np.array(found["summed"]) / COPIES - 1) > ROUNDING
put_count("summed.not_as_copies", off)
off = np.abs(np.array(found["averaged"]) - 1) > ROUNDING
put_count("averaged.differs", off)
judge(
    "a_sum_grows_with_the_batch",
    in_no_seed("summed.not_as_copies"),
    "summed.not_as_copies",
)
judge("a_mean_does_not", in_no_seed("averaged.differs"), "averaged.differs")

# Several devices.
for key in ("per_device", "global"):
    put_exact(f"{key}.examples_per_update", found[key], "examples")
taken = values["per_device.examples_per_update"]["value"]
key = "per_device.examples_per_update"
judge("the_update_is_too_large", taken > GLOBAL_BATCH_SIZE, key)
judge("the_update_is_too_small", taken < GLOBAL_BATCH_SIZE, key)
judge(
    "the_update_is_as_meant",
    values["global.examples_per_update"]["value"] == GLOBAL_BATCH_SIZE,
    "global.examples_per_update",
)

# Tokens.
put("token_means.difference", found["token_means"], "ratio", ratio=True)
put_count("token_means.wrong", np.array(found["token_means"]) > WRONG)
put_count("all_tokens.differs", np.array(found["all_tokens"]) > ROUNDING)
judge(
    "token_means_are_wrong",
    in_all_seeds("token_means.wrong"),
    "token_means.wrong",
)
judge(
    "all_tokens_mend_it", in_no_seed("all_tokens.differs"), "all_tokens.differs"
)

# Embeddings.
for key in ("in_parts", "in_one"):
    put_exact(f"{key}.moved", round(found[key], 3), "learning rates")
judge(
    "adam_squares_parts",
    values["in_parts.moved"]["value"] > 1.5,
    "in_parts.moved",
)
judge(
    "adam_squares_the_sum",
    values["in_parts.moved"]["value"] == 1,
    "in_parts.moved",
)
judge("summing_mends_it", values["in_one.moved"]["value"] == 1, "in_one.moved")

# Augmentation.
for key in ("same_noise", "new_noise"):
    put_exact(f"{key}.epochs", found[key], "epochs")
judge(
    "a_seed_repeats_the_noise",
    values["same_noise.epochs"]["value"] == 1,
    "same_noise.epochs",
)
judge(
    "the_noise_is_new",
    values["same_noise.epochs"]["value"] == NUM_EPOCHS,
    "same_noise.epochs",
)
judge(
    "own_generator_mends_it",
    values["new_noise.epochs"]["value"] == NUM_EPOCHS,
    "new_noise.epochs",
)

for key, judgement in judgements.items():
    print(key, judgement["holds"])

# %% [markdown]
# ## Results

# %%
results = {"values": values, "judgements": judgements, "series": {}}
