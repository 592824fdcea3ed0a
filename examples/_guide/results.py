"""Result files: their form, how they are written, and when two agree."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _guide.project import GuideError, Program

KEY = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
MOST_BYTES = 200_000
# Fewer replicates than this need a reason.
FEWEST_REPLICATES = 10
SIGNIFICANT_DIGITS = 6

# The version of the form that a result has.
FORM = 2
PROVENANCE = {
    "program", "form", "code", "findings", "command", "settings", "versions",
    "backend", "device", "threads", "date", "seconds", "short",
}  # fmt: skip
FIELDS = {
    "values": {
        "value", "unit", "ci", "n", "exact", "timing", "reason", "because",
    },
    "judgements": {"holds", "because"},
    "series": {"x", "y", "low", "high", "unit"},
}  # fmt: skip


def problems(results: object, short: bool = False) -> list[str]:
    """What is wrong with the form of `results`; empty when nothing is.

    short: of a short run, which has few replicates and needs no reason.
    """
    if not isinstance(results, dict):
        return [f"results is a {type(results).__name__}, expected a dict"]
    extra = sorted(set(results) - set(FIELDS))[:1]
    found = [f"unknown part {part!r} of results" for part in extra]
    for part in FIELDS:
        if not isinstance(results.get(part, {}), dict):
            return [*found, f"results[{part!r}] is not a dict"]
    if not results.get("values"):
        found.append("results['values'] is empty: nothing was measured")
    for part in FIELDS:
        for key, entry in results.get(part, {}).items():
            name = f"{part}[{key!r}]"
            if not isinstance(key, str) or not KEY.fullmatch(key):
                found.append(f"{name}: keys are dotted lower-case words")
            elif not isinstance(entry, dict):
                found.append(f"{name} is not a dict")
            else:
                extra = entry.keys() - FIELDS[part]
                wrong = [f"unknown field {min(extra)!r}"] if extra else []
                if part == "values":
                    wrong += _value_problems(entry, short)
                elif part == "judgements":
                    wrong += _judgement_problems(entry, results)
                else:
                    wrong += _series_problems(entry)
                found += [f"{name}: {why}" for why in wrong]
    both = set(results.get("values", {})) & set(results.get("judgements", {}))
    return found + [f"{key!r} is both a value and a judgement" for key in both]


def _is_number(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _unit_problems(entry: dict) -> Iterator[str]:
    if not isinstance(entry.get("unit"), str) or not entry["unit"]:
        yield "has no unit (a word; 'ratio' or 'count' where none)"


def _value_problems(entry: dict, short: bool) -> Iterator[str]:
    yield from _unit_problems(entry)
    value, ci, n = entry.get("value"), entry.get("ci"), entry.get("n")
    if "value" not in entry:
        yield "has no value"
    elif value is None:
        if not entry.get("reason"):
            yield "is None without a reason"
    elif not _is_number(value):
        yield f"is {value!r}, expected a finite number"
    elif ci is None:
        if entry.get("exact") is not True:
            yield "needs a 'ci' of [low, high], or 'exact': True"
    else:
        if entry.get("exact"):
            yield "is exact and has an interval; choose one"
        if not (
            isinstance(ci, list | tuple)
            and len(ci) == 2
            and all(map(_is_number, ci))
            and ci[0] <= value <= ci[1]
        ):
            yield f"ci is {ci!r}, expected [low, high] around {value!r}"
        if not isinstance(n, int) or n < 1:
            yield "has an interval but no 'n', the number of replicates"
        elif n < FEWEST_REPLICATES and not (short or entry.get("because")):
            yield (
                f"n is {n}, fewer than {FEWEST_REPLICATES}; say why in "
                "'because'"
            )


def _judgement_problems(entry: dict, results: dict) -> Iterator[str]:
    if not isinstance(entry.get("holds"), bool):
        yield f"holds is {entry.get('holds')!r}, expected True or False"
    because = entry.get("because")
    if not isinstance(because, list) or not because:
        yield "names no values in 'because'"
        return
    for key in because:
        if key not in results["values"]:
            yield f"because names {key!r}, which is not among the values"


def _series_problems(entry: dict) -> Iterator[str]:
    yield from _unit_problems(entry)
    for axis in ("x", "y", "low", "high"):
        points = entry.get(axis)
        if points is None and axis in ("low", "high"):
            continue
        if not isinstance(points, list) or not points:
            yield f"{axis} is not a list with points"
        elif len(points) != len(entry.get("x") or []):
            yield f"{axis} has not as many points as x"
        elif not all(p is None or _is_number(p) for p in points):
            yield f"{axis} holds something that is no finite number"
    if ("low" in entry) != ("high" in entry):
        yield "has one of low and high; an interval needs both"


def rounded(item: object) -> object:
    """The same structure with floats at six significant digits."""
    if isinstance(item, float):
        return float(f"{item:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(item, dict):
        return {str(key): rounded(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [rounded(value) for value in item]
    return item


def to_text(result: dict) -> str:
    """The file's text: sorted keys, one value a line, lists on one line.

    Raises ValueError if it would be larger than 200 kB.
    """

    def write(item: object, indent: str) -> str:
        inline = json.dumps(item, sort_keys=True, ensure_ascii=False)
        small = len(indent) + len(inline) <= 100
        if not isinstance(item, dict) or not item or small:
            return inline
        deeper = indent + "  "
        rows = (
            f"{deeper}{json.dumps(key, ensure_ascii=False)}: "
            f"{write(item[key], deeper)}"
            for key in sorted(item)
        )
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"

    text = write(rounded(result), "") + "\n"
    size = len(text.encode())
    if size > MOST_BYTES:
        raise ValueError(
            f"its result would have {size:,} bytes, at most {MOST_BYTES:,} are "
            "allowed; thin out the series"
        )
    return text


def save(path: Path, result: dict) -> None:
    """Write the whole file or none of it, whenever the process is killed."""
    write_whole(path, to_text(result))


def write_whole(path: Path, text: str) -> bool:
    """Replace the file in one step if its text changes; True if it did."""
    data = text.encode("utf-8")
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.", suffix=".part"
    )
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True


def read(path: Path, where: str) -> dict | None:
    """The result in `path`, which messages name `where`; None if none is there.

    Raises GuideError for what is no result of this version of `guide run`.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise GuideError(f"{where}:{line}: no JSON: {error}") from None
    wrong = whole_problems(result)
    if wrong:
        raise GuideError(f"{where}:1: {wrong[0]}")
    return result


