# --8<-- [start:estimate_memory_keras]
import keras
import numpy as np


def estimate_memory_keras(model, loss_function, x, y, state_values=0):
    """Bytes that training will take: a fixed part, and one per example.

    A batch of B examples needs about fixed + B * per_example bytes. What it
    leaves out: gradients of activations, which are short-lived, the working
    space of single operations, and the framework itself.

    model: any built keras model, on the TensorFlow backend. Nothing is
        computed, so the size of the model does not matter.
    loss_function: (labels, outputs) -> loss of the batch.
    x, y: a small batch, at least 2 examples, arrays; only their shapes and
        types are used.
    state_values: numbers that the optimizer keeps for each parameter: 0 for
        plain SGD, 1 with momentum, 2 for Adam.
    Returns a dict of bytes: parameters (with other variables), gradients,
    optimizer, activations (kept whatever the batch size, such as weights in
    another precision), their sum fixed, and per_example: what the backward
    pass needs of one example, its own row of x and y included where it is
    kept.
    Raises ValueError for batches, state_values, models and backends it
    cannot use, such as recurrent layers, which keep lists of tensors.
    Method: traces the update for half of the batch and for all of it, and
    counts the tensors that backward operations take from forward ones; those
    that share memory once, and variables never.
    """
    if len(x) < 2 or len(x) != len(y):
        raise ValueError(
            f"x has {len(x)} examples and y has {len(y)} labels; give at "
            "least 2, and as many of either"
        )
    if state_values < 0:
        raise ValueError(f"state_values={state_values} must be at least 0")
    variables = model.trainable_variables
    if not variables:
        raise ValueError(
            "the model has 0 trainable parameters; at least 1 is needed "
            "(a model that is not built has none yet)"
        )
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(f"no path for the {backend} backend; use tensorflow")

    import tensorflow as tf

    # Operations whose result lies where their input does.
    views = {"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient"}
    variable_reads = {"ReadVariableOp", "Const"}

    def size_of(tensor):
        if tensor.dtype == tf.resource:
            return 0
        if tensor.dtype == tf.variant or not tensor.shape.is_fully_defined():
            raise ValueError(
                f"{tensor.name} has the shape {tensor.shape}, which is not "
                "known in advance; such a layer cannot be estimated"
            )
        return tensor.shape.num_elements() * tensor.dtype.size

    def saved_bytes(num_examples):
        found = {}

        def update(inputs, labels):
            graph = tf.compat.v1.get_default_graph()
            with tf.GradientTape() as tape:
                outputs = model(inputs, training=True)
                loss = keras.ops.mean(loss_function(labels, outputs))
            forward = {op.name for op in graph.get_operations()}
            tape.gradient(loss, [each.value for each in variables])
            for op in graph.get_operations():
                if op.name in forward:
                    continue
                for tensor in op.inputs:
                    while tensor.op.type in views:
                        tensor = tensor.op.inputs[0]
                    if (
                        tensor.op.name in forward
                        and tensor.op.type not in variable_reads
                    ):
                        found[tensor.name] = size_of(tensor)
            return loss

        specs = [
            tf.TensorSpec((num_examples, *part.shape[1:]), part.dtype)
            for part in (np.asarray(x), np.asarray(y))
        ]
        tf.function(update, autograph=False).get_concrete_function(*specs)
        return sum(found.values())

    def bytes_of(several):
        return sum(
            int(np.prod(each.shape)) * tf.as_dtype(each.dtype).size
            for each in several
        )

    half = len(x) // 2
    small, large = saved_bytes(half), saved_bytes(len(x))
    per_example = (large - small) / (len(x) - half)
    found = {
        "parameters": bytes_of(model.variables),
        "gradients": bytes_of(variables),
        "optimizer": state_values * bytes_of(variables),
        "activations": max(0.0, large - per_example * len(x)),
    }
    found["fixed"] = sum(found.values())
    found["per_example"] = per_example
    return found


# --8<-- [end:estimate_memory_keras]
