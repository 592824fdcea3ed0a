"""`guide accept`: lays fresh results beside their programs, to be committed."""

from __future__ import annotations

from pathlib import Path

from _guide import results
from _guide.measure.run import chosen
from _guide.project import DEVICES, GuideError, Program, programs


def accept(root: Path, names: list[str], folder: Path | None = None) -> int:
    """0 if all were taken; takes none if one of them cannot be."""
    if not names and folder is None:
        raise GuideError(
            "accept what? expected a topic or a program; "
            "run: guide accept NAME, or guide accept --from FOLDER"
        )
    wanted = chosen(root, names)
    found = (
        of_this_machine(wanted)
        if folder is None
        else elsewhere(root, wanted, bool(names), folder)
    )
    taken, wrong = [], []
    for program, device, path in found:
        result, why = read(program, device, path)
        if why:
            shown = path
            if path.is_relative_to(root):
                shown = path.relative_to(root)
            wrong.append(
                f"{shown}:1: {why}; run: guide run {program.name} --fresh"
            )
        taken.append((program.committed(device), result))
    if wrong:
        raise GuideError("nothing accepted\n" + "\n".join(wrong))
    for path, result in taken:
        tell(path, result)
        results.save(path, result)
    print("Next: guide check")
    return 0


def of_this_machine(wanted: list[Program]) -> list[tuple[Program, str, Path]]:
    """The results that runs have left in .build/."""
    found = []
    for program in wanted:
        paths = [(device, program.fresh(device)) for device in DEVICES]
        here = [(d, path) for d, path in paths if path.is_file()]
        if not here:
            print(f"{program.name}: not run here, stays as it is")
        found += [(program, device, path) for device, path in here]
    if not found:
        names = " ".join(program.name for program in wanted)
        raise GuideError(f"no fresh result of {names}; run: guide run {names}")
    return found


def elsewhere(
    root: Path, wanted: list[Program], named: bool, folder: Path
) -> list[tuple[Program, str, Path]]:
    """The results somewhere in `folder`; with names only those."""
    known = {program.name: program for program in programs(root)}
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.rglob("*.json")):
        name, _, device = path.stem.rpartition(".")
        if device not in DEVICES:
            print(f"{path}: passed over, not called NAME.DEVICE.json")
            continue
        if name not in known:
            if named:
                continue
            raise GuideError(
                f"{path}:1: there is no program {name}; run: guide accept "
                f"NAME --from {folder}"
            )
        if named and known[name] not in wanted:
            continue
        other = found.setdefault((name, device), path)
        if other != path:
            raise GuideError(f"{path}:1: also in {other}; leave one of them")
    missing = [
        program.name
        for program in wanted
        if named and not any(name == program.name for name, _ in found)
    ]
    if missing or not found:
        what = f" of {', '.join(missing)}" if missing else ""
        raise GuideError(
            f"{folder}: no result{what}; expected NAME.DEVICE.json in it"
        )
    return [(known[n], device, path) for (n, device), path in found.items()]


def read(program: Program, device: str, path: Path) -> tuple[dict, str]:
    """The result in `path`, and why it cannot be taken ('' if it can)."""
    try:
        result = results.read(path, "")
    except GuideError as error:
        return {}, str(error).partition(": ")[2]
    provenance = result["provenance"]
    if provenance["program"] != program.name:
        return {}, f"the result of {provenance['program']}"
    if device not in program.header["devices"]:
        return {}, f"{program.where} does not run on {device}"
    if not program.is_current(provenance):
        return {}, f"measured with another version of {program.where}"
    if len(results.to_text(result).encode()) > results.MOST_BYTES:
        return {}, f"larger than {results.MOST_BYTES:,} bytes"
    return result, ""


def tell(path: Path, result: dict) -> None:
    """Print what the new result says otherwise than the committed one."""
    try:
        old = results.read(path, path.name)
    except GuideError:
        old = None
    if old is None:
        print(f"{path.stem}: {len(result['values'])} values, the first ones")
        return
    changed = results.disagreements(old, result)
    print(f"{path.stem}: {len(changed) or 'none'} changed")
    for key, _ in changed:
        print(f"  {key}: {shown(old, key)} → {shown(result, key)}")


def shown(result: dict, key: str) -> str:
    """A value or a judgement, for people."""
    if key in result.get("values", {}):
        return results.describe(result["values"][key])
    if key in result.get("judgements", {}):
        holds = result["judgements"][key]["holds"]
        return "holds" if holds else "does not hold"
    return "nothing"
