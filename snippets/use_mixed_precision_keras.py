# --8<-- [start:use_mixed_precision_keras]
import keras


def use_mixed_precision_keras(build_model, dtype="bfloat16"):
    """The model, computing in half precision where that is safe.

    Weights, their gradients and the optimizer stay in float32; activations
    take half the memory. In float16, small gradients would become 0: compile
    then scales the loss up and the gradients down. In a loop of your own,
    wrap the optimizer in keras.optimizers.LossScaleOptimizer. bfloat16 has
    the range of float32 and needs no scale.

    build_model: a function without arguments that builds the model. Its last
        layer has dtype="float32", so that the loss is computed in float32.
    dtype: "bfloat16" or "float16".
    Returns the model; other models are built as before.
    Raises ValueError for another dtype, for a model without inputs and for
    an output in half precision.
    Source of the method: Micikevicius et al. (2018), by way of
    keras.DTypePolicy.
    """
    if dtype not in ("bfloat16", "float16"):
        raise ValueError(f"dtype={dtype!r} must be 'bfloat16' or 'float16'")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    try:
        model = build_model()
    finally:
        keras.config.set_dtype_policy(before)
    if not getattr(model, "outputs", None):
        raise ValueError("the model has 0 outputs; begin it with keras.Input")
    for output in model.outputs:
        found = keras.backend.standardize_dtype(output.dtype)
        if found != "float32":
            raise ValueError(
                f"an output is in {found}; it must be in float32: give the "
                'last layer dtype="float32"'
            )
    return model


# --8<-- [end:use_mixed_precision_keras]
