"""One patient's story, chapter by chapter: each over another wire, each with what must be true after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from demo import mllp
from demo.cast import MARTA
from demo.partners import front_end
from demo.partners.lab_system import KALIUM
from demo.sent import adt
from demo.stage import Json, Stage
from demo.wording import pv1

NUMBER = f"70{MARTA.number:03}"
"""What the numbers of her orders end in."""

Play = Callable[[Stage], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Chapter:
    """`play` says what is wrong, each in a sentence. `channels` must be there; `told` are the destinations and
    channels that her case must name after it. `programs` are what it needs of the machine, by the names of their
    Debian packages; without them it is left out."""

    title: str
    play: Play
    channels: tuple[str, ...]
    told: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    @property
    def wire(self) -> str:
        return self.title.partition(":")[0]

    def faults(self, stage: Stage) -> Iterator[str]:
        """What is wrong after it was played."""
        if gone := [name for name in self.channels if name not in stage.sources]:
            yield f"there is no channel {', '.join(gone)}"
        else:
            yield from self.play(stage)


def one(stage: Stage, type: str, **parameters: str) -> Json:
    """The one match of a search; {} if there is none or more."""
    found = stage.until(lambda: stage.found(type, **parameters)) or [{}]
    return found[0] if len(found) == 1 else {}


def her(stage: Stage) -> str:
    """The id under which the chart knows her."""
    id: str = one(stage, "Patient", identifier=MARTA.mrn).get("id", "nobody")
    return id


# --- the hospital information system


def say(stage: Stage, event: str, at: datetime, where: str, left: datetime | None = None) -> str:
    """One ADT message; the acknowledgement's code."""
    visit = pv1(MARTA, MARTA.visit, where, "I", at, left)
    with mllp.connect(stage.sources["adt"]) as link:
        mllp.send(link, adt(MARTA, event, at, visit).body)
        return mllp.field(next(mllp.blocks(link), b""), "MSA", 1)


def admitted(stage: Stage) -> Iterator[str]:
    ack = say(stage, "A01", datetime.now(front_end.ZONE), "CARD^12^1")
    if ack != "AA":
        yield f"the admission was answered {ack or 'nothing'}"
    if one(stage, "Encounter", identifier=MARTA.visit).get("status") != "in-progress":
        yield "the chart does not show her stay"


def discharged(stage: Stage) -> Iterator[str]:
    now = datetime.now(front_end.ZONE)
    if (ack := say(stage, "A03", now, "CARD^12^1", now)) != "AA":
        yield f"the discharge was answered {ack or 'nothing'}"
    if not stage.until(lambda: one(stage, "Encounter", identifier=MARTA.visit).get("status") == "finished"):
        yield "the chart does not show that her stay is over"


# --- the front end


def signed(stage: Stage) -> Iterator[str]:
    who = ("--mrn", MARTA.mrn, "--visit", MARTA.visit, "--number", NUMBER)
    said = stage.act("front_end", "order", f"{stage.http}/fhir", "--token", stage.token, *who)
    for each in said:
        if each["status"] != 200:
            yield f"the transaction was answered {each['status']}: {each['diagnostics']}"
        elif len(each["made"]) != 5:
            yield f"five entries were posted, {len(each['made'])} answered"
    made = [where.split("/")[-4:-2] for each in said for where in each["made"]]
    types = Counter(where[0] for where in made if where)
    if types != {"Practitioner": 1, "Organization": 1, "ServiceRequest": 2, "MedicationRequest": 1}:
        yield f"what was made is {dict(types)}"


def taken_back(stage: Stage) -> Iterator[str]:
    if (before := ask_worklist(stage)) != [f"A{NUMBER}"]:
        yield f"the worklist has {len(before)} items for her before, not one"
    number = f"R{NUMBER}"
    said = stage.act("front_end", "cancel", f"{stage.http}/fhir", "--token", stage.token, "--number", number)
    if [s["status"] for s in said] != [200]:
        yield f"the cancellation was answered {[s['status'] for s in said]}"
    if not stage.until(lambda: not ask_worklist(stage)):
        yield "the cancelled order is still on the worklist"


def ask_worklist(stage: Stage) -> list[str]:
    """The accession numbers on the worklist under her number."""
    said = stage.act("modality", stage.sources["imaging"], "--mrn", MARTA.mrn, "--only-ask")
    numbers: list[str] = said[0]["accessions"]
    return numbers


# --- the laboratory


def examined(stage: Stage) -> Iterator[str]:
    number = f"L{NUMBER}"
    if len(stage.until(lambda: stage.heard("lis", order=number, does="NW", again=False)) or ()) != 1:
        yield "the laboratory has not heard of the order, or more than once"
    if not stage.until(lambda: stage.heard("results", order=number, ack="CA")):
        yield "the results were not acknowledged"
    found = stage.until(lambda: stage.found("Observation", patient=her(stage), code="2823-3")) or []
    if [str(o.get("valueQuantity", {}).get("value")) for o in found] != [str(KALIUM)]:
        yield f"the chart does not have one potassium of {KALIUM}"


# --- pictures


