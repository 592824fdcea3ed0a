# --8<-- [start:train_rates_torch]
import numpy as np
import torch
from torch import nn


def train_rates_torch(
    models, learning_rates, x, y, phases, checkpoints, check, seed, **options
):
    """Train many small networks at once, each at a learning rate of its own.

    The weights of the R models are stacked, so one matrix product serves all
    of them. The optimizer is PyTorch's own, at a rate of 1; it moves what is
    then multiplied by each model's rate. That is exact for SGD, momentum and
    Adam, whose steps are proportional to the rate.

    models: R nn.Sequential of nn.Linear with bias and element-wise layers,
        alike but for their weights; two outputs or more, one for each class.
    learning_rates: R numbers above 0.
    x, y: float32 [N, features] and int64 [N], the same data for all models;
        or [R, N, features] and [R, N], a data set for each.
    phases: [(num_updates, batch_size, factor of the rates)], one after the
        other; no batch may be larger than N.
    checkpoints: numbers of updates after which to look; rising, from 0 on.
    check: {name: (x, y)}, the data to look at.
    seed: of the order of examples, drawn anew in every epoch.
    options: optimizer="sgd" or "adam"; momentum=0.0, of SGD; beta_2=0.999,
        of Adam; stop=None, or a function of what is returned so far that
        says whether to end here.
    Returns {name: {"loss", "accuracy"}}, NumPy arrays [checkpoints, R]; a
    diverged loss is not finite. The models get the weights of the end.
    Raises ValueError for settings and layers that it cannot train.
    """
    options = {"optimizer": "sgd", "momentum": 0.0, "beta_2": 0.999} | options
    stop = options.pop("stop", None) or (lambda history: False)
    if set(options) != {"optimizer", "momentum", "beta_2"}:
        raise ValueError(f"unknown among the options: {sorted(options)}")
    replicas, examples = len(models), y.shape[-1]
    if not replicas or len(learning_rates) != replicas:
        raise ValueError(
            f"{len(learning_rates)} learning_rates for {replicas} models; "
            "give one each, and at least one"
        )
    wrong = [rate for rate in learning_rates if not 0 < rate < np.inf]
    if wrong:
        raise ValueError(f"a rate of {wrong[0]} is not above 0 and finite")
    if x.shape[-2] != examples:
        raise ValueError(
            f"x has {x.shape[-2]} examples and y {examples} labels; give as "
            "many of both"
        )
    for num_updates, batch_size, factor in phases:
        if num_updates < 1 or not 1 <= batch_size <= examples or factor <= 0:
            raise ValueError(
                f"phase ({num_updates}, {batch_size}, {factor}): num_updates "
                f"must be 1 or more, batch_size 1 to {examples} (the data), "
                "the factor above 0"
            )
    last = sum(num_updates for num_updates, _, _ in phases)
    if not checkpoints or np.any(np.diff([-1, *checkpoints, last + 1]) <= 0):
        raise ValueError(f"checkpoints must rise, from 0 to {last} at most")
    for layer in models[0]:
        linear = isinstance(layer, nn.Linear) and layer.bias is not None
        if list(layer.parameters()) and not linear:
            raise ValueError(f"{layer} is no nn.Linear with a bias")

    device = models[0][0].weight.device
    initial = [
        torch.stack(weights).detach()
        for weights in zip(*(model.parameters() for model in models))
    ]
    rates = torch.tensor(learning_rates, dtype=torch.float32, device=device)
    rates = [rates.reshape(-1, *[1] * (weight.dim() - 1)) for weight in initial]
    travelled = [torch.zeros_like(weight) for weight in initial]
    if options["optimizer"] == "sgd":
        optimizer = torch.optim.SGD(
            travelled, lr=1.0, momentum=options["momentum"], fused=True
        )
    elif options["optimizer"] == "adam":
        betas = (0.9, options["beta_2"])
        optimizer = torch.optim.Adam(
            travelled, lr=1.0, betas=betas, eps=1e-7, fused=True
        )
    else:
        raise ValueError(f"optimizer={options['optimizer']}: sgd or adam")

    def now():
        return [
            torch.addcmul(start, rate, moved)
            for start, rate, moved in zip(initial, rates, travelled)
        ]

    def predict(stacked, inputs):
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

    def for_each(data, dimensions):
        data = data.to(device)
        if data.dim() == dimensions:
            return data
        return data.expand(replicas, *data.shape)

    check = {
        name: (for_each(inputs, 3), for_each(labels, 2))
        for name, (inputs, labels) in check.items()
    }
    # Data sets lie one behind the other, so that one index finds an example.
    offset = torch.arange(replicas, device=device)[:, None] * (
        examples if y.dim() == 2 else 0
    )
    x = x.reshape(-1, x.shape[-1]).to(device)
    y = y.reshape(-1).to(device)
    history = {name: {"loss": [], "accuracy": []} for name in check}

    @torch.no_grad()
    def look():
        stacked = now()
        for name, (inputs, labels) in check.items():
            outputs = predict(stacked, inputs)
            loss = nn.functional.cross_entropy(
                outputs, labels, reduction="none"
            ).mean(1)
            right = (outputs.argmax(1) == labels).float().mean(1)
            history[name]["loss"].append(loss.cpu().numpy())
            history[name]["accuracy"].append(right.cpu().numpy())
        return stop(history)

    random = np.random.default_rng(seed)
    in_order = np.tile(np.arange(examples), (replicas, 1))
    position, update, ended = examples, 0, False
    wanted = set(checkpoints)
    if 0 in wanted:
        ended = look()
    for num_updates, batch_size, factor in phases:
        optimizer.param_groups[0]["lr"] = factor
        for _ in range(0 if ended else num_updates):
            if position >= examples:
                shuffled = random.permuted(in_order, axis=1)
                order = torch.from_numpy(shuffled).to(device) + offset
                position = 0
            batch = order[:, position : position + batch_size]
            position += batch_size
            stacked = [weight.requires_grad_() for weight in now()]
            loss = nn.functional.cross_entropy(
                predict(stacked, x[batch]), y[batch], reduction="sum"
            )
            # Each model's own mean; their gradients do not mix in a sum.
            gradients = torch.autograd.grad(loss / batch.shape[1], stacked)
            for moved, gradient in zip(travelled, gradients):
                moved.grad = gradient
            optimizer.step()
            update += 1
            if update in wanted and look():
                ended = True
                break
    with torch.no_grad():
        stacked = now()
        for number, model in enumerate(models):
            for parameter, weight in zip(model.parameters(), stacked):
                parameter.copy_(weight[number])
    return {
        name: {key: np.stack(rows) for key, rows in found.items()}
        for name, found in history.items()
    }


# --8<-- [end:train_rates_torch]
