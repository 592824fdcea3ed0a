"""How long one waits for the commands of the Makefile; an hour in all."""

import time

from _bench import ROOT, Row, report, run

# Minutes, on two cores that do nothing else.
AT_MOST = {
    "check": 0.1,
    "quick": 1.5,
    "test": 14,
    "site FRESH=1": 40,
}


def measure():
    for command, minutes in AT_MOST.items():
        begun = time.perf_counter()
        run(ROOT, "make", *command.split())
        taken = (time.perf_counter() - begun) / 60
        yield Row(f"make {command}", taken, "minutes", at_most=minutes)


if __name__ == "__main__":
    report(measure())
