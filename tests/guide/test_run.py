"""`guide run`: what it keeps, what it refuses, and what it leaves behind."""

import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from _guide import results
from _guide.measure.run import Progress, keras_backend
from _guide.project import Program

# Says which processes are there, and then waits to be ended.
ENDLESS = """
import os
import subprocess
import sys

child = subprocess.Popen(["sleep", "600"])
with open({path!r}, "a") as stream:
    stream.write(f"{{os.getpid()}} {{child.pid}} {{os.getppid()}}\\n")
time.sleep(600)
"""


def eventually(condition, seconds: float = 30):
    """The first true value of condition(), which must come in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not so within {seconds} s")


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pids(path: Path, lines: int = 1) -> list[int]:
    """The process ids in the file, once so many lines are there."""
    text = path.read_text() if path.exists() else ""
    return list(map(int, text.split())) if text.count("\n") >= lines else []


def lay_committed(scratch, path: Path, date: str, seconds: float):
    """A committed result as an earlier run from the present code left it."""
    measured = {
        "values": {"count": {"value": 3, "unit": "count", "exact": True}}
    }
    provenance = results.provenance(
        Program(scratch.root, path),
        settings={},
        versions={},
        backend=None,
        device="Some processor",
        threads=1,
        date=date,
        seconds=seconds,
    )
    results.save(
        path.with_suffix(".cpu.json"), measured | {"provenance": provenance}
    )


DIVIDE = (
    "# --8<-- [start:divide]\ndef divide(x):\n    return 1 / x\n"
    "# --8<-- [end:divide]\n"
)


@pytest.mark.parametrize(
    "imports",
    [
        "from snippets.divide import divide\n",
        "from snippets.divide import (\n    divide,\n)\n",
        "from snippets.divide import (divide)\n",
    ],
)
def test_what_runs_holds_the_snippet_and_imports_nothing_of_ours(
    scratch, imports
):
    (scratch.root / "snippets/divide.py").write_text(DIVIDE)
    # It fails in the cell of the import, whose lines must be told right.
    path = scratch.program("long", imports=f"{imports}\nfailed = 1 / 0\n")
    program = Program(scratch.root, path)
    assert "return 1 / x" in program.expanded()
    assert "import divide" not in program.expanded()
    assert "snippets" not in program.expanded()
    changed = program.code_hash
    (scratch.root / "snippets/divide.py").write_text(
        DIVIDE.replace("1 / x", "2 / x")
    )
    assert Program(scratch.root, path).code_hash != changed

    ran = scratch.guide("run", "long")

    line = path.read_text().splitlines().index("failed = 1 / 0") + 1
    assert f"examples/topic/long.py:{line}: ZeroDivision" in ran.stderr


@pytest.mark.parametrize(
    "imports",
    [
        "from snippets.divide import divide, multiply\n",
        "from snippets.divide import divide as over\n",
        "from snippets import divide\n",
        "import snippets.divide\n",
        "if True:\n    from snippets.divide import divide\n",
    ],
)
def test_an_import_that_would_not_be_replaced_is_an_error(scratch, imports):
    (scratch.root / "snippets/divide.py").write_text(DIVIDE)
    path = scratch.program("sly", imports=imports)
    line = next(
        number
        for number, text in enumerate(path.read_text().splitlines(), 1)
        if "snippets" in text
    )
    ran = scratch.guide("run", "sly")
    assert ran.returncode == 1
    assert (
        f"examples/topic/sly.py:{line}: a form of import that is not replaced"
        in ran.stderr
    )


def test_a_program_that_fails_is_told_and_the_others_go_on(scratch):
    (scratch.root / "snippets/divide.py").write_text(
        "# --8<-- [start:divide]\nimport json\n\n\n"
        "def divide(x):\n    # Here.\n    return 1 / x\n"
        "# --8<-- [end:divide]\n"
    )
    raising = scratch.program(
        "raising",
        "def call():\n    return divide(0)\n\n\ncall()",
        imports="from snippets.divide import divide\n",
    )
    call = raising.read_text().splitlines().index("    return divide(0)") + 1
    scratch.program("good", "print('well')")
    scratch.program("slow", "time.sleep(600)")
    scratch.program("dying", "import os\nos._exit(3)")
    scratch.program("broken", "x = = 1")
    scratch.program("leaving", "import sys\nsys.exit('no data')")
    scratch.program("headless").write_text("# %%\nresults = 1\n")
    scratch.program("nothing", results="\n# %%\nfound = 1\n")
    scratch.program("list", results="\n# %%\nresults = [1]\n")
    scratch.program(
        "nan",
        results=scratch.RESULTS.replace('"value": 3', '"value": float("nan")'),
    )
    scratch.program(
        "form",
        results=scratch.RESULTS.replace(', "exact": True', "").replace(
            '"unit": "count"}},\n}', '"unit": "count", "z": 1}},\n}'
        ),
    )
    scratch.program(
        "object", results=scratch.RESULTS.replace("3,", "object(),")
    )
    kept = {}
    for name in ("raising", "nan", "slow"):
        for path in (scratch.committed(name), scratch.fresh(name)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('{"earlier": 1}\n')
            kept[path] = path.stat().st_mtime_ns

    ran = scratch.guide("run", "--limit", "40s", "--jobs", "4")

    assert ran.returncode == 1
    assert "good: ended after" in ran.stdout
    assert scratch.fresh("good").is_file()
    where = "examples/topic/"
    assert (
        "snippets/divide.py:7: ZeroDivisionError: division by zero; "
        "run: guide run raising\nTraceback" in ran.stderr
    )
    assert f"{where}raising.py:{call} in call\n" in ran.stderr
    assert "\x1b" not in ran.stderr
    assert f"{where}slow.py:1: still running after 0:40" in ran.stderr
    assert "its process died in the cell" in ran.stderr
    assert f"{where}broken.py:21:5: no Python: invalid syntax" in ran.stderr
    assert ": SystemExit: no data; run: guide run leaving" in ran.stderr
    assert f"{where}headless.py:1: the first cell" in ran.stderr
    assert f"{where}nothing.py:27: results is a int, expected" in ran.stderr
    assert f"{where}list.py:27: results is a list" in ran.stderr
    assert "values['count']: is nan, expected a finite number" in ran.stderr
    assert "needs a 'ci' of [low, high], or 'exact': True" in ran.stderr
    assert "series['line']: unknown field 'z'" in ran.stderr
    assert f"{where}object.py:31: results: TypeError: object is" in ran.stderr
    for name in ("nan", "form", "object", "nothing", "list", "slow"):
        assert f"run: guide run {name}" in ran.stderr
    failed = ran.stdout.partition("Failed:\n")[2].split()
    assert sorted(failed) == [
        "broken", "dying", "form", "headless", "leaving", "list", "nan",
        "nothing", "object", "raising", "slow",
    ]  # fmt: skip
    for path, changed in kept.items():
        assert path.read_text() == '{"earlier": 1}\n'
        assert path.stat().st_mtime_ns == changed
    # What was handed to findings is kept even where they fail.
    made = {
        path.name
        for path in (scratch.root / ".build").rglob("*.*")
        if path.parent.name != "raw"
    }
    assert made == {
        "good.cpu.json", "good.cpu.ipynb", "raising.cpu.json",
        "nan.cpu.json", "slow.cpu.json",
    }  # fmt: skip


@pytest.mark.parametrize(
    "words", [["run"], ["build"], ["check"], ["draw"], ["accept", "topic"]]
)
@pytest.mark.parametrize("file", ["one.py", "as_found_findings.py"])
def test_what_is_no_python_is_one_clear_line(scratch, words, file):
    lay_committed(scratch, scratch.program("one"), "2026-01-02", 5)
    fresh = scratch.fresh("one")
    fresh.parent.mkdir(parents=True)
    fresh.write_bytes(scratch.committed("one").read_bytes())
    (scratch.root / "examples/topic/figure.py").write_text("")
    (scratch.root / "docs/index.md").write_text("# Start\n")
    path = scratch.root / "examples/topic" / file
    text = path.read_text()
    path.write_text(f"{text}x = = 1\n")
    ran = scratch.guide(*words)
    assert ran.returncode == 1
    said = ran.stdout + ran.stderr
    assert "Traceback" not in said
    where = f"examples/topic/{file}:{text.count(chr(10)) + 1}:5: no Python: "
    assert said.count(f"{where}invalid syntax; mend it") == 1, said


def test_a_program_without_findings_is_told_what_it_lacks(scratch):
    path = scratch.program("one")
    text = path.read_text()
    path.write_text(text.replace("from as_found_findings import", "# "))
    ran = scratch.guide("run")
    assert ran.returncode == 1
    assert "one.py:1: imports no findings; expected: from TOPIC" in ran.stderr


def test_a_result_says_what_was_measured_and_how(scratch):
    path = scratch.program(
        "good",
        "import os\nimport sys\n\nimport numpy as np\n\n"
        "WIDTHS = np.arange(3)\nLIMIT = np.float32(0.5)\nTHING = object()\n"
        "print(os.listdir(), os.environ['OMP_NUM_THREADS'])\n"
        "print('progress', time.time(), file=sys.stderr)\n"
        "print(SHORT)",
        results=scratch.RESULTS.replace("3,", "np.int64(3),").replace(
            "True,", "np.bool_(True),"
        ),
    )
    assert scratch.guide("run").returncode == 0
    found = scratch.load(scratch.fresh("good"))
    assert found["values"]["count"]["value"] == 3
    assert found["judgements"]["some"]["holds"] is True
    provenance = found["provenance"]
    assert provenance["code"] == Program(scratch.root, path).code_hash
    assert provenance["command"] == "guide run good"
    assert provenance["settings"] == {
        "SHORT": False,
        "SIZES": [4, 8],
        "WIDTHS": [0, 1, 2],
        "LIMIT": 0.5,
    }
    assert set(provenance["versions"]) >= {"python", "numpy"}
    assert provenance["threads"] == 1
    assert provenance["short"] is False
    assert provenance["device"]
    assert provenance["seconds"] >= 0
    time.strptime(provenance["date"], "%Y-%m-%d")

    notebook = scratch.root / ".build/notebooks/good.cpu.ipynb"
    text = notebook.read_text()
    assert "[] 1" in text  # an empty folder, one thread
    assert "_collect" not in text
    assert "progress 1" not in text
    assert scratch.guide("run", "--fresh").returncode == 0
    assert notebook.read_text() == text


def test_a_second_run_does_nothing_until_the_code_changes(scratch):
    path = scratch.program("one", topic="first")
    scratch.program("two", topic="second")

    def measured(*words: str) -> set[str]:
        ran = scratch.guide("run", *words)
        assert ran.returncode == 0, ran.stderr
        lines = ran.stdout.splitlines()
        return {line.partition(":")[0] for line in lines if "ended" in line}

    assert measured("first") == {"one"}
    assert measured() == {"two"}
    second = scratch.guide("run")
    assert "Nothing to run." in second.stdout
    assert "one: already run here from its present code" in second.stdout
    assert measured("one") == set()
    path.write_text(path.read_text() + "\n# Only a comment.\n")
    assert measured() == set()
    path.write_text(path.read_text().replace("4, 8", "4, 8, 16"))
    assert measured() == {"one"}
    assert measured("--fresh", "two") == {"two"}
    assert measured("--fresh") == {"one", "two"}
    scratch.fresh("one").write_text('{"provenance"')
    assert measured() == {"one"}
    unknown = scratch.guide("run", "three")
    assert unknown.returncode == 1
    assert "there are: first, one, second, two" in unknown.stderr


def test_a_budget_takes_what_changed_and_then_the_oldest(scratch):
    order = scratch.root / "order"
    names = ["a_new", "b_old", "c_changed", "d_oldest_but_long", "e_never"]
    for name in names:
        work = f"with open({str(order)!r}, 'a') as s:\n    s.write('{name}\\n')"
        path = scratch.program(name, work)
        if name != "e_never":
            date = {"a_new": "2026-01-02", "b_old": "2026-01-01"}
            seconds = 1000 if "long" in name else 5
            lay_committed(scratch, path, date.get(name, "2020-01-01"), seconds)
    changed = scratch.root / "examples/topic/c_changed.py"
    changed.write_text(changed.read_text().replace("4, 8", "4, 8, 16"))
    ran = scratch.guide("run", "--budget", "2m", "--jobs", "1")
    assert ran.returncode == 0, ran.stderr
    assert order.read_text().split() == [
        "c_changed", "e_never", "b_old", "a_new",
    ]  # fmt: skip
    assert "d_oldest_but_long: left out, expected 16:40" in ran.stdout
    # Now the date of the run here counts, not that of the commit.
    os.utime(scratch.fresh("a_new"), (1e9, 1e9))
    order.unlink()
    words = ["run", "--fresh", "--budget", "1m", "--jobs", "1"]
    again = scratch.guide(*words, "a_new", "b_old")
    assert again.returncode == 0
    assert order.read_text().split() == ["a_new", "b_old"]


def test_a_program_starts_only_if_it_fits_what_is_left(scratch):
    for name, work in (("a", "time.sleep(3)"), ("b", "")):
        path = scratch.program(name, work)
        seconds = 1 if name == "a" else 4
        lay_committed(scratch, path, f"2026-01-0{seconds}", seconds)
    ran = scratch.guide("run", "--budget", "5s", "--jobs", "1")
    assert "a: ended after" in ran.stdout
    assert "b: left out, expected 0:04" in ran.stdout
    assert not scratch.fresh("b").exists()


def test_programs_run_side_by_side_and_those_marked_alone_by_themselves(
    scratch,
):
    log = scratch.root / "log"
    log.mkdir()
    meet = (
        "from pathlib import Path\n"
        "log = Path({log!r})\nbegun = time.time()\n(log / '{name}').touch()\n"
        "while not (log / '{other}').exists():\n    time.sleep(0.02)\n"
        "time.sleep(0.2)\n"
        "(log / '{name}').write_text(f'{{begun}} {{time.time()}}')"
    )
    for name, other, alone in (
        ("x", "y", False),
        ("y", "x", False),
        ("a", "a", True),
        ("b", "b", True),
    ):
        work = meet.format(log=str(log), name=name, other=other)
        scratch.program(name, work, alone=alone)
    # x and y wait for each other: they end only if they run together.
    ran = scratch.guide("run", "--jobs", "2", "--limit", "40s")
    assert ran.returncode == 0, ran.stderr
    spans = {
        path.name: tuple(map(float, path.read_text().split()))
        for path in log.iterdir()
    }
    together = max(spans["x"][1], spans["y"][1])
    assert together < min(spans["a"][0], spans["b"][0])
    first, second = sorted((spans["a"], spans["b"]))
    assert first[1] < second[0]


def test_a_short_run_is_never_stored(scratch):
    scratch.program("good", "if not SHORT:\n    time.sleep(600)")
    ran = scratch.guide("run", "--short", "--limit", "30s")
    assert ran.returncode == 0, ran.stderr
    assert "short run of good: 1 values, not stored" in ran.stdout
    assert not (scratch.root / ".build").exists()
    scratch.program(
        "bad", results=scratch.RESULTS.replace("True}}", "True, 'x': 1}}")
    )
    bad = scratch.guide("run", "--short", "bad")
    assert bad.returncode == 1
    assert "unknown field 'x'" in bad.stderr


def test_a_program_for_a_gpu_waits_for_one(scratch):
    scratch.program("big", device="gpu")
    without = scratch.guide("run")
    assert without.returncode == 0
    assert "big: it runs on gpu, and this machine has none" in without.stdout
    assert scratch.guide("run", "big").returncode == 1
    scratch.nvidia_smi("echo 'GPU 0: Fast One (UUID: 1)'")
    assert scratch.guide("run", "--device", "cpu").returncode == 0
    assert not (scratch.root / ".build").exists()
    assert scratch.guide("run", "--device", "gpu").returncode == 0
    found = scratch.load(scratch.root / ".build/results/big.gpu.json")
    assert found["provenance"]["device"] == "Fast One"


def test_programs_on_a_gpu_run_one_after_the_other(scratch):
    log = scratch.root / "log"
    log.mkdir()
    work = (
        "from pathlib import Path\nlog = Path({log!r})\nbegun = time.time()\n"
        "time.sleep(1)\n"
        "(log / '{name}').write_text(f'{{begun}} {{time.time()}}')"
    )
    for name in ("a", "b"):
        each = work.format(log=str(log), name=name)
        scratch.program(name, each, device="gpu")
    scratch.nvidia_smi("echo 'GPU 0: Fast One (UUID: 1)'")
    ran = scratch.guide("run", "--device", "gpu", "--jobs", "2")
    assert ran.returncode == 0, ran.stderr
    first, second = sorted(
        tuple(map(float, path.read_text().split())) for path in log.iterdir()
    )
    assert first[1] < second[0]


def test_what_ran_on_the_processor_is_no_result_of_a_gpu(scratch):
    scratch.program("big", "import torch", device="gpu")
    scratch.nvidia_smi("echo 'GPU 0: Fast One (UUID: 1)'")
    ran = scratch.guide("run", "--device", "gpu")
    assert ran.returncode == 1
    assert "ran on the processor, for torch finds no GPU" in ran.stderr
    assert not (scratch.root / ".build/results/big.gpu.json").exists()


def test_keras_gets_the_backend_that_can_run(monkeypatch):
    keras_backend.cache_clear()
    assert keras_backend("cpu") == "tensorflow"
    # Here no TensorFlow sees a GPU, as on a machine where only PyTorch does.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert keras_backend("gpu") == "torch"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_every_child(scratch, number):
    note = scratch.root / "pids"
    for name in ("one", "two"):
        scratch.program(name, ENDLESS.format(path=str(note)))
    run = scratch.start("run", "--jobs", "2")
    children = eventually(lambda: pids(note, lines=2))
    run.send_signal(number)
    output, errors = run.communicate(timeout=20)
    assert run.returncode == 130
    assert errors == "guide: interrupted\n"
    assert "ended after" not in output
    assert not [pid for pid in children if alive(pid)]
    assert not (scratch.root / ".build").exists()
    assert not list(scratch.temporary.iterdir())


def test_nothing_outlives_a_run_or_a_worker_that_is_killed(scratch):
    note = scratch.root / "pids"
    scratch.program("one", ENDLESS.format(path=str(note)))
    run = scratch.start("run")
    kernel, child, worker = eventually(lambda: pids(note))
    run.kill()
    run.communicate()
    eventually(lambda: not any(map(alive, (kernel, child, worker))))
    eventually(lambda: not list(scratch.temporary.iterdir()))

    note.unlink()
    run = scratch.start("run")
    kernel, child, worker = eventually(lambda: pids(note))
    os.kill(worker, signal.SIGKILL)
    _, errors = run.communicate(timeout=20)
    assert run.returncode == 1
    assert "one.py:1: its worker ended with status -9" in errors
    eventually(lambda: not any(map(alive, (kernel, child))))


def test_a_run_killed_at_any_moment_leaves_results_whole(scratch):
    points = list(range(3000))
    series = f'{{"x": {points}, "y": {points}, "unit": "count"}}'
    for name in ("one", "two"):
        scratch.program(
            name,
            results=scratch.RESULTS.replace(
                '{"x": [1, 2], "y": [3, 4.5], "unit": "count"}', series
            ),
        )
    assert scratch.guide("run").returncode == 0
    # Half a file, as a kill between two writes would leave it.
    half = scratch.root / ".build/results/.one.cpu.json.abc.part"
    half.write_text('{"values": {')
    chance = random.Random(1)
    for _ in range(6):
        run = scratch.start("run", "--fresh", "--jobs", "2")
        time.sleep(chance.uniform(0.2, 2.5))
        run.kill()
        run.communicate()
        found = sorted((scratch.root / ".build/results").glob("*.json"))
        assert [path.name for path in found] == [
            "one.cpu.json",
            "two.cpu.json",
        ]
        for path in found:
            measured = json.loads(path.read_text())
            assert measured["series"]["line"]["y"] == points
    ran = scratch.guide("run")
    assert "Nothing to run." in ran.stdout
    assert scratch.guide("accept", "one", "two").returncode == 0


def test_a_whole_write_is_never_seen_half_done(tmp_path):
    path = tmp_path / "result.json"
    writer = (
        "import itertools, sys\nfrom pathlib import Path\n"
        "from _guide.results import write_whole\n"
        "for n in itertools.count():\n"
        "    text = f'[{n % 10}' + ',1' * 50000 + ']'\n"
        "    write_whole(Path(sys.argv[1]), text)\n"
    )
    for delay in (0.2, 0.25, 0.3):
        process = subprocess.Popen([sys.executable, "-c", writer, str(path)])
        eventually(path.exists)
        for _ in range(20):
            assert len(json.loads(path.read_text())) == 50001
        time.sleep(delay)
        process.kill()
        process.wait()
        assert len(json.loads(path.read_text())) == 50001


def test_a_terminal_shows_a_live_line(scratch):
    scratch.program("one", "time.sleep(0.5)", minutes=1)
    ours, theirs = pty.openpty()
    ran = subprocess.run(
        scratch.command("run"),
        cwd=scratch.root,
        env=scratch.environment() | {"COLUMNS": "80"},
        stdout=theirs,
        timeout=60,
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert ran.returncode == 0
    assert "\r\x1b[Kone 0:00/1:00" in shown
    assert "\r\x1b[Kone: ended after 0:0" in shown
    assert "started" not in shown


def test_elsewhere_a_long_program_is_heard_of_every_half_minute(capsys):
    task = SimpleNamespace(name="one", expected=100)
    child = SimpleNamespace(task=task, elapsed=0, well=True)
    progress = Progress()
    progress.started(child)
    for child.elapsed in (1, 29, 30, 31, 59, 61, 62):
        progress.show([child])
    progress.ended(child)
    assert capsys.readouterr().out.splitlines() == [
        "one: started, expected 1:40",
        "one: 0:30 of 1:40",
        "one: 1:01 of 1:40",
        "one: ended after 1:02, expected 1:40",
    ]


@pytest.mark.parametrize("words", [["--budget", "soon"], ["--jobs", "0"]])
def test_wrong_words_are_refused(scratch, words):
    ran = scratch.guide("run", *words)
    assert ran.returncode == 2
    assert words[1] in ran.stderr


def test_outside_a_project_the_command_says_so(scratch, tmp_path):
    (scratch.root / "mkdocs.yml").unlink()
    ran = scratch.guide("run")
    assert ran.returncode == 1
    assert "not inside the guide's project" in ran.stderr
    assert "Traceback" not in ran.stderr
