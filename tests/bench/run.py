"""Runs the benchmarks of this folder, or those that are named.

Each is a script that prints its figures beside their bounds. The exit status
is 1 if one of them missed a bound.
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = sorted(
    path.stem
    for path in FOLDER.glob("[!_]*.py")
    if path != Path(__file__) and not path.name.startswith("test_")
)

unknown = set(sys.argv[1:]) - set(NAMES)
if unknown:
    sys.exit(
        f"{min(unknown)}: no such benchmark; there are: {', '.join(NAMES)}"
    )
missed = False
for name in sys.argv[1:] or NAMES:
    print(f"{name}:", flush=True)
    missed |= bool(subprocess.call([sys.executable, FOLDER / f"{name}.py"]))
sys.exit(missed)
