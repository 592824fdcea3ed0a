# %% [markdown]
# # TITLE (PyTorch)
#
# Counts the updates of one epoch at several batch sizes.
#
# - Install: `pip install torch numpy`
# - Runs on: `cpu`
# - Expected: `0.5` minutes

# %%
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

# %% [markdown]
# ## Settings

# %%
SHORT = False

BATCH_SIZES = [32, 64, 128, 256]
NUM_EXAMPLES = 300 if SHORT else 1000
NUM_FEATURES = 2
SEED = 1

# %% [markdown]
# ## Train for one epoch
#
# The loop counts the updates that it makes.

# %%
random = np.random.default_rng(SEED)
x = random.normal(size=(NUM_EXAMPLES, NUM_FEATURES)).astype("float32")
y = x.sum(axis=1, keepdims=True)
examples = TensorDataset(torch.tensor(x), torch.tensor(y))


# --8<-- [start:count_updates]
def count_updates(batch_size):
    model = torch.nn.Linear(NUM_FEATURES, 1)
    optimizer = torch.optim.Adam(model.parameters())
    count = 0
    for inputs, targets in DataLoader(examples, batch_size, shuffle=True):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()
        count += 1
    return count


# --8<-- [end:count_updates]
updates = [count_updates(batch_size) for batch_size in BATCH_SIZES]
print(dict(zip(BATCH_SIZES, updates)))

# %% [markdown]
# ## Results

# %%
keys = [f"updates_per_epoch.{batch_size}" for batch_size in BATCH_SIZES]
# Without the last, smaller batch some examples would not be seen.
all_seen = all(
    batch_size * count >= NUM_EXAMPLES
    for batch_size, count in zip(BATCH_SIZES, updates)
)
results = {
    "values": {
        key: {"value": count, "unit": "updates", "exact": True}
        for key, count in zip(keys, updates)
    },
    "judgements": {"last_batch_is_kept": {"holds": all_seen, "because": keys}},
    "series": {
        "updates_per_epoch": {"x": BATCH_SIZES, "y": updates, "unit": "updates"}
    },
}
