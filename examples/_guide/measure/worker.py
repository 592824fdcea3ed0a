"""Runs one program in a Jupyter kernel and keeps what it found.

`guide run` starts it as `python -m _guide.measure.worker ROOT PROGRAM DEVICE
FOLDER short|whole|findings`. What it has to say it writes to FOLDER/message;
the exit status is 0 only if the program ran to its end and its results have
the right form. It ends, with its kernel, when its standard input closes or on
SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from _guide import notebooks, results
from _guide.measure.run import gpu_name
from _guide.project import Cell, GuideError, Program

ANSI = re.compile(r"\x1b\[[0-9;]*m")
FRAME = re.compile(r"Cell In\[(\d+)\], line (\d+)")
# Runs before the program's first cell, and is not part of its notebook.
HELPERS = """
def _guide_keep(name, folder):
    # What is handed to the findings is written down before they begin.
    import functools
    import pickle

    find = globals()[name]

    @functools.wraps(find)
    def kept(*given, **named):
        with open(folder + "/raw.pickle", "wb") as stream:
            pickle.dump((given, named), stream)
        _guide_collect(folder + "/measured.json")
        return find(*given, **named)

    globals()[name] = kept


def _guide_load(path):
    import pickle

    with open(path, "rb") as stream:
        return pickle.load(stream)


def _guide_collect(path, results=None):
    import json
    import platform
    import sys

    def plain(item):
        if hasattr(item, "tolist"):
            return item.tolist()
        raise TypeError(f"{type(item).__name__} is no number, text or list")

    def text(item):
        return json.dumps(item, default=plain)

    found = {"settings": {}, "versions": {"python": platform.python_version()}}
    for name in _guide_settings:
        try:
            found["settings"][name] = json.loads(text(globals()[name]))
        except (KeyError, TypeError, ValueError):
            pass
    for module, package in (
        ("keras", "keras"),
        ("tensorflow", "tensorflow"),
        ("torch", "torch"),
        ("numpy", "numpy"),
        ("sklearn", "scikit-learn"),
    ):
        version = getattr(sys.modules.get(module), "__version__", None)
        if version:
            found["versions"][package] = version
    keras = sys.modules.get("keras")
    torch = "torch" if "torch" in sys.modules else None
    found["backend"] = keras.backend.backend() if keras else torch
    # None where no framework was imported that could say.
    found["sees_gpu"] = None
    if found["backend"] == "torch":
        found["sees_gpu"] = sys.modules["torch"].cuda.is_available()
    elif found["backend"] == "tensorflow":
        devices = sys.modules["tensorflow"].config.list_physical_devices
        found["sees_gpu"] = bool(devices("GPU"))
    found["results"] = results
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text(found))
"""
# Cells of a notebook, each with where it is from; None for hidden ones.
Shown = list[tuple[nbformat.NotebookNode, Cell | None]]


class KernelManager(AsyncKernelManager):
    """A kernel of this Python, whatever other kernels the user has."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=[
                sys.executable,
                *("-m", "ipykernel_launcher", "-f", "{connection_file}"),
                # Tracebacks without the line numbers of cells.
                "--InteractiveShell.xmode=Plain",
                "--HistoryManager.enabled=False",
            ],
            display_name="Python 3",
            language="python",
        )


