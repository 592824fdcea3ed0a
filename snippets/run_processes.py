# --8<-- [start:run_processes]
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time

# Part of scikit-learn's own needs; else: pip install cloudpickle.
import cloudpickle


def run_processes(work, num_processes=2, time_limit=120.0, **arguments):
    """What a function returns in each of several processes of its own.

    The function may stand in a notebook's cell, where Python's own
    multiprocessing does not find it.

    work: called as work(process, addresses, **arguments) in each process.
        process counts from 0; addresses is a list of one "127.0.0.1:PORT"
        for each process, ports that were free just now. What it uses of your
        program's functions and values goes with it, as far as it can be
        pickled; open files, devices and compiled functions cannot.
    num_processes: how many, on this machine.
    time_limit: seconds for all of it, imports included.
    Returns a list: what each process returned.
    Raises ValueError for a number that is not above 0, RuntimeError with the
    end of its output where a process fails, and TimeoutError with the same,
    and with the line at which it waits, where the time is up. However it
    ends, also by Ctrl-C or because your program is killed, all processes
    end, and no file stays behind.
    """
    if num_processes != int(num_processes) or num_processes < 1:
        raise ValueError(
            f"num_processes is {num_processes}; give a whole number of at "
            "least 1"
        )
    if not time_limit > 0:
        raise ValueError(
            f"time_limit is {time_limit}; give seconds, more than 0"
        )
    # A process waits for the end of its input, which comes when we close it
    # or are gone.
    child = """
import faulthandler, os, pickle, shutil, sys, threading

folder, process = sys.argv[1], int(sys.argv[2])
# Where the time is nearly up, its output says what it waits for.
faulthandler.dump_traceback_later(0.9 * float(sys.argv[3]))


def wait():
    sys.stdin.buffer.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


waiting = threading.Thread(target=wait, daemon=True)
waiting.start()
with open(os.path.join(folder, "work"), "rb") as stream:
    path, packed = pickle.load(stream)
sys.path[:] = path
work, addresses, arguments = pickle.loads(packed)
found = work(process, addresses, **arguments)
result = os.path.join(folder, f"result{process}")
with open(result + ".part", "wb") as stream:
    pickle.dump(found, stream)
# Whole or not at all.
os.replace(result + ".part", result)
# Others may still need this process to end their own work: so it ends, and
# leaves a group of processes, only with all.
waiting.join()
"""
    # All at once, so that no port is given twice.
    sockets = [socket.socket() for _ in range(num_processes)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    finally:
        for each in sockets:
            each.close()

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:

        def path(name):
            return os.path.join(folder, name)

        def last_words(process):
            with open(path(f"output{process}"), errors="replace") as stream:
                return "".join(stream.readlines()[-60:]) or "no output\n"

        packed = cloudpickle.dumps((work, addresses, arguments))
        with open(path("work"), "wb") as stream:
            pickle.dump((sys.path, packed), stream)
        begun, running, found = time.monotonic(), [], {}
        try:
            for process in range(num_processes):
                with open(path(f"output{process}"), "wb") as output:
                    running.append(
                        subprocess.Popen(
                            [
                                *(sys.executable, "-c", child),
                                *(folder, str(process), str(time_limit)),
                            ],
                            stdin=subprocess.PIPE,
                            stdout=output,
                            stderr=subprocess.STDOUT,
                        )
                    )
            while len(found) < num_processes:
                for process in set(range(num_processes)) - set(found):
                    name = path(f"result{process}")
                    ended = running[process].poll()
                    if os.path.exists(name):
                        with open(name, "rb") as stream:
                            found[process] = pickle.load(stream)
                    elif ended is not None:
                        raise RuntimeError(
                            f"process {process} of {num_processes} ended with "
                            f"status {ended}:\n{last_words(process)}"
                        )
                    elif time.monotonic() - begun > time_limit:
                        raise TimeoutError(
                            f"process {process} of {num_processes} has not "
                            f"ended after time_limit={time_limit} seconds; "
                            f"its output ends:\n{last_words(process)}"
                        )
                time.sleep(0.02)
        finally:
            for each in running:
                each.kill()
            for each in running:
                each.wait()
                each.stdin.close()
        return [found[process] for process in range(num_processes)]


# --8<-- [end:run_processes]
