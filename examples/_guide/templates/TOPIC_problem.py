# %% [markdown]
# ## Settings
#
# `SHORT = True` gives a run of seconds, to see it work; its numbers mean
# nothing.

# %%
import numpy as np

SHORT = False

BATCH_SIZES = [32, 64, 128, 256]
NUM_EXAMPLES = 300 if SHORT else 1000
NUM_FEATURES = 2
SEED = 1

# %% [markdown]
# ## Data
#
# The target is the sum of the features.

# %%
random = np.random.default_rng(SEED)
x = random.normal(size=(NUM_EXAMPLES, NUM_FEATURES)).astype("float32")
y = x.sum(axis=1, keepdims=True)
