# ruff: noqa: E501
"""What is wrong is named: file:line:column, a code, a suggestion. Nothing is compiled."""

from __future__ import annotations

from typing import Any

import pytest

from engine.channel import Configuration
from engine.plugin import REGISTRY

LAB, ADT, ROUTES = "channels/lab.yaml", "channels/adt.yaml", "routes.yaml"
TABLE, AUTHORITIES = "channels/tables/lab_to_loinc.csv", "authorities.yaml"

Change = str | tuple[str, str] | None

ROWS: list[tuple[str, str, Change, str, str]] = [
    # what is wrong, file, its change, where:line:column: code, part of the suggestion
    ("no YAML", LAB, "a: [\n", f"{LAB}:2:1: yaml", ""),
    ("a tab", LAB, "a:\n\tb: 1\n", f"{LAB}:2:1: yaml", "spaces, not tabs"),
    (
        "a bare reference in a flow mapping",
        LAB,
        ('"${LAB_PORT:2576}"', "${LAB_PORT:2576}"),
        f"{LAB}:4:25: yaml",
        "put quotes around",
    ),
    ("an empty file", LAB, "", f"{LAB}:1:1: yaml", "key: value"),
    ("a tag", LAB, ("about: ", "about: !!python/name:os "), f"{LAB}:2:8: yaml", "leave out"),
    ("an alias in itself", LAB, ("pipeline:", "about: &a [*a]\npipeline:"), f"{LAB}:10:1: duplicate-key", "keep"),
    ("a key given twice", LAB, ("about: L", "about: a\nabout: L"), f"{LAB}:3:1: duplicate-key", "keep one"),
    ("a typo in a key", LAB, ("timezone:", "timezon:"), f"{LAB}:6:1: unknown-key", 'mean "timezone"?'),
    ("a missing key", LAB, ("timezone: America/New_York\n", ""), f"{LAB}:1:1: missing-setting", "add timezone"),
    ("a missing setting", ADT, ("port: 2575, ", ""), f"{ADT}:2:10: missing-setting", "add port: ..., TCP port"),
    ("an unknown setting", ADT, ("timeout:", "timout:"), f"{ADT}:2:37: unknown-key", 'mean "timeout"?'),
    ("a wrong type", LAB, ("2576", "abc"), f"{LAB}:4:24: wrong-type", "TCP port"),
    ("truth for a number", ADT, ("2575", "true"), f"{ADT}:2:31: wrong-type", "TCP port"),
    ("a list for a number", ADT, ("2575", "[1]"), f"{ADT}:2:31: wrong-type", "TCP port"),
    ("a mapping for a list", LAB, ("[P, T]", "{P: T}"), f"{LAB}:7:26: wrong-type", "MSH-11"),
    ("a duration without unit", ADT, ("500ms", "500"), f"{ADT}:2:46: bad-duration", "500ms, 1s, 2m or 1h"),
    ("a size without unit", ADT, ("64KB", "64K"), f"{ADT}:2:62: bad-size", "64KB"),
    ("no such choice", ADT, ("processed", "procesed"), f"{ADT}:7:6: wrong-value", 'mean "processed"?'),
    ("no such zone", LAB, ("New_York", "NewYork"), f"{LAB}:6:11: unknown-timezone", "America/New_York"),
    ("no such charset", ADT, ("8859/1", "8859/99"), f"{ADT}:3:27: unknown-charset", "table 0211"),
    ("no such format", LAB, ("hl7v2", "hl7v3"), f"{LAB}:5:9: unknown-format", 'mean "hl7v2"?'),
    ("no such source", ADT, ("example.port", "example.prot"), f"{ADT}:2:10: unknown-source", "example.port"),
    ("two sources", ADT, ("largest: 64KB}", "largest: 64KB}, other: {}"), f"{ADT}:2:69: one-key", "other"),
    ("no source", ADT, ("{example.port: {port: 2575, timeout: 500ms, largest: 64KB}}", "{}"), f"{ADT}:2:9: one-key", ""),
    ("no such step", LAB, ("example.filter", "example.fliter"), f"{LAB}:12:5: unknown-transform", "example.filter"),
    ("no such table", LAB, ("lab_to_loinc", "lab_to_loin"), f"{LAB}:11:46: unknown-table", "lab_to_loinc"),
    ("no such authority", LAB, ("hospital", "hospitel"), f"{LAB}:9:12: unknown-authority", "hospital"),
    ("no path", LAB, ("OBX-3,", "OBX3,"), f"{LAB}:11:32: bad-path", "PID-5.1"),
    ("no path to order by", LAB, ("PID-3\n", "PID\n"), f"{LAB}:8:11: bad-path", "or patient"),
    ("no path in a condition", LAB, ("PID-5.1", "PID.5"), f"{LAB}:12:79: bad-path", "PID-5.1"),
    ("a typo in a condition", LAB, ("any:", "anny:"), f"{LAB}:12:29: bad-path", 'mean "any"?'),
    ("nothing in a condition", LAB, ("[HH, LL]", "[]"), f"{LAB}:12:43: bad-condition", '""'),
    ("no such predicate", ROUTES, ("{OBX-8: [HH, LL]}", "example.urgnt"), f"{ROUTES}:9:11: unknown-predicate", "urgent"),
    ("a path of another standard", ROUTES, ("OBX-8:", "Observation.status:"), f"{ROUTES}:9:12: foreign-path", "OBX-8"),
    ("an expectation of no channel", ROUTES, ("to: pager", "to: pager\n    expect: {within: 1h, answers: labs}"), f"{ROUTES}:12:35: unknown-channel", "lab"),
    ("an answer without ack: replied", LAB, ("store:", "ack: replied\nstore:"), f"{LAB}:13:6: no-answer", "answer:"),
    ("the chart told to nobody known", ADT, ("{example.port: {port: 2575, timeout: 500ms, largest: 64KB}}", "{chart: {type: Patient}}"), f"{ROUTES}:11:9: unknown-system", "system"),
    ("another name than the file", LAB, ("channel: lab", "channel: labs"), f"{LAB}:1:10: name-mismatch", "lab"),
    ("not a store", LAB, ("store: example.facts", "store: example.tree"), f"{LAB}:13:8: chain-type", "hl7v2_to_fhir"),
    ("a chain that breaks", LAB, ("  - example.f", "  - example.tree\n  - example.f"), f"{LAB}:13:5: chain-type", "between"),
    ("a pipeline's end", LAB, ("store: ex", "  - example.tree\nstore: ex"), f"{LAB}:10:1: chain-type", "store"),
    ("a port used twice", LAB, ("2576", "2575"), f"{LAB}:4:3: port-clash", "a port of its own"),
    ("a risk not accepted", ADT, ("port: 2575", "port: 2575, host: 0.0.0.0"), f"{ADT}:2:1: not-allowed", ""),
    ("an unset variable", LAB, ("${LAB_PORT:2576}", "${LAB_PORT}"), f"{LAB}:4:24: unset-variable", "export LAB_PORT"),
    ("no reference", LAB, ("${LAB_PORT:2576}", "${}"), f"{LAB}:4:24: bad-reference", "$${"),
    ("no such channel", ROUTES, ("[lab, adt]", "[lab, adtt]"), f"{ROUTES}:8:17: unknown-channel", 'mean "adt"?'),
    ("no such destination", ROUTES, ("to: pager", "to: pagr"), f"{ROUTES}:11:9: unknown-destination", "pager"),
    ("no such destination type", ROUTES, ("example.page", "exampel.page"), f"{ROUTES}:3:5: unknown-destination", "example.page"),
    ("a typo beside the type", ROUTES, ("head:", "haed:"), f"{ROUTES}:6:5: one-key", 'mean "head"?'),
    ("a typo in the retry", ROUTES, ("give_up", "giveup"), f"{ROUTES}:4:33: unknown-key", "give_up"),
    ("first above max", ROUTES, ("first: 1s", "first: 1h"), f"{ROUTES}:4:12: wrong-value", "swap"),
    ("no such gatherer", ROUTES, ("head:", "gather: {as: hl7.bach, most: 5}\n    head:"), f"{ROUTES}:6:18: unknown-gatherer", ""),
    ("numbers where nobody counts", ROUTES, ("head:", "sequence: true\n    head:"), f"{ROUTES}:6:15: wrong-value", "leave it out"),
    ("no connection", ROUTES, ("s: 4", "s: 0"), f"{ROUTES}:5:18: wrong-value", "at least 1"),
    ("a transform of the chart", ROUTES, ("to: pager", "send: chart\n    to: pager"), f"{ROUTES}:10:5: transform-with-chart", "send: message"),
    ("a route's chain", ROUTES, ("[{example.t", "[example.prune, {example.t"), f"{ROUTES}:10:17: chain-type", "between"),
    ("no URI", AUTHORITIES, ("urn:oid:1.2.3", "1.2.3.4"), f"{AUTHORITIES}:3:16: bad-namespace", "urn:oid"),
    ("nobody identifies", AUTHORITIES, ("true", "false"), f"{ADT}:8:1: no-authorities", "identifies: true"),
    ("no columns", TABLE, "from,too\n", f"{TABLE}:1:1: table-columns", "from,to"),
    ("a code twice", TABLE, "from,to\nK,a\nK,b\n", f"{TABLE}:3:1: table-row", "keep one"),
    ("no to", TABLE, "from,to\nK,\n", f"{TABLE}:2:1: table-row", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "change", "where", "suggestion"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_named_with_place_code_and_suggestion(
    loads: Any, file: str, change: Change, where: str, suggestion: str
) -> None:
    problems = loads({file: change})
    assert not isinstance(problems, Configuration)
    found = [p for p in problems if str(p).startswith(f"{where}:")]
    assert found, [str(p) for p in problems]
    assert suggestion in f"{found[0].text} {found[0].suggestion}"


def test_all_problems_at_once(loads: Any) -> None:
    problems = loads(
        {
            LAB: ("{port:", "{prot:"),
            ADT: ("Europe/Berlin\n", "Europe/Berlln\nextra: 1\n"),
            ROUTES: ("to: pager", "to: pagr\n    when: {PID: 1}\n    frm: x"),
            TABLE: "code,to\n",
        }
    )
    assert {(p.file, p.code) for p in problems} >= {
        (LAB, "unknown-key"),
        (LAB, "missing-setting"),
        (ADT, "unknown-timezone"),
        (ADT, "unknown-key"),
        (ROUTES, "unknown-destination"),
        (ROUTES, "duplicate-key"),
        (ROUTES, "unknown-key"),
        (TABLE, "table-columns"),
    }
    assert problems == sorted(problems)


def test_an_unreadable_channel_is_still_a_channel_for_the_routes(loads: Any) -> None:
    assert {p.code for p in loads({LAB: "a: [\n"})} == {"yaml"}


def test_an_unset_variable_is_complained_of_once(loads: Any) -> None:
    assert [p.code for p in loads({LAB: ("${LAB_PORT:2576}", "${LAB_PORT}")})] == ["unset-variable"]


def test_a_shared_source_needs_a_feed_on_every_channel(loads: Any) -> None:
    same = ("port: 2575, timeout: 500ms, largest: 64KB", 'port: "${LAB_PORT:2576}"')
    problems = loads({ADT: same})
    assert [(p.file, p.line, p.code) for p in problems] == [
        (ADT, 2, "shared-source"),
        (LAB, 4, "shared-source"),
    ]
    assert "feed:" in problems[0].suggestion


def test_two_channels_with_one_source_and_one_feed_cannot_be_told_apart(loads: Any) -> None:
    feed = "feed: {MSH-3.1: A}\nrank: 1\n"
    text = (
        "channel: {}\nsource: {{example.port: {{port: 1}}}}\nformat: hl7v2\ntimezone: UTC\n"
        + feed.replace("{", "{{").replace("}", "}}")
    )
    problems = loads({"channels/one.yaml": text.format("one"), "channels/two.yaml": text.format("two")})
    assert [str(p).split(" (")[0] for p in problems] == [
        'channels/two.yaml:5:7: shared-source: channel "one" has the same source and the same feed'
    ]


def test_a_wildcard_address_takes_the_port_of_loopback(loads: Any) -> None:
    risky = ("port: 2575", "port: 2576, host: 0.0.0.0, accept_plaintext_risk: true")
    problems = loads({ADT: risky})
    assert "port-clash" in {p.code for p in problems}


def test_two_entries_with_the_same_route_need_names(loads: Any) -> None:
    again = ("    to: pager\n", "    to: pager\n  - {from: lab, to: pager, when: {OBX-8: AA}}\n")
    (problem,) = loads({ROUTES: again})
    assert (problem.line, problem.code) == (12, "duplicate-route")
    assert "name:" in problem.suggestion


def test_no_channel_at_all(loads: Any) -> None:
    problems = loads({LAB: None, ADT: None, ROUTES: None})
    assert [p.code for p in problems] == ["no-channels"]


def test_a_yml_file_is_not_passed_over_in_silence(loads: Any) -> None:
    assert [str(p) for p in loads({"channels/x.yml": ""})] == [
        "channels/x.yml:1:1: unread-file: this file is not read (rename it to .yaml)"
    ]


def test_a_file_that_is_not_utf8(loads: Any, tmp_path: Any) -> None:
    loads()
    (tmp_path / "routes.yaml").write_bytes(b"# one\n# \xff\n")
    from engine.config import load

    problems = load(tmp_path, None, {"PAGER_TOKEN": "x"}, b"")
    assert [str(p) for p in problems] == [
        "routes.yaml:2:1: not-utf8: the file is not UTF-8 (save it as UTF-8)"
    ]


def test_a_broken_plugin_is_a_problem_with_its_line(loads: Any) -> None:
    problems = loads({"plugins/mine.py": "import json\nimport no_such_module\n"})
    assert [(p.file, p.line, p.code) for p in problems] == [("plugins/mine.py", 2, "bad-plugin")]


def test_a_plugin_whose_annotations_cannot_be_read(loads: Any) -> None:
    plugin = """
from __future__ import annotations
from engine.plugin import transform

@transform("site.unreadable")
def unreadable(message: object, *, size: NoSuchType) -> object:
    return message
"""
    (problem,) = loads({"plugins/unreadable.py": plugin})
    assert (problem.file, problem.code) == ("plugins/unreadable.py", "bad-plugin")
    assert "NoSuchType" in problem.text
    del REGISTRY["transform", "site.unreadable"]


def test_no_such_environment(loads: Any) -> None:
    (problem,) = loads(environment="tset")
    assert (problem.file, problem.code) == ("environments/tset.yaml", "unknown-environment")
    assert '"test"' in problem.suggestion
