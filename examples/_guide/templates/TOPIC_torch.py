# %% [markdown]
# # TITLE (PyTorch)
#
# Counts the updates of one epoch at several batch sizes.
#
# - Install: `pip install torch numpy scipy`
# - Runs on: `cpu`
# - Expected: `0.5` minutes

# %%
import torch
from torch.utils.data import DataLoader, TensorDataset

from TOPIC_findings import TOPIC_findings
from TOPIC_problem import *

# %% [markdown]
# ## Train for one epoch
#
# The loop counts the updates that it makes.

# %%
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
updates = {size: count_updates(size) for size in BATCH_SIZES}
print("updates per epoch:", updates)

# %% [markdown]
# ## What was found

# %%
results = TOPIC_findings(updates)
