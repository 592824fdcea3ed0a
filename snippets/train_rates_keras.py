# --8<-- [start:train_rates_keras]
import keras
import numpy as np
from keras import ops


def train_rates_keras(
    models, learning_rates, x, y, phases, checkpoints, check, seed, **options
):
    """Train many small networks at once, each at a learning rate of its own.

    The weights of the R models are stacked and the model's own forward pass
    is mapped over them. The optimizer is Keras's own, at a rate of 1; it moves
    what is then multiplied by each model's rate. That is exact for SGD,
    momentum and Adam, whose steps are proportional to the rate.

    models: R built keras models without state such as that of batch
        normalisation, alike but for their weights; two outputs or more, one
        for each class.
    learning_rates: R numbers above 0.
    x, y: float32 [N, features] and int32 [N], the same data for all models;
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
    Raises ValueError for settings, models and backends it cannot train.
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
    if models[0].non_trainable_variables:
        raise ValueError("a model with non-trainable state cannot be stacked")

    initial = [
        ops.convert_to_tensor(np.stack(weights))
        for weights in zip(*(model.get_weights() for model in models))
    ]
    rates = [
        ops.convert_to_tensor(
            np.reshape(learning_rates, (-1, *[1] * (len(weight.shape) - 1))),
            dtype="float32",
        )
        for weight in initial
    ]
    travelled = [keras.Variable(ops.zeros_like(weight)) for weight in initial]
    if options["optimizer"] == "sgd":
        optimizer = keras.optimizers.SGD(1.0, momentum=options["momentum"])
    elif options["optimizer"] == "adam":
        optimizer = keras.optimizers.Adam(1.0, beta_2=options["beta_2"])
    else:
        raise ValueError(f"optimizer={options['optimizer']}: sgd or adam")
    optimizer.build(travelled)

    def now():
        return [
            start + rate * moved.value
            for start, rate, moved in zip(initial, rates, travelled)
        ]

    def predict_one(weights, inputs):
        return models[0].stateless_call(weights, [], inputs)[0]

    def losses(outputs, labels):
        each = keras.losses.sparse_categorical_crossentropy(
            labels, outputs, from_logits=True
        )
        return ops.mean(each, axis=1)

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def predict(weights, inputs):
            return tf.vectorized_map(
                lambda pair: predict_one(*pair), (weights, inputs)
            )

        def update(batch):
            with tf.GradientTape() as tape:
                weights = now()
                tape.watch(weights)
                outputs = predict(weights, ops.take(x, batch, axis=0))
                loss = ops.sum(losses(outputs, ops.take(y, batch, axis=0)))
            optimizer.apply(tape.gradient(loss, weights), travelled)

        # One call runs every update up to the next checkpoint.
        @tf.function(
            input_signature=[
                tf.TensorSpec([replicas, None], tf.int32),
                tf.TensorSpec([], tf.int32),
            ],
            autograph=False,
        )
        def advance(order, batch_size):
            def one_update(start):
                update(order[:, start : start + batch_size])
                return [start + batch_size]

            tf.while_loop(
                lambda start: start < tf.shape(order)[1], one_update, [0]
            )

        @tf.function(autograph=False)
        def outputs_for(inputs):
            return predict(now(), inputs)

    elif backend == "torch":
        import torch

        predict = torch.func.vmap(predict_one)

        def advance(order, batch_size):
            for batch in torch.split(torch.as_tensor(order), batch_size, dim=1):
                weights = [each.detach().requires_grad_() for each in now()]
                outputs = predict(weights, ops.take(x, batch, axis=0))
                loss = ops.sum(losses(outputs, ops.take(y, batch, axis=0)))
                gradients = torch.autograd.grad(loss, weights)
                with torch.no_grad():
                    optimizer.apply(gradients, travelled)

        def outputs_for(inputs):
            with torch.no_grad():
                return predict(now(), inputs)
    else:
        raise ValueError(
            f"no path for the {backend} backend; use tensorflow or torch"
        )

    def for_each(data, dimensions):
        data = ops.convert_to_tensor(data)
        if len(data.shape) == dimensions:
            return data
        return ops.broadcast_to(data, (replicas, *data.shape))

    check = {
        name: (for_each(inputs, 3), for_each(labels, 2))
        for name, (inputs, labels) in check.items()
    }
    # Data sets lie one behind the other, so that one index finds an example.
    offset = np.arange(replicas, dtype="int32")[:, None] * (
        examples if len(y.shape) == 2 else 0
    )
    x = ops.reshape(ops.convert_to_tensor(x), (-1, x.shape[-1]))
    y = ops.reshape(ops.convert_to_tensor(y), (-1,))
    history = {name: {"loss": [], "accuracy": []} for name in check}

    def look():
        for name, (inputs, labels) in check.items():
            outputs = outputs_for(inputs)
            loss = ops.convert_to_numpy(losses(outputs, labels))
            chosen = ops.argmax(outputs, axis=-1)
            right = ops.equal(chosen, ops.cast(labels, chosen.dtype))
            history[name]["loss"].append(loss)
            history[name]["accuracy"].append(
                ops.convert_to_numpy(right).mean(axis=1)
            )
        return stop(history)

    random = np.random.default_rng(seed)
    in_order = np.tile(np.arange(examples, dtype="int32"), (replicas, 1))
    position, update_count = examples, 0
    wanted = [checkpoint for checkpoint in checkpoints if checkpoint]
    ended = look() if len(wanted) < len(checkpoints) else False
    for num_updates, batch_size, factor in phases:
        optimizer.learning_rate = factor
        left = num_updates
        while left and not ended:
            if position >= examples:
                order = random.permuted(in_order, axis=1) + offset
                position = 0
            # To the end of the epoch, of the phase, or to the next look.
            count = min(left, -(-(examples - position) // batch_size))
            if wanted:
                count = min(count, wanted[0] - update_count)
            end = position + count * batch_size
            advance(order[:, position:end], batch_size)
            position = end
            update_count += count
            left -= count
            if wanted and update_count == wanted[0]:
                wanted.pop(0)
                ended = look()
    stacked = [ops.convert_to_numpy(weight) for weight in now()]
    for number, model in enumerate(models):
        model.set_weights([weight[number] for weight in stacked])
    return {
        name: {key: np.stack(rows) for key, rows in found.items()}
        for name, found in history.items()
    }


# --8<-- [end:train_rates_keras]
