# --8<-- [start:build_mlp_torch]
import torch
from torch import nn


def build_mlp_torch(sizes, seed):
    """Dense layers with ReLU between them, an nn.Sequential.

    sizes: of the input, of each hidden layer and of the output.
    seed: of the weights. They are drawn as Keras draws them, uniformly after
        Glorot and Bengio (2010); PyTorch's own are smaller. Biases are 0.
    Raises ValueError for fewer than two sizes, and for one below 1.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes={sizes}: give at least two, each above 0")
    random = torch.Generator().manual_seed(seed)
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layer = nn.Linear(inputs, outputs)
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


# --8<-- [end:build_mlp_torch]