def committed(program: Program, device: str) -> dict | None:
    """The result beside the program; raises GuideError if it is broken."""
    path = program.committed(device)
    return read(path, path.relative_to(program.root).as_posix())


def fresh(program: Program, device: str) -> dict | None:
    """What a run of the program's present code left here, if there was one."""
    path = program.fresh(device)
    result = read(path, path.relative_to(program.root).as_posix())
    current = result and program.is_current(result["provenance"])
    return result if current else None


def provenance(program: Program, **measured: object) -> dict:
    """Where a result is from; measured: the other fields of PROVENANCE."""
    return {
        "program": program.name,
        "form": FORM,
        "code": program.code_hash,
        "findings": program.findings_hash,
        "command": f"guide run {program.name}",
        "short": False,
    } | measured


def whole_problems(result: object) -> list[str]:
    """What is wrong with a result that was written; empty if nothing is."""
    if not isinstance(result, dict):
        return [f"a {type(result).__name__}, expected what `guide run` writes"]
    provenance = result.get("provenance")
    if not isinstance(provenance, dict):
        return ["without provenance; expected what `guide run` writes"]
    lacking = sorted(PROVENANCE - set(provenance))
    if lacking:
        return [f"provenance without {', '.join(lacking)}"]
    if provenance["form"] != FORM:
        return [
            f"in form {provenance['form']}, expected {FORM}; the tool has "
            "changed since"
        ]
    if provenance["short"] is not False:
        return ["from a short run, which measures nothing"]
    return problems({k: v for k, v in result.items() if k != "provenance"})


def interval(entry: dict) -> tuple[float, float]:
    """[low, high] of a value; an exact value is its own interval."""
    low, high = entry.get("ci") or (entry["value"], entry["value"])
    return low, high


def disagreements(committed: dict, fresh: dict) -> list[tuple[str, str]]:
    """(key, why) for all that a fresh run says otherwise.

    Exact values and judgements must be equal, intervals must overlap.
    Values marked `timing` differ between machines: only the judgements that
    rest on them are compared.
    """
    found: list[tuple[str, str]] = []
    for part in ("values", "judgements"):
        old, new = committed.get(part, {}), fresh.get(part, {})
        for key in sorted(set(old) | set(new)):
            if key not in new:
                why = "committed, but not measured any more"
            elif key not in old:
                why = "measured, but not committed"
            else:
                why = _difference(old[key], new[key])
            if why:
                found.append((key, why))
    return found


def _difference(old: dict, new: dict) -> str:
    """What of two values or two judgements differs; '' if nothing does."""
    if "holds" in old:
        was, now = old["holds"], new["holds"]
        return f"committed {was}, measured {now}" if was != now else ""
    if old.get("timing") and new.get("timing"):
        return ""
    if old["value"] is None and new["value"] is None:
        return ""
    if None in (old["value"], new["value"]):
        return f"committed {old['value']}, measured {new['value']}"
    if old["unit"] != new["unit"]:
        return f"unit was {old['unit']!r}, now {new['unit']!r}"
    (low, high), (new_low, new_high) = interval(old), interval(new)
    if low <= new_high and new_low <= high:
        return ""
    return f"committed {describe(old)}, measured {describe(new)}"


def describe(entry: dict) -> str:
    """A value with its interval, for people: 1.27 [1.25–1.29]."""
    if entry["value"] is None:
        return f"nothing ({entry.get('reason', 'no reason given')})"
    text = number_text(entry["value"])
    if entry.get("ci"):
        low, high = map(number_text, entry["ci"])
        text += f" [{low}–{high}]"
    return text


def number_text(value: float) -> str:
    """Four significant digits, thousands separated, no exponent."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
