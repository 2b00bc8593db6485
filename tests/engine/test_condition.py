"""`when:` on messages."""

from __future__ import annotations

from typing import Any

import pytest

from engine.condition import condition
from formats import hl7v2

MESSAGE = hl7v2.parse(
    b"MSH|^~\\&|LAB^1.2.3^ISO|X|||20240102||ORU^R01|1|P|2.5\r"
    b'PID|1||1^^^A~2^^^B||DOE^JANE|||""|\r'
    b"OBR|1|||1||||||||||||||||||||||^^^^^STAT\r"
    b"OBX|1|NM|K^Potassium||6.3|||N\rOBX|2|NM|NA||1|||HH~X\r"
)
PREDICATES = {"urgent": lambda body: True, "never": lambda body: False}


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"OBX-8": "HH"}, True),  # any occurrence of the segment
        ({"OBX-8": ["AA", "X"]}, True),  # any repetition
        ({"OBX[1]-8": "HH"}, False),
        ({"OBX[2]-8": "HH"}, True),
        ({"PID-3.4": "B"}, True),
        ({"PID-3[1].4": "B"}, False),
        ({"OBX-3": "K"}, True),  # the first component where none is named
        ({"OBX-3": "K^Potassium"}, False),
        ({"MSH-3": "LAB"}, True),
        ({"OBX-8": "HH", "OBX-2": "NM"}, True),
        ({"OBX-8": "HH", "OBX-2": "ST"}, False),
        ({"any": [{"OBX-2": "ST"}, {"OBX-8": "HH"}]}, True),
        ({"any": [{"OBX-2": "ST"}, {"OBX-8": "LL"}]}, False),
        ({"all": [{"OBX-8": "HH"}, {"OBX-8": "N"}]}, True),
        ({"all": [{"OBX-8": "HH"}, {"OBX-8": "LL"}]}, False),
        ({"not": {"PID-5.1": "DOE"}}, False),
        ({"not": {"PID-5.1": "ROE"}, "OBX-8": "HH"}, True),
        ({"not": {"any": [{"PID-5.1": "ROE"}, {"PID-5.1": "POE"}]}}, True),
        ({"PID-5.1": "*"}, True),
        ({"PID-9": "*"}, False),
        ({"PID-9": ""}, True),
        ({"ZZZ-1": ""}, True),
        ({"PID-5.1": ""}, False),
        ({"PID-8": ""}, True),  # HL7's explicit null is no value
        ({"PID-8": "*"}, False),
        ({"PID-9": ["", "X"]}, True),
        ({"PID-5.1": ["", "X"]}, False),
        ({"PID-1": 1}, True),  # as it is written
        ({"PID-5": "*"}, True),
        ("urgent", True),
        ({"not": "urgent"}, False),
        ({"any": ["never", {"OBX-8": "HH"}]}, True),
    ],
)
def test_holds(when: Any, holds: bool) -> None:
    compiled = condition(when, PREDICATES)
    assert not isinstance(compiled, list), compiled
    assert compiled(MESSAGE) is holds


@pytest.mark.parametrize(
    ("when", "faults"),
    [
        ({}, [("bad-condition", ())]),
        (None, [("bad-condition", ())]),
        ([{"OBX-8": "HH"}], [("bad-condition", ())]),
        ({"OBX": "HH"}, [("bad-path", ("OBX",))]),
        ({"OBX-8": None}, [("bad-condition", ("OBX-8",))]),
        ({"OBX-8": [["HH"]]}, [("bad-condition", ("OBX-8",))]),
        ({"OBX-8": {"is": "HH"}}, [("bad-condition", ("OBX-8",))]),
        ({"any": {"OBX-8": "HH"}}, [("bad-condition", ("any",))]),
        ({"any": []}, [("bad-condition", ("any",))]),
        ("urgnt", [("unknown-predicate", ())]),
        (
            {"any": [{"OBX8": "HH"}, {"not": {"X": 1}}, "urgnt"]},
            [
                ("bad-path", ("any", 0, "OBX8")),
                ("bad-path", ("any", 1, "not", "X")),
                ("unknown-predicate", ("any", 2)),
            ],
        ),
    ],
)
def test_every_fault_with_its_place(when: Any, faults: Any) -> None:
    found = condition(when, PREDICATES)
    assert isinstance(found, list)
    assert [(f.code, f.at) for f in found] == faults