def pictured(stage: Stage) -> Iterator[str]:
    said = stage.act("modality", stage.sources["imaging"], "--mrn", MARTA.mrn)
    asked = [s for s in said if s["at"] == "worklist"]
    if [s["accessions"] for s in asked] != [[f"A{NUMBER}"]]:
        yield f"the worklist has {asked and asked[0]['items']} items for her, not the one order"
    sent = [s for s in said if s["at"] == "modality"]
    if not all(s["stored"] for s in sent):
        yield "the engine did not take the picture"
    for each in sent:
        if not stage.until(partial(stage.heard, "pacs", instance=each["instance"])):
            yield "the picture has not come to the archive"
    if len(stage.until(lambda: stage.found("ImagingStudy", patient=her(stage))) or ()) != 1:
        yield "the chart does not have one imaging study of her"


# --- the pharmacy


def prescribed(stage: Stage) -> Iterator[str]:
    heard = stage.until(lambda: stage.heard("pharmacy", kind="NewRx", again=False)) or []
    if len(heard) != 1:
        yield f"the pharmacy has heard of {len(heard)} prescriptions, not of one"
    answers = stage.until(lambda: list(stage.messages("pharmacy"))) or []
    if [(a["kind"], a["state"]) for a in answers] != [("Status", "STORED")]:
        yield f"the engine has {[(a['kind'], a['state']) for a in answers]} of the pharmacy, not one Status"


# --- the bedside


def watched(stage: Stage) -> Iterator[str]:
    said = stage.act("monitor", f"127.0.0.1:{stage.addresses['broker']}", "--mrn", MARTA.mrn)
    sent = sum(s["values"] for s in said)
    who = her(stage)
    stage.until(lambda: len(_beats(stage, who)) >= sent)
    if (found := len(_beats(stage, who))) != sent:
        yield f"the monitor has sent {sent} heart rates, the chart has {found}"


def _beats(stage: Stage, who: str) -> list[Json]:
    return stage.found("Observation", patient=who, code="8867-4")


# --- money


def billed(stage: Stage) -> Iterator[str]:
    who = f"{MARTA.mrn}^{MARTA.family}^{MARTA.given}^{MARTA.birth}^{MARTA.sex}^HHP7700123"
    numbered = ("--number", str(MARTA.number), "--patient", who)
    told = ("--answers", str(stage.place / "clearinghouse"))
    said = stage.act("clearinghouse", "claim", str(stage.place / "claims"), *told, *numbered)
    answered = [s["answered"] for s in said if "answered" in s]
    if answered != [["TA1 A", "999 A"]]:
        yield f"the claim was answered {answered}, not with TA1 and 999"
    yield from ended(stage, "claims")
    stage.act("clearinghouse", "payment", str(stage.place / "remittances"), *numbered)
    yield from ended(stage, "remittances")


def ended(stage: Stage, channel: str) -> Iterator[str]:
    """The file of a channel was taken apart, and its one part is in the chart."""
    stage.until(lambda: len(_done(stage, channel)) == 2)
    if (states := sorted(_done(stage, channel))) != ["SPLIT", "STORED"]:
        yield f"{channel}: the engine shows {', '.join(states) or 'nothing'}, not a file and its one part"


def _done(stage: Stage, channel: str) -> list[str]:
    going = ("RECEIVED", "SPLITTING")
    return [m["state"] for m in stage.messages(channel) if m["state"] not in going]


CHAPTERS = (
    Chapter("ADT over MLLP: she is admitted with chest pain", admitted, ("adt",), ("adt", "ward_board")),
    Chapter(
        "FHIR: a physician signs a test, an X-ray, a prescription",
        signed, ("fhir",), ("fhir",), ("front_end",),
    ),
    Chapter(
        "OML out, ORU in: the laboratory does the test",
        examined, ("fhir", "lab_orders", "lab_results"), ("lab_orders", "lis", "lab_results"),
        ("front_end", "lab_system"),
    ),
    Chapter(
        "DICOM: the X-ray is taken as the worklist says, and archived",
        pictured, ("fhir", "imaging", "worklist"), ("worklist", "imaging", "pacs"),
        ("front_end", "modality", "pacs"), ("dcmtk",),
    ),
    Chapter(
        "FHIR: the X-ray order is closed and leaves the worklist",
        taken_back, ("fhir", "worklist"), ("fhir",), ("front_end", "modality"), ("dcmtk",),
    ),
    Chapter(
        "NCPDP SCRIPT: the pharmacy takes the prescription",
        prescribed, ("fhir", "prescriptions", "pharmacy"), ("prescriptions", "pharmacy"),
        ("front_end", "pharmacy"),
    ),
    Chapter(
        "MQTT: a monitor at her bed", watched, ("vitals",), ("vitals",), ("monitor",), ("mosquitto",)
    ),
    Chapter("ADT over MLLP: she goes home", discharged, ("adt",), ("adt", "ward_board")),
    Chapter(
        "X12: her stay is claimed and paid",
        billed, ("claims", "remittances"), ("claims", "clearinghouse"), ("clearinghouse",),
    ),
)  # fmt: skip


def untold(chapters: Iterable[Chapter], events: Sequence[Json]) -> Iterator[str]:
    """What her case lacks of these chapters; and whether it is one timeline."""
    named = {event["who"] for event in events}
    for who in sorted({who for chapter in chapters for who in chapter.told} - named):
        yield f"the case does not name {who}"
    if [e["at"] for e in events] != sorted(e["at"] for e in events):
        yield "the case is not in the order of time"
    for event in events:
        if event["direction"] == "out" and event["state"] != "DELIVERED":
            yield f"{event['who']}: the case shows a delivery that is {event['state']}"
