# %% [markdown]
# # TITLE (Keras)
#
# Counts the updates of one epoch at several batch sizes.
#
# - Install: `pip install keras tensorflow scipy`
# - Runs on: `cpu`
# - Expected: `0.5` minutes

# %%
import keras

from TOPIC_findings import TOPIC_findings
from TOPIC_problem import *

# %% [markdown]
# ## Train for one epoch
#
# The optimizer counts its updates itself.


# %%
# --8<-- [start:count_updates]
def count_updates(batch_size):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    model.fit(x, y, batch_size=batch_size, verbose=0)
    return int(model.optimizer.iterations)


# --8<-- [end:count_updates]
updates = {size: count_updates(size) for size in BATCH_SIZES}
print("updates per epoch:", updates)

# %% [markdown]
# ## What was found

# %%
results = TOPIC_findings(updates)
