# %% [markdown]
# # Batches at inference (PyTorch)
#
# Measures latency and throughput against batch size, what padding wastes,
# and a server that joins requests into batches, under load.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# One thread, so that the result does not depend on the number of cores.
os.environ["OMP_NUM_THREADS"] = "1"

import gc
import time

import numpy as np
import torch
from scipy import special, stats
from sklearn.datasets import load_digits
from torch import nn

from snippets.mean_interval import mean_interval
from snippets.serve_in_batches import serve_in_batches

# %% [markdown]
# ## Settings
#
# The device is found. `SHORT = True` gives a run of seconds, to see it work;
# its numbers mean nothing.

# %%
SHORT = False

# The network that is served: deep and narrow, so that a call costs much
# however few examples it holds.
NUM_FEATURES = 64
NUM_CLASSES = 10
WIDTH = 64
NUM_HIDDEN = 64
BATCH_SIZES = [1, 4, 16, 64, 256]
NUM_REPEATS = 3 if SHORT else 12
CALLS_PER_REPEAT = 5 if SHORT else 20
# Calls the usual way, which are slow in Keras.
USUAL_CALLS = 2

# Sequences for the padding: lengths have a median and a spread of their
# logarithm, and end at the longest. Tokens from 1 up; 0 is the padding.
NUM_SEQUENCES = 4096
MEDIAN_LENGTH = 32
LENGTH_SPREAD = 0.8
LONGEST = 256
PADDED_SIZES = [1, 4, 16, 64, 256]
# So many are timed, at these sizes.
TIMED_SEQUENCES = 64 if SHORT else 256
TIMED_SIZES = [1, 8, 32]
VOCABULARY = 64

# The server. A load is in percent of what it can answer one at a time.
LOADS = [50, 80, 200, 400]
# One at a time the queue of the largest would only take longer.
ALONE_LOADS = [50, 80, 200]
MAX_BATCH_SIZE = 64
# How long a request waits for others, in calls with one example.
WAIT_CALLS = 4
NUM_REQUESTS = 60 if SHORT else 280
CAPACITY_REQUESTS = 30 if SHORT else 100
LOAD_REPEATS = 2 if SHORT else 10

# A network with batch normalisation, trained on digits.
NUM_TRAIN = 1437
NUM_EPOCHS = 1 if SHORT else 5
TRAIN_BATCH_SIZE = 32
LEARNING_RATE = 0.1
# Examples that are answered by one call.
SERVED_TOGETHER = 8
NUM_SEEDS = 2 if SHORT else 10
FIRST_SEED = 700

# Margins, set after a pilot, the last one after full runs. "Clearly" more is
# more than the first factor, "far" more than the second. A queue grows where
# the last quarter of the requests waits longer than the first. It
# holds where the last quarter waits less than so many calls on average.
MARGIN_FACTOR = 1.5
FAR_FACTOR = 10.0
HOLD_CALLS = 25
# Equal to rounding is a difference below this part of the largest output.
ROUNDING = 1e-4

# %% [markdown]
# ## Device

# %%
on_gpu = torch.cuda.is_available()
device = torch.device("cuda" if on_gpu else "cpu")
if on_gpu:
    # Float32 in full, or a batch would differ from its examples alone.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False

# %% [markdown]
# ## Networks
#
# A deep, narrow perceptron to be served; one layer of attention for
# sequences; a perceptron with batch normalisation.


# %%
def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    layers = []
    for number in range(NUM_HIDDEN):
        inputs = WIDTH if number else NUM_FEATURES
        layers += [nn.Linear(inputs, WIDTH), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(WIDTH, NUM_CLASSES))
    # The initial weights that Keras draws; PyTorch's own are smaller.
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


class SequenceModel(nn.Module):
    """Classes of sequences of tokens; padding is masked, or is not."""

    def __init__(self, masked):
        super().__init__()
        self.masked = masked
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.query, self.key, self.value = (
            nn.Linear(WIDTH, WIDTH) for _ in range(3)
        )
        self.inner = nn.Linear(WIDTH, 4 * WIDTH)
        self.outer = nn.Linear(4 * WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, NUM_CLASSES)

    def forward(self, tokens):
        mask = (tokens != 0).float()
        if not self.masked:
            mask = torch.ones_like(mask)
        x = self.embed(tokens)
        scores = self.query(x) @ self.key(x).mT / WIDTH**0.5
        scores = scores - 1e9 * (1 - mask[:, None, :])
        x = x + scores.softmax(-1) @ self.value(x)
        x = x + self.outer(torch.relu(self.inner(x)))
        sums = (x * mask[:, :, None]).sum(1)
        return self.head(sums / mask.sum(1, keepdim=True))


