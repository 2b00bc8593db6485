"""FHIR R4 4.0.1 as JSON: exact decimals, and whether a resource has the structure that R4 gives it.

json       bytes <-> plain dicts
validate   what is wrong with a resource, or with the elements that one message says of it
structure  which elements are required, repeat, or are types of one choice
r4         the tables behind both, from `data/r4.json.gz`, which `build` makes
"""

from formats.fhir.json import canonical, decode, encode
from formats.fhir.structure import choice, is_list, required
from formats.fhir.validate import Problem, problems, validate_resource

__all__ = [
    "Problem",
    "canonical",
    "choice",
    "decode",
    "encode",
    "is_list",
    "problems",
    "required",
    "validate_resource",
]
