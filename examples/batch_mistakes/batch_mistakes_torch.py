# %% [markdown]
# # Mistakes with batches and updates (PyTorch)
#
# Makes each of the usual mistakes on purpose, measures how it shows, and runs
# what mends it.
#
# - Install: `pip install torch scikit-learn scipy`
# - Runs on: `cpu`
# - Expected: `0.5` minutes

# %%
import os
from functools import partial

# Networks this small are slower on many threads than on one.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from batch_mistakes_findings import batch_mistakes_findings
from batch_mistakes_problem import *
from snippets.build_mlp_torch import build_mlp_torch

torch.set_num_threads(1)

# %% [markdown]
# ## Network

# %%
torch.manual_seed(FIRST_SEED)
train_data, sorted_data, whole, few, left_over, tokens = (
    tuple(torch.tensor(each) for each in arrays)
    for arrays in (train_data, sorted_data, whole, few, left_over, tokens)
)


# --8<-- [start:common]
def build_model(seed):
    return build_mlp_torch([NUM_FEATURES, HIDDEN_UNITS, NUM_CLASSES], seed)


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


def gradients(model):
    return [each.grad for each in model.parameters()]


def weights_of(model):
    return flat(model.parameters())


def moved_by(update, model, parts):
    """How far each weight moves in one update at a rate of one."""
    before = weights_of(model)
    update(model, plain_descent(model, 1.0), parts)
    return weights_of(model) - before


def length_of(tensors):
    return float(np.linalg.norm(flat(tensors)))


# %% [markdown]
# ## Accumulate gradients
#
# Not divided, not cleared, averaged by micro-batch over tokens: the first of
# each pair of functions makes the mistake, the second does not. The rows of
# `x` are tokens as well, and `mask` is zero for padding.


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
parts = batches_of(MICRO_BATCH_SIZE, *whole)
compare = partial(compare_updates, moved_by, update_divided, whole, parts)
observed = {
    "no_division": compare(build_model, update_undivided),
    "division": compare(build_model, update_divided),
}


def lengths_of(train, seed):
    model = build_model(seed)
    return train(model, plain_descent(model, 0.0), [parts] * NUM_GROUPS)


observed |= for_each_seed(
    lengths_of, no_reset=train_without_clearing, reset=train_with_clearing
)


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
token_parts = batches_of(MICRO_SEQUENCES * MAX_LENGTH, *tokens)
compare_tokens = partial(
    compare_updates, moved_by, update_by_all_tokens, tokens, token_parts
)


def token_losses(outputs, labels):
    return nn.functional.cross_entropy(outputs, labels, reduction="none")


observed["token_means"] = compare_tokens(build_model, update_by_token_means)
observed["all_tokens"] = compare_tokens(build_model, update_by_all_tokens)

# %% [markdown]
# ## Normalise over the batch
#
# When it is accumulated, when it has two examples, and when one is left over:
# if that raises, it is written down; if not, ten go through, one by one.


# %%
# --8<-- [start:batch_norm]
def build_normalised(seed, norm):
    first, activation, last = build_model(seed)
    norm = norm(HIDDEN_UNITS, eps=EPSILON)
    return nn.Sequential(first, norm, activation, last)


def build_with_batch_norm(seed):
    return build_normalised(seed, nn.BatchNorm1d)


# --8<-- [end:batch_norm]
# --8<-- [start:layer_norm]
def build_with_layer_norm(seed):
    return build_normalised(seed, nn.LayerNorm)


# --8<-- [end:layer_norm]
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
def normalised(normalise, seed):
    x, _ = batches_of(2, *train_data)[seed - FIRST_SEED]
    return normalise(build_model(seed)[0](x)).detach().numpy()


observed |= for_each_seed(
    normalised,
    pair_by_batch=normalise_pair_by_batch,
    pair_by_example=normalise_pair_by_example,
)


def watched(train, build, *arguments):
    return watch(train, build(FIRST_SEED), weights_of, *arguments)


build = build_with_batch_norm
model = build(FIRST_SEED)
observed |= {
    "batch_norm": compare(build, update_divided),
    "layer_norm": compare(build_with_layer_norm, update_divided),
    "one_left_over": watched(train_with_one_left_over, build, *left_over),
    "none_left_over": watched(train_with_none_left_over, build, *left_over),
    "alone": outputs_alone(lambda x: model(x).detach().numpy(), left_over[0]),
}

# %% [markdown]
# ## Reduce the loss
#
# The gradient of a batch, and of a larger one that holds the same examples
# several times. And what part of an epoch's loss one example is.


