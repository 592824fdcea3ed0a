# %% [markdown]
# # Larger models, on a GPU (PyTorch)
#
# Trains a transformer and a convolutional network over batch sizes and
# learning rates until they reach a target, and measures their noise scale.
#
# - Install: `pip install torch scikit-learn mnist1d`
# - Runs on: `gpu`
# - Expected: `20` minutes
#
# The minutes are an estimate.

# %%
import torch
from torch import nn

from larger_models_findings import larger_models_findings
from larger_models_problem import *
from snippets.measure_noise_scale_torch import measure_noise_scale_torch

# %% [markdown]
# ## Device
#
# It is found, and without a GPU the program ends here.

# %%
on_gpu = torch.cuda.is_available()
if not on_gpu and not SHORT:
    raise RuntimeError(
        "found no GPU (torch.cuda.is_available() is False), and this program "
        "needs one: on a CPU it would run for days. To see it work in "
        "seconds, set SHORT = True."
    )
device = torch.device("cuda" if on_gpu else "cpu")
# Products of float32 numbers may be rounded on their way, in both frameworks.
torch.backends.cuda.matmul.allow_tf32 = True
torch.backends.cudnn.allow_tf32 = True

# %%
data, targets = draw_data()

# %% [markdown]
# ## Networks
#
# A transformer that predicts each next character, and a convolutional network
# for the digits. Their initial weights have the same spread as in Keras.


# %%
class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        width = EMBEDDING_SIZE
        self.embed = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Parameter(torch.empty(TEXT_LENGTH, width))
        block = nn.TransformerEncoderLayer(
            *(width, NUM_HEADS, 4 * width),
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.blocks = nn.TransformerEncoder(
            *(block, NUM_BLOCKS, nn.LayerNorm(width)),
            enable_nested_tensor=False,
        )
        self.head = nn.Linear(width, VOCABULARY)
        mask = nn.Transformer.generate_square_subsequent_mask(TEXT_LENGTH)
        self.register_buffer("mask", mask)

    def forward(self, tokens):
        x = self.embed(tokens) + self.positions
        return self.head(self.blocks(x, mask=self.mask, is_causal=True))


def build_transformer(seed):
    model = Transformer()
    random = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=INITIAL_SPREAD, generator=random)
        elif name.endswith("bias"):
            nn.init.zeros_(weight)
    return model


def build_model(seed):
    """The convolutional network."""
    random = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Unflatten(1, (1, NUM_FEATURES)),
        nn.Conv1d(1, NUM_CHANNELS, KERNEL_SIZE, padding="same"),
        nn.ReLU(),
        nn.Conv1d(NUM_CHANNELS, NUM_CHANNELS, KERNEL_SIZE, padding="same"),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(NUM_CHANNELS, NUM_CHANNELS, KERNEL_SIZE, padding="same"),
        nn.ReLU(),
        # The mean over what is left of the positions.
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(NUM_CHANNELS, NUM_CLASSES),
    )
    for weight in model.parameters():
        if weight.dim() > 1:
            nn.init.xavier_uniform_(weight, generator=random)
        else:
            nn.init.zeros_(weight)
    return model


builders = {"transformer": build_transformer, "cnn": build_model}


def loss_function(outputs, labels):
    """The mean over examples, and over the characters of a text."""
    return nn.functional.cross_entropy(
        outputs.flatten(0, -2), labels.flatten().long()
    )


class Training:
    """A network at one batch size, to be started anew for each run."""

    def __init__(self, name, batch_size):
        self.name, self.batch_size = name, batch_size

    def start(self, seed, rate):
        self.model = builders[self.name](seed).to(device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=rate, eps=1e-7, fused=True
        )
        self.data = {
            part: [torch.tensor(each, device=device) for each in both]
            for part, both in data[self.name, seed].items()
        }

    def update(self, batch):
        """One update with the examples of these numbers."""
        x, y = self.data["training"]
        parts = torch.tensor(batch, device=device).split(MICRO_BATCH_SIZE)
        self.optimizer.zero_grad()
        for part in parts:
            loss = loss_function(self.model(x[part]), y[part])
            (loss / len(parts)).backward()
        self.optimizer.step()

    @torch.no_grad()
    def loss(self, part):
        """The mean loss on validation or test data, in nats."""
        batches = zip(
            *(each.split(MICRO_BATCH_SIZE) for each in self.data[part])
        )
        losses = [loss_function(self.model(x), y) for x, y in batches]
        return torch.stack(losses).mean().item()


# %% [markdown]
# ## Train

# %%
runs, noise = run_all(
    Training, targets, measure_noise_scale_torch, loss_function
)

# %% [markdown]
# ## What was found

# %%
results = larger_models_findings(runs, noise)
