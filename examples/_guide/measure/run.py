"""`guide run`: chooses what to run, and runs it side by side.

Each program has a worker process (worker.py), and that a Jupyter kernel. A
worker ends itself and its kernel when its standard input closes, so nothing
that runs here outlives this process, however that ends.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from _guide import results
from _guide.project import GuideError, Program, programs

HEARTBEAT = 30
# Seconds between two looks at the running programs.
LOOK = 0.1
# Seconds that a worker has to end itself and its kernel.
GRACE = 3
# Seconds that it takes to start a kernel and to conclude from kept runs.
CONCLUDING = 10


@dataclass
class Task:
    """A program that is to run, and what is known before it does."""

    program: Program
    device: str
    alone: bool
    expected: float
    limit: float
    # Whether the present code has run here, and whether nowhere yet.
    done: bool
    changed: bool
    last: float
    # Whether the runs were kept, so that only the findings are to be made.
    kept: bool

    @property
    def name(self) -> str:
        return self.program.name


class Report:
    """What became of each program, by the words of the summary."""

    def __init__(self, short: bool) -> None:
        tried = "Short runs, not stored" if short else "Measured again"
        self.measured: list[str] = []
        self.concluded: list[str] = []
        self.not_measured: list[str] = []
        self.failed: list[str] = []
        self.titles = {
            tried: self.measured,
            "Found again from kept runs, nothing measured": self.concluded,
            "Not measured again": self.not_measured,
            "Failed": self.failed,
        }

    def fail(self, name: str, message: str) -> None:
        self.failed.append(name)
        print(message, file=sys.stderr, flush=True)

    def tell(self) -> None:
        """Print the summary."""
        for title, names in self.titles.items():
            if names:
                print(f"{title}:", *names, sep="\n  ")
        if not (self.measured or self.concluded or self.failed):
            print("Nothing to run.")
        sys.stdout.flush()


def run(
    root: Path,
    names: list[str],
    fresh: bool,
    budget: float | None,
    short: bool,
    jobs: int | None,
    limit: float | None,
    device: str | None,
) -> int:
    """1 if a program failed, else 0; tells what it did and left out."""
    report = Report(short)
    gpu = gpu_name() is not None
    tasks = []
    for program in chosen(root, names):
        try:
            task = plan(program, gpu, limit, may_keep=not (fresh or short))
        except GuideError as error:
            report.fail(program.name, str(error))
            continue
        if task is None:
            why = "it runs on gpu, and this machine has none"
            if program.name in names:
                report.fail(program.name, f"{program.where}:1: {why}")
                continue
        elif device and device != task.device:
            why = f"it measures {task.device}, asked for was {device}"
        elif task.done and not (fresh or short) and (names or budget is None):
            why = "already run here from its present code"
        else:
            tasks.append(task)
            continue
        report.not_measured.append(f"{program.name}: {why}")
    with signals_handled_by(interrupt):
        run_all(in_order(tasks, budget), report, budget, short, jobs)
    report.tell()
    return 1 if report.failed else 0


def chosen(root: Path, names: list[str]) -> list[Program]:
    """The programs that are called or whose topic is called `names`."""
    everything = programs(root)
    known = {p.name for p in everything} | {p.topic for p in everything}
    for name in names:
        if name not in known:
            raise GuideError(
                f"{name}: no such program or topic; there are: "
                + (", ".join(sorted(known)) or "none")
            )
    return [
        program
        for program in everything
        if not names or program.name in names or program.topic in names
    ]


def plan(
    program: Program, gpu: bool, limit: float | None, may_keep: bool
) -> Task | None:
    """What to expect of the program here; None if it cannot run here.

    may_keep: whether runs that were kept may serve again.
    """
    header = program.header
    if not program.findings:
        raise GuideError(
            f"{program.where}:1: imports no findings; expected: from "
            "TOPIC_findings import TOPIC_findings, as guide new TOPIC makes it"
        )
    device = "gpu" if gpu and "gpu" in header["devices"] else "cpu"
    if device not in header["devices"]:
        return None
    here = provenance_in(program.fresh(device))
    committed = provenance_in(program.committed(device))
    expected = (committed | here).get("seconds", header["minutes"] * 60)
    last = 0.0
    if here:
        last = program.fresh(device).stat().st_mtime
    elif committed:
        day = datetime.fromisoformat(committed["date"])
        last = day.replace(tzinfo=UTC).timestamp()
    kept = may_keep and has_runs(program, device)
    return Task(
        program=program,
        device=device,
        # A GPU is shared badly, and times on it would be those of two.
        alone=not kept and (header["alone"] or device == "gpu"),
        expected=CONCLUDING if kept else expected,
        limit=limit if limit is not None else 5 * expected + 120,
        done=program.is_current(here),
        changed=not any(map(program.is_current, (here, committed))),
        last=last,
        kept=kept,
    )


def provenance_in(path: Path) -> dict:
    """The provenance of a result; empty if there is none to be read."""
    with contextlib.suppress(GuideError):
        found = results.read(path, path.name)
        return found["provenance"] if found else {}
    return {}


def has_runs(program: Program, device: str) -> bool:
    """Whether what the present code handed to its findings was kept here."""
    raw = program.raw(device)
    with contextlib.suppress(OSError, ValueError):
        about = json.loads(raw.with_suffix(".json").read_text("utf-8"))
        return raw.is_file() and program.is_measured_by(about)
    return False


def in_order(tasks: list[Task], budget: float | None) -> list[Task]:
    """Side by side before alone; within a budget, first what matters most."""

    def rank(task: Task) -> tuple:
        if budget is None:
            return task.alone, -task.expected
        if task.changed:
            return 0, task.alone
        return 1, task.last, task.alone

    return sorted(tasks, key=rank)


def run_all(
    queue: list[Task],
    report: Report,
    budget: float | None,
    short: bool,
    jobs: int | None,
) -> None:
    """Run the queue in its order; returns when the last program has ended."""
    begun = time.monotonic()
    progress = Progress()
    running: list[Child] = []
    try:
        while queue or running:
            while queue and has_room(queue[0], running, jobs):
                task = queue.pop(0)
                left = (budget or 0) - (time.monotonic() - begun)
                if budget is not None and task.expected > left:
                    report.not_measured.append(
                        f"{task.name}: left out, expected "
                        f"{clock(task.expected)}, {clock(max(0, left))} left"
                    )
                    continue
                running.append(Child(task, short))
                progress.started(running[-1])
            for child in list(running):
                if not child.has_ended():
                    continue
                message = child.result()
                running.remove(child)
                progress.ended(child)
                if not child.well:
                    report.fail(child.task.name, message)
                    continue
                kept = child.task.kept
                goal = report.concluded if kept else report.measured
                goal.append(f"{child.task.name}: {message}")
            progress.show(running)
            time.sleep(LOOK)
    finally:
        with signals_handled_by(signal.SIG_IGN):
            progress.clear()
            for child in running:
                child.ask_to_end()
            for child in running:
                child.end()


def has_room(task: Task, running: list[Child], jobs: int | None) -> bool:
    """Whether the task may start beside what is running."""
    if not running:
        return True
    if task.alone or any(child.task.alone for child in running):
        return False
    return len(running) < (jobs or os.cpu_count() or 1)


class Child:
    """One program in processes of its own."""

    def __init__(self, task: Task, short: bool) -> None:
        self.task = task
        self.well = False
        self.late = False
        self.begun = time.monotonic()
        self.folder = Path(tempfile.mkdtemp(prefix="guide-"))
        program = task.program
        form = "short" if short else "findings" if task.kept else "whole"
        words = [program.root, program.path, task.device, self.folder, form]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "_guide.measure.worker", *words],
                cwd=program.root,
                env=environment(task.device, self.folder),
                # Closing it tells the worker to end; so does our own end.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.begun

    def has_ended(self) -> bool:
        """Whether the program has ended, or has had all its time."""
        if self.process.poll() is not None:
            return True
        self.late = self.elapsed > self.task.limit
        return self.late

    def result(self) -> str:
        """The worker's message; cleans up behind it."""
        name, where = self.task.name, self.task.program.where
        status = self.process.returncode
        message, log = (
            path.read_text("utf-8", "replace") if path.is_file() else ""
            for path in (self.folder / "message", self.folder / "log")
        )
        self.end()
        self.well = status == 0
        if self.late:
            return (
                f"{where}:1: still running after {clock(self.task.limit)} and "
                f"ended; expected {clock(self.task.expected)}; "
                f"run: guide run {name} --limit TIME"
            )
        if status and not message:
            why = f"its worker ended with status {status}"
            return f"{where}:1: {why}; run: guide run {name}\n{log}".rstrip()
        return message

    def ask_to_end(self) -> None:
        """Tell the worker to end its kernel and itself."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.terminate()

    def end(self) -> None:
        """Leave nothing of it behind: no process, no file."""
        self.ask_to_end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        groups = [self.process.pid]
        # The kernel has a session of its own, so a group of its own.
        with contextlib.suppress(OSError, ValueError):
            groups.append(int((self.folder / "kernel").read_text()))
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def environment(device: str, folder: Path) -> dict[str, str]:
    """What a program finds in its environment: one thread, few messages."""
    found = dict(os.environ)
    # A backend that is set here would keep figures out of the notebook.
    found.pop("MPLBACKEND", None)
    found |= {
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # The user's own start-up files are not part of the program.
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }
    if device == "cpu":
        found["CUDA_VISIBLE_DEVICES"] = "-1"
    if "KERAS_BACKEND" not in found:
        found["KERAS_BACKEND"] = keras_backend(device)
    return found


@functools.cache
def keras_backend(device: str) -> str:
    """TensorFlow if it is installed and, for a GPU, finds it; else PyTorch."""
    installed = importlib.util.find_spec
    if not installed("tensorflow"):
        return "torch"
    if device == "gpu" and installed("torch"):
        # In a process of its own, for it takes memory on the GPU.
        look = (
            "import tensorflow as tf; tf.config.list_physical_devices('GPU')[0]"
        )
        seen = subprocess.run(
            [sys.executable, "-c", look], capture_output=True, check=False
        )
        return "torch" if seen.returncode else "tensorflow"
    return "tensorflow"


def gpu_name() -> str | None:
    """The model of this machine's first GPU, or None."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.check_output(
            ["nvidia-smi", "-L"],
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=30,
        )
        if match := re.match(r"GPU [^:\n]*: (.*?)( \(|$)", listed, re.M):
            return match[1].strip()
    return None


