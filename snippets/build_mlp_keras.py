# --8<-- [start:build_mlp_keras]
import keras


def build_mlp_keras(sizes, seed):
    """Dense layers with ReLU between them, a built keras.Sequential.

    sizes: of the input, of each hidden layer and of the output.
    seed: of the weights, which are drawn uniformly after Glorot and Bengio
        (2010), Keras's default. Biases are 0. It becomes the seed of all that
        Keras draws from then on.
    Raises ValueError for fewer than two sizes, and for one below 1.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes={sizes}: give at least two, each above 0")
    keras.utils.set_random_seed(seed)
    features, *hidden, outputs = sizes
    layers = [keras.layers.Dense(units, activation="relu") for units in hidden]
    return keras.Sequential(
        [keras.Input((features,)), *layers, keras.layers.Dense(outputs)]
    )


# --8<-- [end:build_mlp_keras]
