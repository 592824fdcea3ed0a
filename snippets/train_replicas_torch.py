# --8<-- [start:train_replicas_torch]
import numpy as np
import torch
from torch import nn


def train_replicas_torch(
    models, x, y, batch_size, learning_rate, checkpoints, x_check, y_check, seed
):
    """Train many small networks at once, each on batches of its own.

    The weights of the R models are stacked, so one matrix product serves all
    of them. What each model learns is what a plain loop would teach it.

    models: R nn.Sequential of nn.Linear with bias and element-wise layers,
        alike but for their weights. One output means two classes (binary
        cross-entropy on logits), more outputs mean so many classes.
    x, y: float32 [N, features] and int64 [N], the same data for all models;
        or [R, N, features] and [R, N], a data set for each.
    batch_size: examples per update; a larger one than N means N.
    learning_rate: of Adam.
    checkpoints: numbers of updates after which to look at x_check, y_check;
        rising. Training ends with the last.
    seed: of the order of examples, drawn anew in every epoch.
    Returns {"loss", "accuracy"}, NumPy arrays [checkpoints, R] on the check
    data. Each model is left with the weights of its lowest check loss.
    Raises ValueError for settings and layers that it cannot train.
    """
    if batch_size < 1 or learning_rate <= 0 or not models:
        raise ValueError(
            f"batch_size={batch_size} must be at least 1, learning_rate="
            f"{learning_rate} above 0, and models ({len(models)}) not empty"
        )
    if not checkpoints or np.any(np.diff([0, *checkpoints]) <= 0):
        raise ValueError(f"checkpoints must rise from 1: {checkpoints}")
    for layer in models[0]:
        linear = isinstance(layer, nn.Linear) and layer.bias is not None
        if list(layer.parameters()) and not linear:
            raise ValueError(f"{layer} is no nn.Linear with a bias")

    replicas, examples = len(models), y.shape[-1]
    device = models[0][0].weight.device
    stacked = [
        torch.stack(weights).detach().requires_grad_()
        for weights in zip(*(model.parameters() for model in models))
    ]
    optimizer = torch.optim.Adam(
        stacked, lr=learning_rate, eps=1e-7, fused=True
    )

    def predict(inputs):
        # Features before examples: [R, outputs, batch] keeps rows long.
        outputs = inputs.transpose(1, 2)
        weights = iter(stacked)
        for layer in models[0]:
            if isinstance(layer, nn.Linear):
                kernel, bias = next(weights), next(weights)
                outputs = torch.baddbmm(bias[:, :, None], kernel, outputs)
            else:
                outputs = layer(outputs)
        return outputs

    def losses(outputs, labels):
        if outputs.shape[1] == 1:
            return nn.functional.binary_cross_entropy_with_logits(
                outputs[:, 0], labels.float(), reduction="none"
            )
        return nn.functional.cross_entropy(outputs, labels, reduction="none")

    def for_each(data, dimensions):
        data = data.to(device)
        return (
            data
            if data.dim() == dimensions
            else data.expand(replicas, *data.shape)
        )

    x_check, y_check = for_each(x_check, 3), for_each(y_check, 2)
    # Data sets lie one behind the other, so that one index finds an example.
    offset = torch.arange(replicas, device=device)[:, None] * (
        examples if y.dim() == 2 else 0
    )
    x = x.reshape(-1, x.shape[-1]).to(device)
    y = y.reshape(-1).to(device)

    random = np.random.default_rng(seed)
    in_order = np.tile(np.arange(examples), (replicas, 1))
    history = {"loss": [], "accuracy": []}
    best_loss = torch.full((replicas,), torch.inf, device=device)
    best = [weight.detach().clone() for weight in stacked]
    position = examples
    for update in range(1, checkpoints[-1] + 1):
        if position >= examples:
            shuffled = random.permuted(in_order, axis=1)
            order = torch.from_numpy(shuffled).to(device) + offset
            position = 0
        batch = order[:, position : position + batch_size]
        position += batch_size
        optimizer.zero_grad()
        each = losses(predict(x[batch]), y[batch])
        # Each model's own mean; a sum over models keeps their gradients apart.
        (each.sum() / each.shape[1]).backward()
        optimizer.step()
        if update == checkpoints[len(history["loss"])]:
            with torch.no_grad():
                outputs = predict(x_check)
                loss = losses(outputs, y_check).mean(1)
                chosen = (
                    (outputs[:, 0] > 0).long()
                    if outputs.shape[1] == 1
                    else outputs.argmax(1)
                )
                right = (chosen == y_check).float().mean(1)
                better = loss < best_loss
                best_loss = torch.where(better, loss, best_loss)
                for kept, weight in zip(best, stacked):
                    kept[better] = weight[better]
            history["loss"].append(loss.cpu().numpy())
            history["accuracy"].append(right.cpu().numpy())
    with torch.no_grad():
        for number, model in enumerate(models):
            for parameter, weight in zip(model.parameters(), best):
                parameter.copy_(weight[number])
    return {name: np.stack(rows) for name, rows in history.items()}


# --8<-- [end:train_replicas_torch]
