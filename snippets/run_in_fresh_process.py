# --8<-- [start:run_in_fresh_process]
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def run_in_fresh_process(source, name, arguments=(), environment=None):
    """What a function returns when it runs in a Python process of its own.

    For what a process keeps to itself, such as its memory or its limits.
    Functions of a notebook cell cannot be sent to another process; their
    text can, such as inspect.getsource(function).

    source: text of a Python file that defines all that is needed.
    name: the function in it to call.
    arguments: its arguments, a sequence of what JSON can hold.
    environment: variables to set in addition to those that are set here.
    Returns what the function returned, which JSON must be able to hold.
    Raises ValueError if source defines no such function, and RuntimeError
    with the process's own words if it fails or is killed.
    The file lies in a temporary folder that is removed afterwards. Ctrl-C
    ends the process too.
    """
    if not f"\n{source}".count(f"\ndef {name}("):
        raise ValueError(f"source defines no function {name}")
    ending = (
        "\n\nif __name__ == '__main__':\n"
        "    import json, sys\n"
        "    found = json.load(open(sys.argv[1]))\n"
        f"    found = {name}(*found)\n"
        "    json.dump(found, open(sys.argv[2], 'w'))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / each for each in ("run.py", "in", "out")]
        paths[0].write_text(source + ending, encoding="utf-8")
        paths[1].write_text(json.dumps(list(arguments)), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, *map(str, paths)],
            env=os.environ | dict(environment or {}),
            capture_output=True,
            text=True,
        )
        if done.returncode or not paths[2].exists():
            raise RuntimeError(
                f"{name} ended with {done.returncode}:\n{done.stderr[-2000:]}"
            )
        return json.loads(paths[2].read_text("utf-8"))


# --8<-- [end:run_in_fresh_process]
