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
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
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
    changed: bool
    last: float
    # Whether the runs were kept, so that only the findings are to be made.
    kept: bool = False

    @property
    def name(self) -> str:
        return self.program.name


@dataclass
class Report:
    """What became of each program, in the words of the summary."""

    measured: list[str] = field(default_factory=list)
    concluded: list[str] = field(default_factory=list)
    not_measured: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def fail(self, name: str, message: str) -> None:
        self.failed.append(name)
        print(message, file=sys.stderr, flush=True)

    def tell(self, short: bool) -> None:
        """Print the summary."""
        tried = "Short runs, not stored" if short else "Measured again"
        for title, names in (
            (tried, self.measured),
            ("Found again from kept runs, nothing measured", self.concluded),
            ("Not measured again", self.not_measured),
            ("Failed", self.failed),
        ):
            if names:
                print(f"{title}:")
                print(*(f"  {name}" for name in names), sep="\n")
        if not (self.measured or self.concluded or self.failed):
            print("Nothing to run.")
        sys.stdout.flush()


def run(
    root: Path,
    names: list[str],
    fresh: bool = False,
    budget: float | None = None,
    short: bool = False,
    jobs: int | None = None,
    limit: float | None = None,
    device: str | None = None,
) -> int:
    """1 if a program failed, else 0; tells what it did and left out."""
    report = Report()
    gpu = gpu_name() is not None
    tasks = []
    for program in chosen(root, names):
        try:
            task = plan(program, gpu, limit, kept=not (fresh or short))
            current = task and program.is_current(
                provenance_in(program.fresh(task.device))
            )
        except (GuideError, SyntaxError) as error:
            report.fail(program.name, describe(program, error))
            continue
        if task is None:
            why = "it runs on gpu, and this machine has none"
            if program.name in names:
                report.fail(program.name, f"{program.where}:1: {why}")
            else:
                report.not_measured.append(f"{program.name}: {why}")
        elif device and device != task.device:
            why = f"it measures {task.device}, asked for was {device}"
            report.not_measured.append(f"{program.name}: {why}")
        elif current and not (fresh or short) and (names or budget is None):
            why = "already run here from its present code"
            report.not_measured.append(f"{program.name}: {why}")
        else:
            tasks.append(task)
    with interrupted_by_signals():
        run_all(in_order(tasks, budget), report, budget, short, jobs)
    report.tell(short)
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
    program: Program, gpu: bool, limit: float | None, kept: bool
) -> Task | None:
    """What to expect of the program here; None if it cannot run here.

    kept: whether runs that were kept may serve again.
    """
    header = program.header
    device = "gpu" if gpu and "gpu" in header["devices"] else "cpu"
    if device not in header["devices"]:
        return None
    here = provenance_in(program.fresh(device))
    committed = provenance_in(program.committed(device))
    expected = header["minutes"] * 60
    for provenance in (committed, here):
        expected = provenance.get("seconds", expected)
    last = 0.0
    if here:
        last = program.fresh(device).stat().st_mtime
    elif "date" in committed:
        day = datetime.fromisoformat(committed["date"])
        last = day.replace(tzinfo=UTC).timestamp()
    kept = kept and has_runs(program, device)
    return Task(
        program=program,
        device=device,
        # A GPU is shared badly, and times on it would be those of two.
        alone=not kept and (header["alone"] or device == "gpu"),
        expected=CONCLUDING if kept else expected,
        limit=limit if limit is not None else 5 * expected + 120,
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
    about = raw.with_suffix(".json")
    if not (program.findings and raw.is_file() and about.is_file()):
        return False
    with contextlib.suppress(ValueError):
        return program.is_measured_by(json.loads(about.read_text("utf-8")))
    return False


def describe(program: Program, error: Exception) -> str:
    """An error in reading the program, as `path:line: message`."""
    if isinstance(error, SyntaxError):
        where = f"{program.where}:{error.lineno}:{error.offset}"
        return f"{where}: {error.msg}; run: guide run {program.name}"
    return str(error)


def in_order(tasks: list[Task], budget: float | None) -> list[Task]:
    """Side by side before alone; within a budget, first what matters most."""
    if budget is None:
        return sorted(tasks, key=lambda task: (task.alone, -task.expected))
    return sorted(
        tasks,
        key=lambda task: (
            (0, task.alone, 0) if task.changed else (1, task.last, task.alone)
        ),
    )


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
                running.remove(child)
                message = child.result()
                progress.ended(child)
                if child.well and child.task.kept:
                    report.concluded.append(f"{child.task.name}: {message}")
                elif child.well:
                    report.measured.append(f"{child.task.name}: {message}")
                else:
                    report.fail(child.task.name, message)
            progress.show(running)
            time.sleep(LOOK)
    finally:
        ignored = (signal.SIGINT, signal.SIGTERM)
        with contextlib.ExitStack() as stack:
            for number in ignored:
                old = signal.signal(number, signal.SIG_IGN)
                stack.callback(signal.signal, number, old)
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
        words = [str(program.root), str(program.path), task.device]
        form = "short" if short else "findings" if task.kept else "whole"
        words += [str(self.folder), form]
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
        """Whether the program has ended, if need be by its limit."""
        if self.process.poll() is None and self.elapsed > self.task.limit:
            self.late = True
            self.ask_to_end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE)
            self.process.kill()
            self.process.wait()
        return self.process.poll() is not None

    def result(self) -> str:
        """The worker's message; cleans up behind it."""
        program = self.task.program
        message = ""
        with contextlib.suppress(FileNotFoundError):
            message = (self.folder / "message").read_text("utf-8")
        if self.late:
            message = (
                f"{program.where}:1: still running after "
                f"{clock(self.task.limit)} and ended; expected "
                f"{clock(self.task.expected)}; "
                f"run: guide run {program.name} --limit TIME"
            )
        elif self.process.returncode and not message:
            log = (self.folder / "log").read_text("utf-8", "replace")
            message = (
                f"{program.where}:1: its worker ended with status "
                f"{self.process.returncode}; run: guide run {program.name}\n"
                + log
            ).rstrip()
        self.well = self.process.returncode == 0 and not self.late
        self.end()
        return message

    def ask_to_end(self) -> None:
        """Tell the worker to end its kernel and itself."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.terminate()

    def end(self) -> None:
        """Leave nothing of it behind: no process, no file."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        if self.process.poll() is None:
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
        if seen.returncode:
            return "torch"
    return "tensorflow"


