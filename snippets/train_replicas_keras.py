# --8<-- [start:train_replicas_keras]
import keras
import numpy as np
from keras import ops


def train_replicas_keras(
    models, x, y, batch_size, learning_rate, checkpoints, x_check, y_check, seed
):
    """Train many small networks at once, each on batches of its own.

    The weights of the R models are stacked and the model's own forward pass
    is mapped over them, so one compiled update serves all of them. What each
    model learns is what a plain loop would teach it.

    models: R built keras models without state such as that of batch
        normalisation, alike but for their weights. One output means two
        classes (binary cross-entropy on logits), more outputs mean so many.
    x, y: float32 [N, features] and int32 [N], the same data for all models;
        or [R, N, features] and [R, N], a data set for each.
    batch_size: examples per update; a larger one than N means N.
    learning_rate: of keras.optimizers.Adam.
    checkpoints: numbers of updates after which to look at x_check, y_check;
        rising. Training ends with the last.
    seed: of the order of examples, drawn anew in every epoch.
    Returns {"loss", "accuracy"}, NumPy arrays [checkpoints, R] on the check
    data. Each model is left with the weights of its lowest check loss.
    Raises ValueError for settings, models and backends it cannot train.
    """
    if batch_size < 1 or learning_rate <= 0 or not models:
        raise ValueError(
            f"batch_size={batch_size} must be at least 1, learning_rate="
            f"{learning_rate} above 0, and models ({len(models)}) not empty"
        )
    if not checkpoints or np.any(np.diff([0, *checkpoints]) <= 0):
        raise ValueError(f"checkpoints must rise from 1: {checkpoints}")
    if models[0].non_trainable_variables:
        raise ValueError("a model with non-trainable state cannot be stacked")

    replicas, examples = len(models), y.shape[-1]
    stacked = [
        keras.Variable(np.stack(weights))
        for weights in zip(*(model.get_weights() for model in models))
    ]
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(stacked)

    def predict_one(weights, inputs):
        return models[0].stateless_call(weights, [], inputs)[0]

    def losses(outputs, labels):
        if outputs.shape[-1] == 1:
            each = keras.losses.binary_crossentropy(
                ops.cast(labels, "float32")[..., None],
                outputs,
                from_logits=True,
            )
        else:
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
                weights = [variable.value for variable in stacked]
                tape.watch(weights)
                outputs = predict(weights, ops.take(x, batch, axis=0))
                loss = ops.sum(losses(outputs, ops.take(y, batch, axis=0)))
            optimizer.apply(tape.gradient(loss, weights), stacked)

        indices = tf.TensorSpec([replicas, None], tf.int32)

        # One call runs every update up to the next checkpoint.
        @tf.function(input_signature=[indices], autograph=False)
        def advance(order):
            def one_update(start):
                update(order[:, start : start + batch_size])
                return [start + batch_size]

            tf.while_loop(
                lambda start: start < tf.shape(order)[1], one_update, [0]
            )

        @tf.function(autograph=False)
        def look():
            return predict([each.value for each in stacked], x_check)

    elif backend == "torch":
        import torch

        predict = torch.func.vmap(predict_one)

        def advance(order):
            for batch in torch.split(torch.as_tensor(order), batch_size, dim=1):
                weights = [
                    variable.value.detach().requires_grad_()
                    for variable in stacked
                ]
                outputs = predict(weights, ops.take(x, batch, axis=0))
                loss = ops.sum(losses(outputs, ops.take(y, batch, axis=0)))
                gradients = torch.autograd.grad(loss, weights)
                with torch.no_grad():
                    optimizer.apply(gradients, stacked)

        def look():
            with torch.no_grad():
                return predict([each.value for each in stacked], x_check)
    else:
        raise ValueError(
            f"no path for the {backend} backend; use tensorflow or torch"
        )

    def for_each(data, dimensions):
        data = ops.convert_to_tensor(data)
        if len(data.shape) == dimensions:
            return data
        return ops.broadcast_to(data, (replicas, *data.shape))

    x_check, y_check = for_each(x_check, 3), for_each(y_check, 2)
    # Data sets lie one behind the other, so that one index finds an example.
    offset = np.arange(replicas, dtype="int32")[:, None] * (
        examples if len(y.shape) == 2 else 0
    )
    x = ops.reshape(ops.convert_to_tensor(x), (-1, x.shape[-1]))
    y = ops.reshape(ops.convert_to_tensor(y), (-1,))

    random = np.random.default_rng(seed)
    in_order = np.tile(np.arange(examples, dtype="int32"), (replicas, 1))
    per_epoch = -(-examples // batch_size)
    history = {"loss": [], "accuracy": []}
    best_loss = np.full(replicas, np.inf)
    best = [variable.numpy().copy() for variable in stacked]
    done = 0
    for checkpoint in checkpoints:
        while done < checkpoint:
            first = done % per_epoch
            if first == 0:
                order = random.permuted(in_order, axis=1) + offset
            last = min(per_epoch, first + checkpoint - done)
            advance(order[:, first * batch_size : last * batch_size])
            done += last - first
        outputs = look()
        loss = ops.convert_to_numpy(losses(outputs, y_check))
        chosen = (
            ops.cast(outputs[..., 0] > 0, "int32")
            if outputs.shape[-1] == 1
            else ops.argmax(outputs, axis=-1)
        )
        right = ops.equal(chosen, ops.cast(y_check, chosen.dtype))
        history["loss"].append(loss)
        history["accuracy"].append(ops.convert_to_numpy(right).mean(axis=1))
        better = loss < best_loss
        best_loss = np.where(better, loss, best_loss)
        if better.any():
            for kept, variable in zip(best, stacked):
                kept[better] = ops.convert_to_numpy(variable.value)[better]
    for number, model in enumerate(models):
        model.set_weights([weight[number] for weight in best])
    return {name: np.stack(rows) for name, rows in history.items()}


# --8<-- [end:train_replicas_keras]