def build_sequence_model(seed, masked=True):
    torch.manual_seed(seed)
    return SequenceModel(masked)


def build_normalised_model(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, WIDTH),
        nn.BatchNorm1d(WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, WIDTH),
        nn.BatchNorm1d(WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, NUM_CLASSES),
    )
    for layer in model[::3]:
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return model


# %% [markdown]
# ## Calling a network
#
# From an array to an array: the way to the device and back belongs to the
# time that a service takes.


# %%
def call_of(model, training=False):
    """A function from an array of inputs to an array of outputs."""
    model = model.to(device).train(training)

    def call(x):
        with torch.inference_mode():
            return model(torch.from_numpy(x).to(device)).cpu().numpy()

    return call


def usual_call_of(model):
    """What is often written first: gradients are made ready, for nobody."""
    model = model.to(device).eval()

    def call(x):
        return model(torch.from_numpy(x).to(device)).detach().cpu().numpy()

    return call


def train(seed, x, y):
    """A trained network with batch normalisation, and its updates."""
    model = build_normalised_model(seed).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    loss_function = nn.CrossEntropyLoss()
    random = np.random.default_rng(seed)
    updates = 0
    for _ in range(NUM_EPOCHS):
        order = random.permutation(len(x))
        for start in range(0, len(x), TRAIN_BATCH_SIZE):
            index = order[start : start + TRAIN_BATCH_SIZE]
            optimizer.zero_grad()
            outputs = model(torch.from_numpy(x[index]).to(device))
            labels = torch.from_numpy(y[index]).to(device)
            loss_function(outputs, labels).backward()
            optimizer.step()
            updates += 1
    return model, updates


# %% [markdown]
# ## Measure
#
# Times are compared within a repeat; their median over the repeats is
# reported. All that a clock gave is marked as timing.

# %%
FEW = {"because": "short run"} if SHORT else {}
values, series = {}, {}
clock = time.perf_counter


def put(key, samples, unit):
    """Store the mean over the seeds with its interval."""
    mean, low, high = mean_interval(samples)
    values[key] = {"value": mean, "ci": [low, high], "n": len(samples)}
    values[key] |= {"unit": unit} | FEW


def put_exact(key, value, unit, timing=False):
    values[key] = {"value": value, "unit": unit, "exact": True}
    values[key] |= {"timing": True} if timing else {}


def put_time(key, samples, unit="ratio"):
    """Store the median over the repeats with its interval.

    The ends are two of the samples, whatever their distribution: a few
    repeats that something else disturbed do not move them.
    """
    ordered, count = np.sort(samples), len(samples)
    # So many lie below the median of all by chance in one of forty.
    rank = max(1, int(stats.binom.ppf(0.025, count, 0.5)))
    ends = [ordered[rank - 1], ordered[-rank]]
    values[key] = {"value": np.median(ordered), "ci": ends, "n": count}
    values[key] |= {"unit": unit, "timing": True} | FEW


def low(key):
    return values[key]["ci"][0]


def high(key):
    return values[key]["ci"][1]


def seconds_of(call, x):
    start = clock()
    call(x)
    return clock() - start


random = np.random.default_rng(FIRST_SEED)
requests = random.normal(size=(max(BATCH_SIZES), NUM_FEATURES))
requests = requests.astype("float32")
model = build_model(FIRST_SEED)
call, usual_call = call_of(model), usual_call_of(model)

# %% [markdown]
# ## Time of a call
#
# The sizes take turns in random order, after a warm-up.

# %%
for size in BATCH_SIZES:
    for _ in range(3):
        call(requests[:size])
for size in (BATCH_SIZES[0], BATCH_SIZES[-1]):
    usual_call(requests[:size])
# [repeats, calls] for each size.
call_seconds = {size: [] for size in BATCH_SIZES}
usual_seconds = {BATCH_SIZES[0]: [], BATCH_SIZES[-1]: []}
gc.disable()
for _ in range(NUM_REPEATS):
    for size in random.permutation(BATCH_SIZES):
        batch = requests[:size]
        call_seconds[size].append(
            [seconds_of(call, batch) for _ in range(CALLS_PER_REPEAT)]
        )
    for size, found in usual_seconds.items():
        batch = requests[:size]
        found.append(
            [seconds_of(usual_call, batch) for _ in range(USUAL_CALLS)]
        )