def gpu_name() -> str | None:
    """The model of this machine's first GPU, or None."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(
            ["nvidia-smi", "-L"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
        if listed.startswith("GPU "):
            return listed.partition(": ")[2].partition(" (")[0].strip()
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
            print(f"{child.task.name}: started, expected {expected}")
            sys.stdout.flush()

    def ended(self, child: Child) -> None:
        self.clear()
        how = "ended" if child.well else "failed"
        times = f"{clock(child.elapsed)}, expected {clock(child.task.expected)}"
        print(f"{child.task.name}: {how} after {times}", flush=True)

    def show(self, running: list[Child]) -> None:
        """Say where the running programs are, if it is time to."""
        if self.live:
            parts = (
                f"{child.task.name} {clock(child.elapsed)}"
                f"/{clock(child.task.expected)}"
                for child in running
            )
            width = shutil.get_terminal_size().columns - 1
            line = "  ".join(parts)[:width]
            print(f"\r\x1b[K{line}", end="", flush=True)
            return
        for child in running:
            beat = child.elapsed // HEARTBEAT
            if beat > self.beats[child.task.name]:
                self.beats[child.task.name] = beat
                print(
                    f"{child.task.name}: {clock(child.elapsed)} of "
                    f"{clock(child.task.expected)}",
                    flush=True,
                )

    def clear(self) -> None:
        """Take the live line away."""
        if self.live:
            print("\r\x1b[K", end="", flush=True)


@contextlib.contextmanager
def interrupted_by_signals():
    """SIGINT and SIGTERM raise KeyboardInterrupt, also in the background."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM)
    old = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, old, strict=True):
            signal.signal(number, handler)
