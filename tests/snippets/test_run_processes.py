"""Processes end in every case, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cloudpickle
import pytest

from snippets.run_processes import run_processes

ROOT = Path(__file__).parents[2]
# The processes cannot import this file, as they cannot import a notebook.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
OFFSET = 5


def helper(number):
    return number + OFFSET


def echo(process, addresses, number):
    return process, os.getpid(), addresses, helper(number)


def fail(process, addresses):
    if process == 1:
        raise KeyError("no such thing")
    time.sleep(100)


def stop(process, addresses):
    os._exit(3)


def hang(process, addresses, folder):
    Path(folder, f"pid{process}").write_text(str(os.getpid()))
    print("waiting for", process, flush=True)
    time.sleep(100)


def gone(pid):
    """Whether a process has ended, or will within seconds."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state.startswith("Z"):
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder for temporary files, which has to be empty in the end."""
    inside = tmp_path / "temporary"
    inside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(inside))
    monkeypatch.chdir(inside)
    yield tmp_path
    assert list(inside.iterdir()) == []


def test_each_process_returns_its_own():
    found = run_processes(echo, 3, number=2)
    assert [each[0] for each in found] == [0, 1, 2]
    assert len({each[1] for each in found} | {os.getpid()}) == 4
    assert all(gone(each[1]) for each in found)
    addresses = found[0][2]
    assert len(set(addresses)) == 3
    assert all(each[2] == addresses for each in found)
    assert all(each.startswith("127.0.0.1:") for each in addresses)
    assert {each[3] for each in found} == {7}


def test_an_error_ends_all_and_is_told():
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match="process 1 of 2") as told:
        run_processes(fail)
    assert "KeyError: 'no such thing'" in str(told.value)
    assert time.monotonic() - begun < 50


def test_a_process_that_ends_without_a_word_is_told():
    with pytest.raises(RuntimeError, match="status 3:\nno output"):
        run_processes(stop)


def test_the_time_limit_ends_all(folder):
    with pytest.raises(TimeoutError, match="time_limit=3 seconds") as told:
        run_processes(hang, time_limit=3, folder=str(folder))
    assert "waiting for" in str(told.value)
    # The line at which it hangs.
    assert " in hang\n" in str(told.value)
    assert all(gone(path.read_text()) for path in folder.glob("pid*"))


SCRIPT = """\
import signal, sys, tempfile
# What runs in a shell's background inherits that it ignores Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {root!r})
tempfile.tempdir = {temporary!r}
from snippets.run_processes import run_processes

def hang(process, addresses):
    import os, time
    open({folder!r} + f"/pid{{process}}", "w").write(str(os.getpid()))
    time.sleep(100)

run_processes(hang)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_all_end_with_the_program_however_it_ends(how, folder):
    text = SCRIPT.format(
        root=str(ROOT), folder=str(folder), temporary=str(folder / "temporary")
    )
    program = subprocess.Popen(
        [sys.executable, "-c", text], stderr=subprocess.DEVNULL
    )
    pids = []
    while len(pids) < 2:
        time.sleep(0.1)
        assert program.poll() is None
        written = [path.read_text() for path in folder.glob("pid*")]
        pids = [pid for pid in written if pid]
    program.send_signal(how)
    assert program.wait(20) != 0
    assert all(gone(pid) for pid in pids)
    # The last process to notice removes the folder.
    for _ in range(50):
        if not list((folder / "temporary").iterdir()):
            break
        time.sleep(0.1)


def test_bad_numbers_are_refused_with_the_reason():
    with pytest.raises(ValueError, match="num_processes is 0"):
        run_processes(echo, 0)
    with pytest.raises(ValueError, match="num_processes is 1.5"):
        run_processes(echo, 1.5)
    with pytest.raises(ValueError, match="time_limit is 0; give seconds"):
        run_processes(echo, time_limit=0)
