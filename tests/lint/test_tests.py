"""`chartwire test`: the tests beside the channels pass, fail with a line per element, and are linted too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.channel import Configuration
from engine.config.match import differences
from engine.config.tests import report, results_of, run_tests
from engine.config.variables import Pretended

ORU = (
    "MSH|^~\\&|LAB|X|||20240102030405-0500||ORU^R01|1|P|2.5\n"
    "PID|1||007^^^HOSP||DOE^JANE\nOBR|1\nOBX|1|NM|K||6.30|||HH\n"
)
LATER = ORU.replace("20240102", "20240103").replace("6.30", "5.1")
LAB, CASES = "channels/lab.yaml", "channels/lab.test.yaml"
STORES = ("store: example.facts", "store: example.observation")


@pytest.fixture
def results(loads: Any, tmp_path: Path) -> Any:
    """The results of the good configuration with these tests."""

    def run(tests: str, **files: Any) -> Any:
        samples = {"channels/samples/k.hl7": ORU, "channels/samples/later.hl7": LATER}
        made = loads({LAB: STORES, CASES: tests, **samples, **files.get("files", {})}, environ=Pretended())
        return results_of(tmp_path, made) if isinstance(made, Configuration) else made

    return run


def case(expect: str, given: str = "samples/k.hl7", more: str = "") -> str:
    return f"tests:\n  - name: a test\n    given: {given}\n    {more}\n    expect: {expect}\n"


@pytest.mark.parametrize(
    "expect",
    [
        "{ack: AA, state: STORED}",
        '{stored: [{Observation: {code: "2823-3", valueQuantity: {value: 6.30}}}]}',
        "{stored: [{Observation: {status: final, code: {coding: [{system: 'http://loinc.org'}]}}}]}",
        "{stored: [{Observation: {interpretation: null}}]}",
        "{stored: [Observation]}",
        '{sent: {pager: {contains: ["6.30", "|HH"], count: 1}}}',
        "{sent: {pager: {equals: golden/pager.hl7}}}",
    ],
)
def test_what_is_so_passes(results: Any, expect: str) -> None:
    golden = {"channels/golden/pager.hl7": ORU.replace("NM|K", "NM|2823-3")}
    (result,) = results(case(expect), files=golden)
    assert (result.name, result.differences, result.passed) == ("a test", (), True)


@pytest.mark.parametrize(
    ("expect", "difference"),
    [
        ("{ack: AE}", "ack: expected AE, got AA"),
        ("{state: FILTERED}", "state: expected FILTERED, got STORED"),
        ("{reason: filtered}", "reason: expected filtered, got none"),
        (
            "{stored: [{Observation: {valueQuantity: {value: 6.3}}}]}",
            "stored: Observation.valueQuantity.value: expected 6.3, got 6.30",
        ),
        (
            "{stored: [{Observation: {code: '1-1', status: final}}]}",
            "stored: Observation.code: expected 1-1, got [2823-3, K]",
        ),
        (
            "{stored: [{Observation: {status: null}}]}",
            "stored: Observation.status: expected nothing, got final",
        ),
        ("{stored: [{Observation: {issued: x}}]}", "stored: Observation.issued: expected x, got nothing"),
        ("{stored: [Patient]}", "stored: Patient: expected one more, got none"),
        ("{stored: [Observation, Observation]}", "stored: Observation: expected one more, got none"),
        ("{stored: []}", "stored: expected nothing, got Observation"),
        ("{sent: {pager: {count: 0}}}", "sent to pager: expected 0 deliveries, got 1"),
        (
            "{sent: {pager: {contains: [7.0]}}}",
            'sent to pager: expected a delivery that contains "7.0", got none',
        ),
        (
            "{sent: {pager: {equals: samples/k.hl7}}}",
            "sent to pager: line 4, OBX-3: expected K, got 2823-3",
        ),
    ],
)
def test_what_is_not_so_is_one_line_per_element(results: Any, expect: str, difference: str) -> None:
    (result,) = results(case(expect))
    assert result.differences == (difference,)
    assert report([result]) == f"{CASES}:2: a test\n    {difference}\ntests: 1, failed: 1"


def test_several_samples_are_one_story_in_any_order(results: Any) -> None:
    expect = "{stored: [{Observation: {valueQuantity: {value: 5.1}}}], sent: {pager: {count: 2}}}"
    for given in ("[samples/k.hl7, samples/later.hl7]", "[samples/later.hl7, samples/k.hl7]"):
        assert results(case(expect, given))[0].differences == ()


@pytest.mark.parametrize(
    ("sample", "ack", "expect"),
    [
        ("hello", "stored", "{ack: AR, state: REFUSED}"),
        (
            ORU.replace("|P|", "|D|"),
            "stored",
            "{ack: AA, state: QUARANTINED, reason: test-message, place: MSH-11.1}",
        ),
        (ORU.replace("|P|", "|D|"), "processed", "{ack: AE, state: REFUSED, reason: test-message}"),
        (
            ORU.replace("007", ""),
            "stored",
            "{state: QUARANTINED, reason: blank-patient-id, place: 'PID-3[1].1'}",
        ),
        (
            ORU.replace("HH", "N"),
            "stored",
            "{ack: AA, state: FILTERED, sent: {pager: {count: 0}}, stored: []}",
        ),
        (ORU.replace("ORU^R01", "ORU^R30"), "stored", "{state: STORED_RAW}"),
    ],
)
def test_acknowledgement_and_state_of_bad_samples(results: Any, sample: str, ack: str, expect: str) -> None:
    lab = f"ack: {ack}\nstore: example.observation"
    files = {"channels/samples/k.hl7": sample}
    (result,) = results(case(expect), files={**files, LAB: ("store: example.facts", lab)})
    assert result.differences == ()


def test_the_moment_of_receipt_can_be_said(results: Any) -> None:
    more = 'received: "2023-12-01T00:00:00Z"'
    (result,) = results(case("{state: QUARANTINED, reason: future-time}", more=more))
    assert result.differences == ()


@pytest.mark.parametrize(
    ("tests", "where"),
    [
        ("tests:\n  - name: x\n    given: nope.hl7\n    expect: {}\n", "3:12: no-file"),
        (case("{}").replace("given:", "givn:"), "3:5: unknown-key"),
        (case("{state: STORD}"), "5:21: wrong-value"),
        (case("{sent: {pagr: {}}}"), "5:21: unknown-destination"),
        (case("{stored: [{A: {}, B: {}}]}"), "5:23: one-key"),
        (case("{sent: {pager: {equals: nope.hl7}}}"), "5:37: no-file"),
        (case("{}", more="received: yesterday"), "4:15: wrong-value"),
        ("", "1:1: yaml"),
    ],
)
def test_the_tests_are_linted(results: Any, tests: str, where: str) -> None:
    found = [str(p) for p in results(tests)]
    assert any(p.startswith(f"{CASES}:{where}:") for p in found), found


def test_a_test_file_needs_its_channel(results: Any) -> None:
    problems = results(case("{}"), files={"channels/labb.test.yaml": case("{}")})
    assert [str(p) for p in problems] == [
        'channels/labb.test.yaml:1:1: unknown-channel: no channel "labb" (did you mean "lab"?)'
    ]


@pytest.mark.parametrize(
    ("tests", "status", "said"),
    [
        (case("{ack: AA}"), 0, "tests: 1, failed: 0\n"),
        (case("{ack: AE}"), 1, f"{CASES}:2: a test\n    ack: expected AE, got AA\ntests: 1, failed: 1\n"),
        (
            case("{akc: AE}"),
            1,
            f'{CASES}:5:14: unknown-key: no setting "akc" (did you mean "ack"?)\nproblems: 1\n',
        ),
    ],
)
def test_the_exit_status_says_it_all(
    loads: Any, tmp_path: Path, capsys: Any, tests: str, status: int, said: str
) -> None:
    made = loads({CASES: tests, "channels/samples/k.hl7": ORU})
    assert (run_tests(tmp_path, made), capsys.readouterr().out) == (status, said)


@pytest.mark.parametrize(
    ("expected", "actual", "lines"),
    [
        ("a", {"coding": [{"code": "a"}]}, 0),
        ("a", [{"coding": [{"code": "b"}]}, {"coding": [{"code": "a"}]}], 0),
        ({"family": "DOE"}, [{"family": "ROE"}, {"family": "DOE"}], 0),
        ([{"family": "DOE"}, {"family": "ROE"}], [{"family": "ROE"}, {"family": "DOE"}], 0),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 2, "c": 3}}, 2),
        (True, 1, 1),
        (1, True, 1),
        (None, None, 0),
        ([{"a": 1}], None, 1),
    ],
)
def test_differences(expected: Any, actual: Any, lines: int) -> None:
    assert len(differences(expected, actual, "X")) == lines