gc.enable()
typical = {size: np.median(each, 1) for size, each in call_seconds.items()}


def put_percentile(percent, size):
    """Store a percentile of all calls, in medians of the same size.

    The interval is by the bootstrap over the repeats.
    """
    seconds = np.array(call_seconds[size])
    drawn = random.integers(NUM_REPEATS, size=(1000, NUM_REPEATS))
    many = seconds[drawn].reshape(1000, -1)
    found = np.percentile(many, percent, 1) / np.median(many, 1)
    value = np.percentile(seconds, percent) / np.median(seconds)
    ends = np.quantile(found, [0.025, 0.975])
    ends = [min(ends[0], value), max(ends[1], value)]
    key = f"call_time.p{percent}.{size}"
    values[key] = {"value": value, "ci": ends, "n": NUM_REPEATS}
    values[key] |= {"unit": "medians", "timing": True} | FEW


for size in BATCH_SIZES:
    put_time(f"call_time.p50.{size}", typical[size] / typical[1], "calls")
    put_time(f"gain.{size}", size * typical[1] / typical[size])
    for percent in (95, 99):
        put_percentile(percent, size)
for size, found in usual_seconds.items():
    key = f"usual_call.{size}"
    put_time(key, np.median(found, 1) / typical[size])
    print(key, values[key]["value"], values[key]["ci"])
for size in BATCH_SIZES:
    print(size, "examples:", values[f"call_time.p50.{size}"]["value"], "calls")

# %% [markdown]
# ## Padding
#
# The lengths are the quantiles of their distribution, so that the share of
# padding is exact: for batches at random by the expected longest of a batch,
# drawn without replacement.


# %%
def lengths_of(count):
    """Lengths in ascending order, with a long tail."""
    parts = (np.arange(count) + 0.5) / count
    lengths = MEDIAN_LENGTH * np.exp(LENGTH_SPREAD * stats.norm.ppf(parts))
    return np.clip(np.round(lengths), 1, LONGEST).astype(int)


def random_padding(lengths, size):
    """Expected share of padding where batches are drawn at random."""
    count, rank = len(lengths), np.arange(1, len(lengths) + 1)
    # The k-th shortest is the longest of a batch where the others of it are
    # among those before: C(k - 1, size - 1) of C(count, size) batches.
    ways = -np.inf * np.ones(count)
    enough = rank >= size
    ways[enough] = (
        special.gammaln(rank[enough])
        - special.gammaln(size)
        - special.gammaln(rank[enough] - size + 1)
    )
    chance = special.softmax(ways)
    return 100 * (1 - lengths.mean() / (chance @ lengths))


def sorted_padding(lengths, size):
    """Share of padding where neighbours in length share a batch."""
    longest = lengths.reshape(-1, size).max(axis=1)
    return 100 * (1 - lengths.sum() / (size * longest.sum()))


lengths = lengths_of(NUM_SEQUENCES)
for size in PADDED_SIZES:
    found = random_padding(lengths, size)
    put_exact(f"padding.random.{size}", found, "percent")
    found = sorted_padding(lengths, size)
    put_exact(f"padding.sorted.{size}", found, "percent")
    print(size, values[f"padding.random.{size}"]["value"], found)
# Each length is rounded up to a power of two, whatever the batch.
powers = 2 ** np.ceil(np.log2(lengths))
found = 100 * (1 - lengths.sum() / powers.sum())
put_exact("padding.powers", found, "percent")
put_exact("length.mean", lengths.mean(), "tokens")
put_exact("length.p99", np.percentile(lengths, 99), "tokens")

# %% [markdown]
# Measured: the time to go through a set of sequences once.

# %%
lengths = lengths_of(TIMED_SEQUENCES)
sequences = [
    random.integers(1, VOCABULARY, size=length).astype("int32")
    for length in lengths
]
score = call_of(build_sequence_model(FIRST_SEED))
score_unmasked = call_of(build_sequence_model(FIRST_SEED, masked=False))


def pad(batch):
    """An array [sequences, longest of them]; zeros fill the ends."""
    padded = np.zeros((len(batch), max(map(len, batch))), "int32")
    for row, sequence in zip(padded, batch):
        row[: len(sequence)] = sequence
    return padded


def go_through(order, size):
    """Seconds to score all sequences in batches of one size."""
    start = clock()
    for first in range(0, len(order), size):
        score(pad([sequences[i] for i in order[first : first + size]]))
    return clock() - start


