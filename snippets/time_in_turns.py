# --8<-- [start:time_in_turns]
import gc
import time

import numpy as np


def time_in_turns(functions, repeats, seconds, clock=time.process_time):
    """Seconds of a call of each function, measured in turns.

    A slow moment of the machine then falls on all of them. Each is called
    once before, which is not counted: a first call may build and trace.

    functions: {name: a function without arguments}.
    repeats: turns of each.
    seconds: in its turn, a function is called until so many have passed; at
        least once.
    clock: that of the processor does not count what others do meanwhile;
        take time.perf_counter where the function waits for a device.
    Returns {name: the mean seconds of a call in each turn, a NumPy array}.
    """
    for function in functions.values():
        function()
    found = {name: [] for name in functions}
    # As timeit does: the collector's rare long pause would count for one.
    collects = gc.isenabled()
    gc.disable()
    try:
        for _ in range(repeats):
            for name, function in functions.items():
                start, calls, passed = clock(), 0, 0
                while not calls or passed < seconds:
                    function()
                    calls, passed = calls + 1, clock() - start
                found[name].append(passed / calls)
    finally:
        if collects:
            gc.enable()
    return {name: np.array(each) for name, each in found.items()}


# --8<-- [end:time_in_turns]