# %%
# --8<-- [start:summed]
def summed_loss(outputs, labels):
    return nn.functional.cross_entropy(outputs, labels, reduction="sum")


# --8<-- [end:summed]
def growth_of(loss, seed):
    lengths = []
    for copies in (1, COPIES):
        x, y = (torch.cat([each] * copies) for each in whole)
        model = build_model(seed)
        loss(model(x), y).backward()
        lengths.append(length_of(gradients(model)))
    return lengths


observed |= for_each_seed(growth_of, summed=summed_loss, averaged=mean_loss)
untrained = build_model(FIRST_SEED)
observed |= shares_of_the_last(
    lambda x, y: mean_loss(untrained(x), y).item(), *left_over
)

# %% [markdown]
# ## Give out examples
#
# Too few for a batch, in one order for all epochs, sorted by class, with noise
# that repeats, and shared out to several devices. The orders are read from
# what passes through the model. Of the devices, only the loaders are made, as
# their processes would make them.


# %%
# --8<-- [start:dropped]
def train_dropping_the_rest(model, x, y, batch_size):
    batches = DataLoader(TensorDataset(x, y), batch_size, drop_last=True)
    train_on(model, plain_descent(model), batches)


# --8<-- [end:dropped]
# --8<-- [start:not_dropped]
def train_on_the_rest(model, x, y, batch_size):
    train_dropping_the_rest(model, x, y, min(batch_size, len(x)))


# --8<-- [end:not_dropped]
# --8<-- [start:seeded_order]
def train_seeded(model, x, y, seed):
    torch.manual_seed(seed)
    batches = DataLoader(TensorDataset(x, y), BATCH_SIZE, shuffle=True)
    for _ in range(NUM_EPOCHS):
        train_on(model, plain_descent(model), batches)


# --8<-- [end:seeded_order]
# --8<-- [start:own_order]
def train_with_own_shuffle(model, x, y, seed):
    random = torch.Generator().manual_seed(seed)
    batches = DataLoader(
        TensorDataset(x, y), BATCH_SIZE, shuffle=True, generator=random
    )
    for _ in range(NUM_EPOCHS):
        train_on(model, plain_descent(model), batches)


# --8<-- [end:own_order]
# --8<-- [start:sorted]
def train_in_order(model, x, y, seed):
    batches = DataLoader(TensorDataset(x, y), BATCH_SIZE)
    for _ in range(NUM_EPOCHS):
        train_on(model, plain_descent(model), batches)


# --8<-- [end:sorted]
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
def order_of(train):
    model, seen = nn.Sequential(nn.Linear(1, 2)), []
    model.register_forward_pre_hook(
        lambda model, inputs: seen.extend(inputs[0].flatten().tolist())
    )
    numbers = torch.arange(2.0 * BATCH_SIZE)
    train(model, numbers[:, None], 0 * numbers.long(), FIRST_SEED)
    return seen


def predictions(train, seed):
    model = build_model(seed)
    train(model, *sorted_data, seed)
    return model(torch.tensor(x_test)).argmax(dim=1).numpy()


def epochs_of(augmented):
    batches = DataLoader(augmented(whole[0]), BATCH_SIZE)
    return [flat(list(batches)) for _ in range(NUM_EPOCHS)]


def examples_of(batches_of_rank):
    dataset, ranks = TensorDataset(*train_data), range(NUM_DEVICES)
    loaders = [batches_of_rank(dataset, rank) for rank in ranks]
    return [len(next(iter(loader))[0]) for loader in loaders]


observed |= for_each_seed(
    predictions, sorted=train_in_order, shuffled=train_with_own_shuffle
)
observed |= {
    "dropped": watched(train_dropping_the_rest, build_model, *few, BATCH_SIZE),
    "not_dropped": watched(train_on_the_rest, build_model, *few, BATCH_SIZE),
    "seeded_order": order_of(train_seeded),
    "own_order": order_of(train_with_own_shuffle),
    "same_noise": epochs_of(NoisyExamples),
    "new_noise": epochs_of(FreshlyNoisyExamples),
    "per_device": examples_of(batches_of_device_wrong),
    "global": examples_of(batches_of_device),
}

# %% [markdown]
# ## Let Adam square a gradient in parts
#
# A batch in which one token comes several times, and the first update of its
# embedding. Adam should move it by one learning rate.


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
observed["in_parts"] = -train_embedding(same_token)[0, 0].item()
observed["in_one"] = -train_sparse_embedding(same_token)[0, 0].item()

# %% [markdown]
# ## What was found

# %%
results = batch_mistakes_findings(observed)