def clock(seconds: float) -> str:
    """Minutes and seconds, as 2:05."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


class Progress:
    """One line per program; on a terminal the last line is live."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self.beats: dict[str, float] = {}

    def started(self, child: Child) -> None:
        self.beats[child.task.name] = 0
        if not self.live:
            expected = clock(child.task.expected)
            print(
                f"{child.task.name}: started, expected {expected}", flush=True
            )

    def ended(self, child: Child) -> None:
        self.clear()
        how = "ended" if child.well else "failed"
        times = f"{clock(child.elapsed)}, expected {clock(child.task.expected)}"
        print(f"{child.task.name}: {how} after {times}", flush=True)

    def show(self, running: list[Child]) -> None:
        """Say where the running programs are, if it is time to."""
        if self.live:
            line = "  ".join(
                f"{child.task.name} {clock(child.elapsed)}"
                f"/{clock(child.task.expected)}"
                for child in running
            )
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{line[:width]}", end="", flush=True)
            return
        for child in running:
            name, beat = child.task.name, child.elapsed // HEARTBEAT
            if beat > self.beats[name]:
                self.beats[name] = beat
                expected = clock(child.task.expected)
                print(
                    f"{name}: {clock(child.elapsed)} of {expected}", flush=True
                )

    def clear(self) -> None:
        """Take the live line away."""
        if self.live:
            print("\r\x1b[K", end="", flush=True)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def signals_handled_by(handler):
    """What SIGINT and SIGTERM do meanwhile, also in the background."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    old = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, former in zip(numbers, old):
            signal.signal(number, former)
