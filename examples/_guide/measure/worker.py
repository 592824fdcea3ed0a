"""Runs one program in a Jupyter kernel and keeps what it found.

`guide run` starts it as `python -m _guide.measure.worker ROOT PROGRAM DEVICE
FOLDER short|whole`. What it has to say it writes to FOLDER/message; the exit
status is 0 only if the program ran to its end and its results have the right
form. It ends, with its kernel, when its standard input closes or on SIGTERM.
"""

from __future__ import annotations

import ast
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
from datetime import UTC, datetime
from pathlib import Path

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from _guide import results
from _guide.measure.run import gpu_name
from _guide.project import (
    SECTION_MARKER,
    SHORT_SWITCH,
    SNIPPET_IMPORT,
    GuideError,
    Program,
)

ANSI = re.compile(r"\x1b\[[0-9;]*m")
FRAME = re.compile(r"Cell In\[(\d+)\], line (\d+)")
# Runs behind the program's last cell, and is not part of its notebook.
COLLECT = """
def _collect(path, settings):
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
    for name in settings:
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
    try:
        found["results"] = json.loads(text(globals()["results"]))
    except KeyError:
        pass
    except (TypeError, ValueError) as error:
        found["error"] = str(error)
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(found, stream)


_collect(%r, %r)
"""


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
        failed: list[BaseException] = []

        def work() -> None:
            try:
                asyncio.run(client.async_execute(cwd=str(empty)))
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.end()
        if failed:
            raise failed[0]

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

    Raises GuideError, and then leaves an earlier run's result as it is.
    """
    # Of what is run, not of what the file holds when it has ended.
    code = program.code_hash
    notebook = jupytext.reads(program.expanded(short), fmt="py:percent")
    found, seconds = execute(program, notebook, kernel)
    check(program, found)
    if device == "gpu" and found["sees_gpu"] is False:
        raise problem(
            program,
            program.where,
            f"ran on the processor, for {found['backend']} finds no GPU; "
            "install a build of it that does, or for Keras set KERAS_BACKEND",
        )
    count = len(found["results"]["values"])
    if short:
        return f"short run of {program.name}: {count} values, not stored"
    result = {"values": {}, "judgements": {}, "series": {}} | found["results"]
    result["provenance"] = {
        "program": program.name,
        "code": code,
        "command": f"guide run {program.name}",
        "settings": found["settings"],
        "versions": found["versions"],
        "backend": found["backend"],
        "device": device_name(device),
        "threads": int(os.environ.get("OMP_NUM_THREADS", "1")),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seconds": round(seconds, 1),
        "short": False,
    }
    try:
        results.save(kernel.folder / "result.json", result)
    except ValueError as error:
        raise problem(program, results_line(program), str(error)) from None
    # The result comes last: where there is one, there is its notebook.
    results.write_whole(program.notebook(device), notebook_text(notebook))
    results.save(program.fresh(device), result)
    os.utime(program.fresh(device))
    return f"{count} values in {seconds:.0f} s"


def execute(
    program: Program, notebook: nbformat.NotebookNode, kernel: Kernel
) -> tuple[dict, float]:
    """What the program left behind, and the seconds that it took."""
    collected = kernel.folder / "collected.json"
    collect = COLLECT % (str(collected), list(program.settings))
    notebook.cells.append(nbformat.v4.new_code_cell(collect))
    began = time.monotonic()
    try:
        kernel.execute(notebook)
    except CellExecutionError as error:
        raise raised(program, notebook, error) from None
    except DeadKernelError:
        where = [f"{program.where}:1"]
        for cell in code_cells(notebook):
            if cell.get("execution_count") is None:
                where = origins(program, cell.source) or where
                break
        raise problem(
            program,
            where[0],
            "its process died in the cell that starts here (killed, perhaps "
            "for want of memory, or ended by the program itself)",
        ) from None
    seconds = time.monotonic() - began
    notebook.cells.pop()
    return json.loads(collected.read_text("utf-8")), seconds


def raised(
    program: Program,
    notebook: nbformat.NotebookNode,
    error: CellExecutionError,
) -> GuideError:
    """The program's exception, with its traceback in terms of its files."""
    run = code_cells(notebook)
    lines = {
        number: origins(program, cell.source)
        for number, cell in enumerate(run, 1)
    }
    seen: list[str] = []

    def name(frame: re.Match) -> str:
        known = lines.get(int(frame[1]), [])
        line = int(frame[2])
        if line > len(known):
            return frame[0]
        seen.append(known[line - 1])
        return known[line - 1]

    outputs = (output for cell in run for output in cell.get("outputs", ()))
    rows = next(
        output["traceback"]
        for output in outputs
        if output["output_type"] == "error"
    )
    traceback = FRAME.sub(name, ANSI.sub("", "\n".join(rows)))
    where = seen[-1] if seen else f"{program.where}:1"
    what, *_ = ANSI.sub("", f"{error.ename}: {error.evalue}").splitlines()
    return GuideError(f"{problem(program, where, what)}\n{traceback.strip()}")


