# %% [markdown]
# # Feeding the device (PyTorch)
#
# Measures how many examples per second training takes in when its batches
# are loaded plainly, ahead of time, by several workers, from a cache, or
# from memory as a whole, against batch size.
#
# - Install: `pip install torch scipy`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# One thread, so that the second core is left to the worker.
os.environ["OMP_NUM_THREADS"] = "1"

import random
import zlib

import numpy as np
import torch
from torch import nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    RandomSampler,
    default_collate,
    default_convert,
)

from feeding_the_device_findings import feeding_the_device_findings
from feeding_the_device_problem import *

# %% [markdown]
# ## Device

# %%
on_gpu = torch.cuda.is_available()
device = torch.device("cuda" if on_gpu else "cpu")
num_workers = NUM_WORKERS["gpu" if on_gpu else "cpu"]

# %% [markdown]
# ## Data sets
#
# One gives an example at a time, and keeps images or crops if it is told to.
# The other gives a whole batch by one gather from images that lie unpacked.


# %%
def unpack(image):
    pixels = np.frombuffer(zlib.decompress(image), np.uint8)
    return pixels.reshape(IMAGE_SIZE, IMAGE_SIZE)


def crop(image, draw):
    """A square of it at a random place, one row of numbers from 0 to 1."""
    places = IMAGE_SIZE - CROP_SIZE + 1
    top, left = draw(places), draw(places)
    part = image[top : top + CROP_SIZE, left : left + CROP_SIZE]
    return part.astype("float32").ravel() / 255


class Images(Dataset):
    """One example at a time; keeps "images" or "crops" once it has them."""

    def __init__(self, keep=None, draw=random.randrange):
        self.keep, self.kept, self.draw = keep, {}, draw
        # Shared, so that workers count too.
        self.num_unpacked = torch.zeros(1, dtype=torch.int64).share_memory_()

    def __len__(self):
        return NUM_EXAMPLES

    def load(self, index):
        if index in self.kept:
            return self.kept[index]
        image = unpack(packed[index])
        if self.keep == "crops":
            image = crop(image, self.draw)
        if self.keep:
            self.kept[index] = image
            self.num_unpacked += 1
        return image

    def __getitem__(self, index):
        image = self.load(index)
        if self.keep != "crops":
            image = crop(image, self.draw)
        return image, labels[index]


class Batches(Images):
    """A whole batch at once, for a loader with collate_fn=default_convert."""

    def __getitems__(self, indices):
        places = IMAGE_SIZE - CROP_SIZE + 1
        corners = np.random.randint(places, size=(2, len(indices), 1))
        rows, columns = corners + np.arange(CROP_SIZE)
        number = np.array(indices)[:, None, None]
        parts = images[number, rows[:, :, None], columns[:, None]]
        flat = parts.reshape(len(indices), -1).astype("float32") / 255
        return flat, labels[indices]


# %% [markdown]
# ## Loaders
#
# An endless one draws one shuffled epoch after the other. Workers are forked,
# for what stands in a notebook's cell cannot be started otherwise; Windows
# cannot do that.


# %%
def make_batches(way, size, endless=False, **how):
    """A loader. how: `keep` and `draw` of Images."""
    if way == "cached":
        how = {"keep": "images"}
    data = Batches() if way == "whole" else Images(**how)
    more = {"shuffle": True}
    if endless:
        more = {"sampler": RandomSampler(data, num_samples=10**9)}
    if way in ("ahead", "workers"):
        more |= {
            "num_workers": 1 if way == "ahead" else num_workers,
            "prefetch_factor": PREFETCH,
            "multiprocessing_context": "fork",
        }
    return DataLoader(
        data,
        size,
        collate_fn=default_convert if way == "whole" else default_collate,
        # A GPU copies from pinned memory while it computes.
        pin_memory=on_gpu,
        **more,
    )


# %% [markdown]
# ## Networks
#
# The initial weights are as Keras draws them.


# %%
def build_model(seed, width=WIDTHS["small"]):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(NUM_FEATURES, width),
        nn.ReLU(),
        nn.Linear(width, NUM_CLASSES),
    )
    for layer in (model[0], model[2]):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return model


def make_update(width):
    """update(batch), which trains a network on one batch."""
    model = build_model(SEED, width).to(device)
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE)
    loss_function = nn.CrossEntropyLoss()

    def update(batch):
        x, y = (each.to(device, non_blocking=True) for each in batch)
        optimizer.zero_grad()
        loss_function(model(x), y).backward()
        optimizer.step()

    return update


# %% [markdown]
# ## Time the loops
#
# To forget the loops ends their workers.

# %%
running = {
    job: iter(make_batches(job[2], job[1], endless=True)) for job in JOBS
}
updates = {name: make_update(width) for name, width in WIDTHS.items()}
wait = torch.cuda.synchronize if on_gpu else None
loop, ready, load = take_turns(running, updates, num_workers, wait)
running.clear()
first = time_first_batches(make_batches, iter)

# %% [markdown]
# ## Count what the second of two epochs unpacks again
#
# A worker takes its cache along when it ends.

# %%
batches = make_batches("ahead", MIDDLE_SIZE, keep="images")
for _ in range(2):
    for _ in batches:
        pass
unpacked_again = batches.dataset.num_unpacked.item() - NUM_EXAMPLES

# %% [markdown]
# ## Count the epochs with new crops
#
# The order is fixed, so that a batch holds the same examples in each epoch.


# %%
def count_with(**how):
    data = Images(**how)
    return count_new_crops(DataLoader(data, MIDDLE_SIZE), iter)


new_crops = {
    "images_kept": count_with(keep="images"),
    "crops_kept": count_with(keep="crops"),
    "generator": count_with(draw=random.Random(SEED).randrange),
}
# Last, for a seed stays.
random.seed(SEED)
torch.manual_seed(SEED)
new_crops["seeded"] = count_with()

# %% [markdown]
# ## What was found

# %%
results = feeding_the_device_findings(
    loop, ready, load, first, unpacked_again, new_crops
)
