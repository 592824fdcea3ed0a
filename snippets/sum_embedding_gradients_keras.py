# no twin, because: PyTorch adds these parts up itself.
# --8<-- [start:sum_embedding_gradients_keras]
import keras


def sum_embedding_gradients_keras(optimizer):
    """The optimizer, made to add up an embedding's gradient before it squares.

    On TensorFlow, the gradient of an embedding comes in one part for each
    look-up, and an optimizer that squares gradients, such as Adam, squares
    the parts where it should square their sum. Afterwards a look-up counts
    as in PyTorch, and as in a product with one-hot vectors. The sum takes as
    much memory as the table.

    optimizer: any keras optimizer; it is changed, before it is compiled
        into a model.
    Returns the same optimizer. On other backends nothing is changed: they
        give whole gradients.
    Raises ValueError for what is no keras optimizer, such as its name.
    """
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(
            f"optimizer is {optimizer!r}; give a keras optimizer, such as "
            f"keras.optimizers.Adam()"
        )
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        apply = optimizer.apply

        def apply_summed(grads, trainable_variables=None):
            whole = [
                None if each is None else tf.convert_to_tensor(each)
                for each in grads
            ]
            return apply(whole, trainable_variables)

        optimizer.apply = apply_summed
    return optimizer


# --8<-- [end:sum_embedding_gradients_keras]
