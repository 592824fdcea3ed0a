# --8<-- [start:update_on_devices_keras]
import keras


def update_on_devices_keras(
    strategy, model, loss_function, optimizer, micro_batches, global_batch_size
):
    """One update of the weights by the mean gradient of the global batch.

    Right whatever the shares: the devices may hold different numbers of
    examples, or none. Every process calls it with its own examples, best
    inside a tf.function. Needs Keras on TensorFlow.

    strategy: a tf.distribute.Strategy with one device in each process, such
        as MultiWorkerMirroredStrategy; tf.distribute.get_strategy() where
        there is only one process.
    model, optimizer: made inside strategy.scope(), and the optimizer built
        there: optimizer.build(model.trainable_variables).
    loss_function: (labels, outputs) -> loss of each example, [n]; such as
        SparseCategoricalCrossentropy(reduction=None).
    micro_batches: this device's (inputs, labels), one pair for each forward
        pass; gradients are exchanged once, after the last. No example at
        all is a pair of empty tensors.
    global_batch_size: examples of this update, over all devices; a number
        or a tensor.
    Returns this device's part of the batch's mean loss; the sum over the
    devices is that mean.
    Raises ValueError where micro_batches is empty, the loss is not one
    number per example, or Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Keras runs on {keras.backend.backend()}; a strategy needs "
            "KERAS_BACKEND=tensorflow"
        )
    import tensorflow as tf

    if not micro_batches:
        raise ValueError("0 micro-batches; give at least one")
    weights = model.trainable_variables

    def on_device(micro_batches):
        total, gradients = 0.0, None
        for inputs, labels in micro_batches:
            with tf.GradientTape() as tape:
                losses = loss_function(labels, model(inputs, training=True))
                if losses.shape.rank != 1:
                    raise ValueError(
                        f"the loss has shape {losses.shape}; one number per "
                        "example is needed: set reduction=None"
                    )
                loss = tf.reduce_sum(losses) / tf.cast(
                    global_batch_size, losses.dtype
                )
            found = tape.gradient(
                loss,
                weights,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            # Those of an embedding come as rows; as a whole they can be added.
            found = [tf.convert_to_tensor(each) for each in found]
            if gradients is not None:
                found = [old + new for old, new in zip(gradients, found)]
            total, gradients = total + loss, found
        # Under a strategy this adds up the gradients of all devices.
        optimizer.apply(gradients, weights)
        return total

    return strategy.run(on_device, args=(micro_batches,))


# --8<-- [end:update_on_devices_keras]