class Kernel:
    """Executes notebooks, and can be ended from another thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manager = KernelManager(
            connection_file=str(folder / "connection.json")
        )
        # Two kernels that look for a free port at the same time may find the
        # same one, and then wait for ever; so sockets in our own folder. The
        # name of a socket has some 100 bytes at most.
        socket = str(folder / "socket")
        if len(os.fsencode(socket)) < 90:
            self.manager.transport, self.manager.ip = "ipc", socket

    def execute(self, notebook: nbformat.NotebookNode) -> None:
        """Run every cell, in an empty folder; raises what a cell raises."""
        empty = self.folder / "empty"
        empty.mkdir()
        client = NotebookClient(
            notebook,
            km=self.manager,
            timeout=None,
            startup_timeout=300,
            record_timing=False,
            allow_errors=False,
            on_notebook_start=self.note,
        )
        # In a thread, nbclient leaves the handling of signals to us.
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(
                asyncio.run, client.async_execute(cwd=str(empty))
            )
        self.end()
        done.result()

    def note(self, notebook: nbformat.NotebookNode) -> None:
        """Tell `guide run` which group to end if we cannot."""
        (self.folder / "kernel").write_text(str(self.manager.provisioner.pid))

    def end(self) -> None:
        """End the kernel and what the program started."""
        pid = getattr(self.manager.provisioner, "pid", None)
        if pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        (self.folder / "kernel").unlink(missing_ok=True)


def main(words: list[str]) -> int:
    """0 if the program ran to its end and its results have the right form."""
    root, path, device, folder, form = words
    program = Program(Path(root), Path(path))
    kernel = Kernel(Path(folder))
    parent = os.getppid()
    end_with_parent(kernel)
    status = 0
    try:
        if form == "findings":
            message = find_again(program, device, kernel)
        else:
            message = measure(program, device, kernel, form == "short")
    except GuideError as error:
        message, status = str(error), 1
    with contextlib.suppress(FileNotFoundError):
        (kernel.folder / "message").write_text(message, "utf-8")
    if os.getppid() != parent:
        shutil.rmtree(kernel.folder, ignore_errors=True)
    return status


def end_with_parent(kernel: Kernel) -> None:
    """From now on, end when told to or when `guide run` is gone."""

    def end(*_: object) -> None:
        kernel.end()
        shutil.rmtree(kernel.folder, ignore_errors=True)
        os._exit(128 + signal.SIGTERM)

    def wait() -> None:
        while os.read(0, 1):
            pass
        end()

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=wait, daemon=True).start()


def measure(program: Program, device: str, kernel: Kernel, short: bool) -> str:
    """Run the program and keep what it found; says how it went.

    Raises GuideError, and then leaves an earlier run's result as it is. What
    the program had handed to its findings is kept even then.
    """
    # Of what is run, not of what the files hold when it has ended.
    provenance = results.provenance(program)
    notebook = notebooks.of_program(program.expanded(short))
    shown = list(zip(notebook.cells, program.expansion, strict=True))
    name, folder = program.findings.path.stem, str(kernel.folder)
    began = time.monotonic()
    try:
        found = execute(
            program, shown, kernel, f"_guide_keep({name!r}, {folder!r})"
        )
    finally:
        about = kernel.folder / "measured.json"
        if about.is_file():
            measured = json.loads(about.read_text("utf-8"))
            seen = measured["sees_gpu"] is not False or device == "cpu"
            provenance |= {
                "settings": measured["settings"],
                "versions": measured["versions"],
                "backend": measured["backend"],
                "device": device_name(device),
                "threads": int(os.environ.get("OMP_NUM_THREADS", "1")),
                "date": datetime.now(UTC).strftime("%Y-%m-%d"),
                "seconds": round(time.monotonic() - began, 1),
            }
            if seen and not short:
                new = kernel.folder / "raw.pickle"
                keep_raw(program, device, new, provenance)
    if not seen:
        raise problem(
            program,
            program.where,
            f"ran on the processor, for {found['backend']} finds no GPU; "
            "install a build of it that does, or for Keras set KERAS_BACKEND",
        )
    count = len(found["results"]["values"])
    if short:
        return f"short run of {program.name}: {count} values, not stored"
    store(program, device, found, notebook, provenance)
    return f"{count} values in {provenance['seconds']:.0f} s"


def find_again(program: Program, device: str, kernel: Kernel) -> str:
    """Conclude anew from the runs that were kept; says how it went.

    Executes what the findings need: problem, snippets and their own cells.
    """
    began = time.monotonic()
    raw = program.raw(device)
    provenance = json.loads(raw.with_suffix(".json").read_text("utf-8"))
    whole = notebooks.of_program(program.expanded())
    lay_old_outputs(whole, program.notebook(device))
    shown = list(zip(whole.cells, program.expansion, strict=True))
    concluding = [*program.findings.imported, program.findings]
    needed = [pair for pair in shown if pair[1].source in concluding]
    last = whole.cells[-1]
    call = last.source
    last.source = (
        f"_given, _named = _guide_load({str(raw)!r})\n"
        f"results = {program.findings.path.stem}(*_given, **_named)"
    )
    found = execute(program, [*needed, shown[-1]], kernel)
    last.source = call
    found["settings"] = provenance["settings"] | found["settings"]
    store(program, device, found, whole, provenance)
    count = len(found["results"]["values"])
    spent = time.monotonic() - began
    return f"{count} values in {spent:.0f} s, runs of {provenance['date']}"


def lay_old_outputs(whole: nbformat.NotebookNode, path: Path) -> None:
    """Give each cell what it gave when the program last ran, if it did."""
    old = nbformat.read(path, 4).cells if path.is_file() else []
    gave = {cell.source: cell for cell in old if cell.cell_type == "code"}
    for cell in whole.cells:
        if cell.cell_type == "code" and cell.source in gave:
            cell.outputs = gave[cell.source].outputs
            cell.execution_count = gave[cell.source].execution_count


def keep_raw(
    program: Program, device: str, new: Path, provenance: dict
) -> None:
    """Keep what the program handed to its findings, and where it is from."""
    path = program.raw(device)
    about = path.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    # The new runs are there before their provenance says whose they are.
    about.unlink(missing_ok=True)
    shutil.move(new, path)
    results.write_whole(about, json.dumps(provenance, indent=1) + "\n")


def store(
    program: Program,
    device: str,
    found: dict,
    notebook: nbformat.NotebookNode,
    provenance: dict,
) -> None:
    """Keep a result with its notebook."""
    result = {"values": {}, "judgements": {}, "series": {}} | found["results"]
    result["provenance"] = provenance | {
        "settings": found["settings"],
        "findings": program.findings_hash,
    }
    try:
        text = results.to_text(result)
    except ValueError as error:
        raise problem(program, last_cell(program), str(error)) from None
    # The result comes last: where there is one, there is its notebook.
    results.write_whole(program.notebook(device), notebooks.to_text(notebook))
    results.write_whole(program.fresh(device), text)
    os.utime(program.fresh(device))


def execute(
    program: Program,
    shown: Shown,
    kernel: Kernel,
    before_last: str = "",
) -> dict:
    """What the program left behind; raises GuideError for what it raised.

    before_last: hidden code to run before the last cell.
    """
    collected = kernel.folder / "collected.json"

    def hidden(source: str) -> tuple[nbformat.NotebookNode, None]:
        return nbformat.v4.new_code_cell(source), None

    everything = [
        hidden(f"_guide_settings = {list(program.settings)!r}\n{HELPERS}"),
        *shown[:-1],
        hidden(before_last),
        shown[-1],
        hidden(f"_guide_collect({str(collected)!r}, results)"),
    ]
    run = nbformat.v4.new_notebook(cells=[cell for cell, _ in everything])
    try:
        kernel.execute(run)
    except CellExecutionError as error:
        raise raised(program, everything, error) from None
    except DeadKernelError:
        begun = (
            origin.origin(1)
            for cell, origin in everything
            if cell.get("execution_count", 0) is None and origin
        )
        raise problem(
            program,
            next(begun, f"{program.where}:1"),
            "its process died in the cell that starts here (killed, perhaps "
            "for want of memory, or ended by the program itself)",
        ) from None
    found = json.loads(collected.read_text("utf-8"))
    where = last_cell(program)
    short = found["settings"].get("SHORT") is True
    wrong = results.problems(found["results"], short)
    if wrong:
        raise problem(program, where, f"\n{where}: ".join(wrong))
    return found


def raised(
    program: Program, everything: Shown, error: CellExecutionError
) -> GuideError:
    """The program's exception, with its traceback in terms of its files."""
    run = [
        (cell, origin)
        for cell, origin in everything
        if cell.cell_type == "code" and cell.source.strip()
    ]
    seen: list[str] = []

    def name(frame: re.Match) -> str:
        # The kernel counts the cells that run, from one.
        origin = run[int(frame[1]) - 1][1]
        if origin is None:
            return frame[0]
        seen.append(origin.origin(int(frame[2])))
        return seen[-1]

    rows, at = next(
        (output["traceback"], origin)
        for cell, origin in run
        for output in cell.outputs
        if output["output_type"] == "error"
    )
    traceback = FRAME.sub(name, ANSI.sub("", "\n".join(rows)))
    what, *_ = ANSI.sub("", f"{error.ename}: {error.evalue}").splitlines()
    if at and not seen:
        seen.append(at.origin(1))
    if not seen:
        # In our own code, which takes the results behind the last cell.
        return problem(program, last_cell(program), f"results: {what}")
    return GuideError(
        f"{problem(program, seen[-1], what)}\n{traceback.strip()}"
    )


def last_cell(program: Program) -> str:
    """`path:line` of the cell in which the results are found."""
    return program.expansion[-1].origin(1)


def problem(program: Program, where: str, what: str) -> GuideError:
    return GuideError(f"{where}: {what}; run: guide run {program.name}")


def device_name(device: str) -> str:
    """The model of the processor or of the GPU."""
    if device == "gpu":
        return gpu_name() or "gpu"
    with contextlib.suppress(OSError):
        listed = Path("/proc/cpuinfo").read_text("utf-8", "replace")
        match = re.search(r"^model name\s*: *(.+)$", listed, re.M)
        if match:
            return match[1]
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
