# %% [markdown]
# # Batches at inference (PyTorch)
#
# Measures latency and throughput against batch size, what padding wastes,
# and a server that joins requests into batches, under load.
#
# - Install: `pip install torch scikit-learn scipy`
# - Runs on: `cpu`, `gpu`
# - Expected: `1` minute
# - Timing: `alone`

# %%
import os

# One thread for a call; that of the client is another.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import nn

from inference_findings import inference_findings
from inference_problem import *

# %% [markdown]
# ## Device
#
# Float32 in full, or a batch would differ from its examples alone.

# %%
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False

# %% [markdown]
# ## Networks
#
# A deep, narrow perceptron to be served; one layer of attention for
# sequences, whose padding is masked, or is not; a perceptron with batch
# normalisation. Initial weights are those that Keras draws.


# %%
def build_model(seed):
    random = torch.Generator().manual_seed(seed)
    layers = []
    for number in range(NUM_HIDDEN):
        inputs = WIDTH if number else NUM_FEATURES
        layers += [nn.Linear(inputs, WIDTH), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(WIDTH, NUM_CLASSES))
    for layer in model[::2]:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return model


class SequenceModel(nn.Module):
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


def build_sequence_model(seed, masked):
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
# time that a service takes. What is often written first makes gradients
# ready, for nobody.


# %%
def call_of(model, training=False):
    """A function from an array of inputs to an array of outputs."""
    model = model.to(device).train(training)

    def call(x):
        with torch.inference_mode():
            return model(torch.from_numpy(x).to(device)).cpu().numpy()

    return call


model = build_model(FIRST_SEED)
call = call_of(model)
score, score_unmasked = (
    call_of(build_sequence_model(FIRST_SEED, masked))
    for masked in (True, False)
)


def usual_call(x):
    return model(torch.from_numpy(x).to(device)).detach().cpu().numpy()


# %% [markdown]
# ## Call, pad and serve

# %%
calls = time_calls(call, usual_call)
passes = time_passes(score)
differences = compare_with_alone(call, score, score_unmasked)
served = serve_loads(call)

# %% [markdown]
# ## Forget the mode


# %%
def train(seed, x, y):
    model = build_normalised_model(seed).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    loss_function = nn.CrossEntropyLoss()
    for batch in draw_batches(seed, len(x)):
        optimizer.zero_grad()
        outputs = model(torch.from_numpy(x[batch]).to(device))
        labels = torch.from_numpy(y[batch]).to(device)
        loss_function(outputs, labels).backward()
        optimizer.step()
    return model


modes = answer_in_modes(train, call_of)

# %% [markdown]
# ## What was found

# %%
results = inference_findings(calls, passes, differences, served, modes)