def code_cells(notebook: nbformat.NotebookNode) -> list:
    """The cells that run, in the order in which the kernel counts them."""
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.strip()
    ]


def origins(program: Program, source: str) -> list[str]:
    """`path:line` of each line of a cell, in the file that it came from."""

    def without_ours(text: str) -> list[str]:
        text = SECTION_MARKER.sub("\0\n", text)
        text = SHORT_SWITCH.sub("SHORT = True", text)
        # An import may have several lines; one of them stays, empty.
        text = SNIPPET_IMPORT.sub(
            lambda match: "\0\n" * match[0].count("\n"), text
        )
        return text.splitlines()

    wanted = without_ours(source)
    parts = [(program.where, text, first) for _, text, first in program.cells]
    for path in program.snippets:
        where = path.relative_to(program.root).as_posix()
        parts.append((where, path.read_text("utf-8"), 1))
    blank = len(wanted) - len("\n".join(wanted).lstrip().splitlines())
    for where, text, first in parts:
        kept = [
            (number, line)
            for number, line in enumerate(without_ours(text), first)
            if line != "\0"
        ]
        while kept and not kept[0][1].strip():
            kept.pop(0)
        while kept and not kept[-1][1].strip():
            kept.pop()
        if [line for _, line in kept] == wanted[blank:] and kept:
            numbers = [number for number, _ in kept]
            numbers = [numbers[0]] * blank + numbers
            return [f"{where}:{number}" for number in numbers]
    return []


def check(program: Program, found: dict) -> None:
    """Raises GuideError if there are no results or they have a wrong form."""
    where = results_line(program)
    if "error" in found:
        raise problem(program, where, f"results: {found['error']}")
    if "results" not in found:
        raise problem(
            program, where, "no results; expected: results = {'values': …}"
        )
    wrong = results.problems(found["results"])
    if wrong:
        raise problem(program, where, f"\n{where}: ".join(wrong))


def results_line(program: Program) -> str:
    """`path:line` of where `results` is assigned, or of the last cell."""
    line = program.cells[-1][2]
    for node in ast.parse(program.text).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "results"
            for target in node.targets
        ):
            line = node.lineno
    return f"{program.where}:{line}"


def problem(program: Program, where: str, what: str) -> GuideError:
    return GuideError(f"{where}: {what}; run: guide run {program.name}")


def notebook_text(notebook: nbformat.NotebookNode) -> str:
    """The notebook as text that is the same whenever its outputs are."""
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    for number, cell in enumerate(notebook.cells, 1):
        cell["id"] = f"cell-{number}"
        cell["metadata"] = {}
        if cell.cell_type == "code":
            cell["outputs"] = lasting(cell["outputs"])
    return nbformat.writes(notebook, version=4) + "\n"


def lasting(outputs: list) -> list:
    """The outputs without progress bars and warnings, in whole pieces.

    Those go to standard error, differ from run to run, and cut what is
    printed into pieces at random places.
    """
    kept: list = []
    for output in outputs:
        if output["output_type"] != "stream":
            kept.append(output)
        elif output["name"] == "stdout":
            if kept and kept[-1]["output_type"] == "stream":
                kept[-1]["text"] += output["text"]
            else:
                kept.append(output)
    return kept


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
