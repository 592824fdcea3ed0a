# %% [markdown]
# # Is a power of two faster? (PyTorch)
#
# Measures the time of an update at powers of two and at the sizes beside
# them, for the batch size and for the width of a layer.
#
# - Install: `pip install torch scipy`
# - Runs on: `cpu`, `gpu`
# - Expected: `0.5` minutes
# - Timing: `alone`

# %%
import os

# One thread, so that the result does not depend on the number of cores.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import nn

from powers_of_two_findings import powers_of_two_findings
from powers_of_two_problem import *
from snippets.build_mlp_torch import build_mlp_torch

# %% [markdown]
# ## Device
#
# Float32 in full; bfloat16 is the precision of the tensor cores.

# %%
on_gpu = torch.cuda.is_available()
device = torch.device("cuda" if on_gpu else "cpu")
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False


def wait():
    """Until the device has done all it was given."""
    if on_gpu:
        torch.cuda.synchronize()


# %% [markdown]
# ## Networks
#
# A multilayer perceptron, and a convolutional network of this form.


# %%
def build_model(width, is_mlp):
    if is_mlp:
        sizes = NUM_FEATURES, width, width, NUM_CLASSES
        return build_mlp_torch(sizes, SEED)
    torch.manual_seed(SEED)
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * (IMAGE_SIZE // 4) ** 2, NUM_CLASSES),
    )


# %% [markdown]
# ## Updates
#
# Forward, backward and SGD, in the loop that a reader would write. The batch
# lies ready on the device.


# %%
def make_updates(name, width, precision):
    """A function of the batch size that gives the update to be timed."""
    is_mlp = name.endswith("mlp")
    model = build_model(width, is_mlp).to(device)
    shape = (NUM_FEATURES,) if is_mlp else (1, IMAGE_SIZE, IMAGE_SIZE)
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE)
    mixed = precision == "bfloat16"

    def update_of(batch_size):
        batch = draw_batch(batch_size, shape)
        x, y = (torch.tensor(array).to(device) for array in batch)

        def update():
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()

        return update

    return update_of


groups = groups_of("gpu" if on_gpu else "cpu", make_updates)
seconds = time_groups(groups, wait)

# %% [markdown]
# ## What was found

# %%
results = powers_of_two_findings(seconds)
