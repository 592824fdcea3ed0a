"""`guide accept`: lays fresh results beside their programs, to be committed."""

from __future__ import annotations

from pathlib import Path

from _guide import results
from _guide.measure.run import chosen
from _guide.project import DEVICES, GuideError, Program


def accept(root: Path, names: list[str], folder: Path | None) -> int:
    """0 if all were taken; takes none if one of them cannot be."""
    if not names and folder is None:
        raise GuideError(
            "accept what? expected a topic or a program; "
            "run: guide accept NAME, or guide accept --from FOLDER"
        )
    wanted = chosen(root, names)
    if folder is None:
        found = of_this_machine(wanted)
    else:
        found = elsewhere(wanted, bool(names), folder)
    taken, wrong = [], []
    for program, device, path in found:
        try:
            result = read(program, device, path)
            taken.append((program.committed(device), result))
        except ValueError as error:
            inside = path.is_relative_to(root)
            shown = path.relative_to(root) if inside else path
            wrong.append(
                f"{shown}:1: {error}; run: guide run {program.name} --fresh"
            )
    if wrong:
        raise GuideError("\n".join(["nothing accepted", *wrong]))
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
        here = [(program, d, path) for d, path in paths if path.is_file()]
        if not here:
            print(f"{program.name}: not run here, stays as it is")
        found += here
    if not found:
        names = " ".join(program.name for program in wanted)
        raise GuideError(f"no fresh result of {names}; run: guide run {names}")
    return found


def elsewhere(
    wanted: list[Program], named: bool, folder: Path
) -> list[tuple[Program, str, Path]]:
    """The results somewhere in `folder`; if named only those."""
    known = {program.name: program for program in wanted}
    found: dict[str, tuple[Program, str, Path]] = {}
    for path in sorted(folder.rglob("*.json")):
        name, _, device = path.stem.rpartition(".")
        if device not in DEVICES:
            print(f"{path}: passed over, not called NAME.DEVICE.json")
        elif name in known:
            taken = known[name], device, path
            other = found.setdefault(path.stem, taken)[-1]
            if other != path:
                raise GuideError(
                    f"{path}:1: also in {other}; leave one of them"
                )
        elif not named:
            raise GuideError(
                f"{path}:1: there is no program {name}; run: guide accept "
                f"NAME --from {folder}"
            )
    measured = {program.name for program, *_ in found.values()}
    missing = sorted(set(known) - measured) if named else []
    if missing or not found:
        what = f" of {', '.join(missing)}" if missing else ""
        raise GuideError(
            f"{folder}: no result{what}; expected NAME.DEVICE.json in it"
        )
    return list(found.values())


def read(program: Program, device: str, path: Path) -> dict:
    """The result in `path`; raises ValueError if it cannot be taken."""
    try:
        result = results.read(path, "")
    except GuideError as error:
        raise ValueError(str(error).partition(": ")[2]) from None
    provenance = result["provenance"]
    if provenance["program"] != program.name:
        raise ValueError(f"the result of {provenance['program']}")
    if device not in program.header["devices"]:
        raise ValueError(f"{program.where} does not run on {device}")
    if not program.is_current(provenance):
        raise ValueError(f"measured with another version of {program.where}")
    # Here, so that one that is too large is found before any is taken.
    results.to_text(result)
    return result


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
    if key in result["values"]:
        return results.describe(result["values"][key])
    if key in result.get("judgements", {}):
        holds = result["judgements"][key]["holds"]
        return "holds" if holds else "does not hold"
    return "nothing"
