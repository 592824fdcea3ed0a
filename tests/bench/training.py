"""How much CPU time it saves to train all seeds of a size at once.

The blobs study: eight batch sizes, the program's own number of seeds, 50
epochs, test accuracy after each. The plain side is the loop that a reader
would write, one seed after the other. It is timed for a few seeds, between
which nothing is shared, and multiplied up to all of them. The sides take
turns, size by size.

Run: python tests/bench/training.py, or with one of torch and keras
"""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

NUM_EPOCHS = 50
PLAIN_SEEDS = {"keras": 1, "torch": 3}
AT_LEAST = {"keras": 8, "torch": 25}
BLOBS = Path(__file__).parents[2] / "examples" / "blobs"


def study(framework: str) -> dict:
    """The names of the blobs program up to its network, as it defines them."""
    text = (BLOBS / f"blobs_{framework}.py").read_text(encoding="utf-8")
    until = text.index("# ## Count the updates")
    names: dict = {}
    exec(compile(ast.parse(text[:until]), "blobs", "exec"), names)
    return names


def keras_plain(names: dict, seed: int, batch_size: int) -> None:
    keras = names["keras"]
    model = names["build_model"](seed)
    model.compile(
        optimizer=keras.optimizers.Adam(names["LEARNING_RATE"]),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        names["x_train"],
        names["y_train"],
        batch_size=batch_size,
        epochs=NUM_EPOCHS,
        validation_data=(names["x_test"], names["y_test"]),
        verbose=0,
    )


def torch_plain(names: dict, seed: int, batch_size: int) -> None:
    torch = names["torch"]
    model = names["build_model"](seed)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=names["LEARNING_RATE"], eps=1e-7
    )
    loss = names["nn"].CrossEntropyLoss()
    loader = names["DataLoader"](
        names["TensorDataset"](names["x_train"], names["y_train"]),
        batch_size=batch_size,
        shuffle=True,
    )
    for _ in range(NUM_EPOCHS):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss(model(inputs), labels).backward()
            optimizer.step()
        with torch.no_grad():
            chosen = model(names["x_test"]).argmax(dim=1)
            (chosen == names["y_test"]).float().mean().item()


def together(framework: str, names: dict, batch_size: int) -> None:
    per_epoch = -(-names["NUM_TRAIN"] // batch_size)
    names[f"train_replicas_{framework}"](
        names["build_models"](),
        names["x_train"],
        names["y_train"],
        batch_size,
        names["LEARNING_RATE"],
        [epoch * per_epoch for epoch in range(1, NUM_EPOCHS + 1)],
        names["x_test"],
        names["y_test"],
        seed=0,
    )


def main(framework: str) -> int:
    """0 if the saving is as large as it has to be, else 1."""
    names = study(framework)
    plain = keras_plain if framework == "keras" else torch_plain
    seeds = PLAIN_SEEDS[framework]
    # The first call of each pays for the start of the framework.
    plain(names, 0, 512)
    together(framework, names, 512)
    total_plain = total_together = 0.0
    for batch_size in names["BATCH_SIZES"]:
        start = time.process_time()
        for seed in range(seeds):
            plain(names, seed, batch_size)
        middle = time.process_time()
        together(framework, names, batch_size)
        end = time.process_time()
        one = (middle - start) / seeds * names["NUM_SEEDS"]
        total_plain += one
        total_together += end - middle
        print(
            f"  batch_size={batch_size}: plain {one:.1f} s of CPU time, "
            f"all at once {end - middle:.2f} s, ratio "
            f"{one / (end - middle):.0f}",
            flush=True,
        )
    ratio = total_plain / total_together
    least = AT_LEAST[framework]
    good = ratio >= least
    print(
        f"{framework}: {names['NUM_SEEDS']} seeds at once take "
        f"{ratio:.0f} times less CPU time; at least {least} expected: "
        + ("good" if good else "MISSED")
    )
    return 0 if good else 1


if __name__ == "__main__":
    names = sys.argv[1:] or list(AT_LEAST)
    if set(names) - set(AT_LEAST):
        sys.exit("usage: python tests/bench/training.py [keras|torch]")
    if len(names) == 1:
        sys.exit(main(names[0]))
    # Each framework in a process of its own, as their threads meet otherwise.
    ended = [subprocess.call([sys.executable, __file__, n]) for n in names]
    sys.exit(max(ended))