in_order = np.arange(TIMED_SEQUENCES)
kinds = [(kind, size) for size in TIMED_SIZES for kind in ("random", "sorted")]
passes = {kind: [] for kind in kinds}
for size in TIMED_SIZES:
    go_through(in_order, size)
gc.disable()
for _ in range(LOAD_REPEATS):
    shuffled = random.permutation(TIMED_SEQUENCES)
    for number in random.permutation(len(kinds)):
        kind, size = kinds[number]
        order = shuffled if kind == "random" else in_order
        passes[kind, size].append(go_through(order, size))
gc.enable()
passes = {kind: np.array(found) for kind, found in passes.items()}
for (kind, size), found in passes.items():
    # A batch of one holds no padding.
    alone = passes[kind, 1]
    put_time(f"pass_time.{kind}.{size}", found / alone)
    if kind == "random":
        put_time(f"sorting_gain.{size}", found / passes["sorted", size])
print({kind: np.median(found) for kind, found in passes.items()})

# %% [markdown]
# ## A batch against its examples alone


# %%
def difference(together, alone):
    """Largest difference, as a part of the largest output."""
    return float(np.abs(together - alone).max() / np.abs(alone).max())


def put_difference(key, together, alone):
    found = difference(together, np.concatenate(alone))
    # The last digits depend on the machine.
    put_exact(f"difference.{key}", found, "ratio", timing=True)
    print("difference", key, found)


alone = [call(requests[i : i + 1]) for i in range(MAX_BATCH_SIZE)]
put_difference("batch", call(requests[:MAX_BATCH_SIZE]), alone)
some = sequences[:: TIMED_SEQUENCES // 8]
for key, found in (("masked", score), ("unmasked", score_unmasked)):
    alone = [found(sequence[None]) for sequence in some]
    put_difference(key, found(pad(some)), alone)

# %% [markdown]
# ## The server under load
#
# Requests arrive at random times that do not depend on the answers. The
# latency counts from the time at which a request was due, so that a late
# start, or a queue, is part of it.


# %%
def answer(inputs):
    return call(np.stack(inputs))


def serve(due, max_batch_size, max_wait_seconds):
    """Latencies in seconds, sizes of the batches, seconds of processor."""
    sizes, done = [], np.empty(len(due))

    def predict(inputs):
        sizes.append(len(inputs))
        return answer(inputs)

    def note(number):
        def finish(future):
            done[number] = clock()
            future.result()

        return finish

    used = time.process_time()
    with serve_in_batches(predict, max_batch_size, max_wait_seconds) as submit:
        start = clock()
        for number, moment in enumerate(due):
            early = start + moment - clock()
            if early > 0:
                time.sleep(early)
            x = requests[number % len(requests)]
            submit(x).add_done_callback(note(number))
    used = time.process_time() - used
    return done - start - due, sizes, used


def serve_one_client():
    """Latencies of a client that asks again when it has its answer."""
    found = []
    with serve_in_batches(answer, 1) as submit:
        for number in range(CAPACITY_REQUESTS):
            start = clock()
            submit(requests[number % len(requests)]).result()
            found.append(clock() - start)
    return np.array(found)


# Most requests of a call, and how long they wait for others, in calls.
POLICIES = {
    "alone": (1, 0),
    "greedy": (MAX_BATCH_SIZE, 0),
    "waiting": (MAX_BATCH_SIZE, WAIT_CALLS),
}
# Whatever the size, it has been called before.
for size in range(1, MAX_BATCH_SIZE + 1):
    call(requests[:size])
found_loads = {}
one_client = []
gc.disable()
for repeat in range(LOAD_REPEATS):
    # Seconds of a request, from first to last, where all are there at once:
    # what a request costs one at a time.
    burst, _, _ = serve(np.zeros(CAPACITY_REQUESTS), 1, 0)
    second_each = burst.max() / CAPACITY_REQUESTS
    one_client.append(np.percentile(serve_one_client(), 99) / second_each)
    gaps = np.random.default_rng([FIRST_SEED, repeat]).exponential(
        size=NUM_REQUESTS
    )
    for load in LOADS:
        # The same arrivals for all; a load only changes their pace.
        due = gaps.cumsum() * second_each * 100 / load
        for policy, (most, wait) in POLICIES.items():
            if policy == "alone" and load not in ALONE_LOADS:
                continue
            latency, sizes, used = serve(due, most, wait * second_each)
            latency /= second_each
            quarters = latency.reshape(4, -1).mean(axis=1)
            found = found_loads.setdefault((policy, load), [])
            found.append(
                {
                    "p50": np.percentile(latency, 50),
                    "p95": np.percentile(latency, 95),
                    "p99": np.percentile(latency, 99),
                    "batch_size": np.mean(sizes),
                    "growth": quarters[3] / quarters[0],
                    "last_quarter": quarters[3],
                    "processor": used,
                }
            )
gc.enable()
found_loads = {
    case: {name: np.array([each[name] for each in found]) for name in found[0]}
    for case, found in found_loads.items()
}
UNITS = {"p50": "calls", "p95": "calls", "p99": "calls"}
UNITS |= {"batch_size": "examples", "growth": "ratio"}
UNITS |= {"last_quarter": "calls"}
for (policy, load), found in found_loads.items():
    for name, unit in UNITS.items():
        # Below the capacity a queue that grew would only be noise.
        if name in ("growth", "last_quarter") and load < 100:
            continue
        group = "latency." if name in ("p50", "p95", "p99") else ""
        put_time(f"{group}{name}.{policy}.{load}", found[name], unit)
    if policy != "alone" and load in ALONE_LOADS:
        other = found_loads["alone", load]
        for name in ("p50", "p99", "processor"):
            ratios = found[name] / other[name]
            put_time(f"against_alone.{name}.{policy}.{load}", ratios)
for load in LOADS:
    ratios = found_loads["waiting", load]["p50"]
    ratios = ratios / found_loads["greedy", load]["p50"]
    put_time(f"against_greedy.p50.waiting.{load}", ratios)
put_time("latency.p99.one_client", one_client, "calls")
put_time(
    "hidden_by_one_client",
    found_loads["alone", 200]["p99"] / np.array(one_client),
)

# %% [markdown]
# ## Training mode, forgotten
#
# The test examples are answered in batches: of one class, or mixed at
# random in two ways.

# %%
x, y = load_digits(return_X_y=True)
x, y = (x / 16).astype("float32"), y.astype("int64")
accuracies = {"evaluation": [], "mixed": [], "one_class": []}
changed = {"evaluation": [], "training": []}
for seed in range(FIRST_SEED, FIRST_SEED + NUM_SEEDS):
    random = np.random.default_rng(seed)
    order = random.permutation(len(x))
    parts = order[:NUM_TRAIN], order[NUM_TRAIN:]
    trained, updates = train(seed, x[parts[0]], y[parts[0]])
    test_x, test_y = x[parts[1]], y[parts[1]]
    # [batches, examples]: two random groupings, and one by class.
    groupings = [
        random.permutation(len(test_x)).reshape(-1, SERVED_TOGETHER)
        for _ in range(2)
    ]
    by_class = []
    for label in range(NUM_CLASSES):
        those = np.flatnonzero(test_y == label)
        those = those[: len(those) // SERVED_TOGETHER * SERVED_TOGETHER]
        by_class.append(those.reshape(-1, SERVED_TOGETHER))
    groupings.append(np.concatenate(by_class))
    predicted = {}
    # Evaluation comes first: calls in training mode change the averages.
    for mode in (False, True):
        predict = call_of(trained, training=mode)
        for number, grouping in enumerate(groupings):
            classes = np.full(len(test_x), -1)
            for index in grouping:
                classes[index] = predict(test_x[index]).argmax(axis=1)
            predicted[mode, number] = classes
    for name, mode, number in (
        ("evaluation", False, 0),
        ("mixed", True, 0),
        ("one_class", True, 2),
    ):
        those = groupings[number].ravel()
        right = predicted[mode, number][those] == test_y[those]
        accuracies[name].append(100 * right.mean())
    for name, mode in (("evaluation", False), ("training", True)):
        other = predicted[mode, 0] != predicted[mode, 1]
        changed[name].append(100 * other.mean())
for name, found in accuracies.items():
    put(f"accuracy.{name}", found, "percent")
for name, found in changed.items():
    put(f"changed.{name}", found, "percent")
lost = np.subtract(accuracies["evaluation"], accuracies["one_class"])
put("lost.one_class", lost, "points")
lost = np.subtract(accuracies["evaluation"], accuracies["mixed"])
put("lost.mixed", lost, "points")
per_epoch = updates // NUM_EPOCHS
put_exact(f"updates_per_epoch.{TRAIN_BATCH_SIZE}", per_epoch, "updates")
# One example alone: its mean is itself, and its variance is zero.
lone_raises = False
try:
    lone = [predict(test_x[i : i + 1]) for i in range(SERVED_TOGETHER)]
except ValueError as error:
    lone_raises = True
    print("one example in training mode:", error)
# How many different answers different examples got; none where it raised.
lone_answers = 0
if not lone_raises:
    lone_answers = len(np.unique(np.round(np.concatenate(lone), 4), axis=0))
put_exact("lone_answers", lone_answers, "answers")
for key, entry in values.items():
    interval = [f"{end:.4g}" for end in entry.get("ci", [])]
    print(f"{key:40}{entry['value']:12.4g}", *interval)

# %% [markdown]
# ## Judge
#
# A judgement holds when the whole interval is on its side of the margin.

# %%
judgements = {}


def judge(key, holds, *because):
    judgements[key] = {"holds": bool(holds), "because": list(because)}


def judge_more(name, key, margin=MARGIN_FACTOR):
    judge(name, low(key) > margin, key)


def judge_less(name, key, margin):
    judge(name, high(key) < margin, key)


largest = BATCH_SIZES[-1]
judge_more("batches_raise_throughput", f"gain.{MAX_BATCH_SIZE}")
judge_more("large_calls_are_slower", f"call_time.p50.{largest}", 1)
key = f"usual_call.{BATCH_SIZES[0]}"
judge_more("usual_call_is_slower", key, 1)
judge_more("usual_call_is_far_slower", key, FAR_FACTOR)
judge_more("sorting_saves_time", f"sorting_gain.{TIMED_SIZES[-1]}")
for name in ("batch", "masked"):
    key = f"difference.{name}"
    judge(f"equal.{name}", values[key]["value"] < ROUNDING, key)
key = "difference.unmasked"
judge("without_a_mask_padding_counts", values[key]["value"] > ROUNDING, key)
for policy, load in found_loads:
    case = f"{policy}.{load}"
    if load > 100 and policy == "alone":
        judge_more(f"queue_grows.{case}", f"growth.{case}", 1)
    elif load > 100:
        judge_less(f"queue_holds.{case}", f"last_quarter.{case}", HOLD_CALLS)
load = LOADS[0]
judge_more("waiting_adds_latency", f"against_greedy.p50.waiting.{load}")
key = f"against_alone.p99.greedy.{load}"
judge_less("greedy_keeps_the_tail", key, MARGIN_FACTOR)
for policy in ("greedy", "waiting"):
    key = f"against_alone.p99.{policy}.200"
    judge_less(f"batches_cut_the_tail.{policy}", key, 1 / MARGIN_FACTOR)
judge_less("greedy_cuts_the_tail_early", "against_alone.p99.greedy.80", 1)
key = "against_alone.processor.waiting.80"
judge_less("waiting_saves_processor_time", key, 1)
judge_more("one_client_hides_the_queue", "hidden_by_one_client")
key = "changed.evaluation"
judge("evaluation_needs_no_mates", high(key) < 0.1, key)
judge_more("mates_change_answers_in_training_mode", "changed.training", 0)
judge_more("training_mode_loses_on_one_class", "lost.one_class", 0)
judge("lone_example_raises", lone_raises, "lone_answers")
judge("lone_examples_get_one_answer", lone_answers == 1, "lone_answers")
for key, judgement in judgements.items():
    print("yes" if judgement["holds"] else "no ", key)

# %% [markdown]
# ## Results


# %%
def put_series(name, x, keys):
    entries = [values[key] for key in keys]
    unit = entries[0]["unit"]
    series[name] = {"x": x, "y": [each["value"] for each in entries]}
    if "ci" in entries[0]:
        series[name]["low"] = [each["ci"][0] for each in entries]
        series[name]["high"] = [each["ci"][1] for each in entries]
    series[name]["unit"] = unit


for name in ("gain", "call_time.p50"):
    put_series(name, BATCH_SIZES, [f"{name}.{size}" for size in BATCH_SIZES])
for kind in ("random", "sorted"):
    keys = [f"padding.{kind}.{size}" for size in PADDED_SIZES]
    put_series(f"padding.{kind}", PADDED_SIZES, keys)
    keys = [f"pass_time.{kind}.{size}" for size in TIMED_SIZES]
    put_series(f"pass_time.{kind}", TIMED_SIZES, keys)
for policy in POLICIES:
    loads = ALONE_LOADS if policy == "alone" else LOADS
    for name in ("latency.p50", "latency.p95", "latency.p99", "batch_size"):
        keys = [f"{name}.{policy}.{load}" for load in loads]
        put_series(f"{name}.{policy}", loads, keys)

results = {"values": values, "judgements": judgements, "series": series}
