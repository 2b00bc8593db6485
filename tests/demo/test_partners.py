"""Each partner of the story does what it is told to, the bad things too."""

from __future__ import annotations

import json
import queue
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.request
import xml.etree.ElementTree as ET
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapters.x12.split import x12
from demo import mllp
from demo.partners import certificate, claims, clearinghouse, front_end, lab_system, modality, monitor, pacs
from demo.partners.pharmacy import ERROR, STATUS, Pharmacy, kind_of, text
from engine.message import Part, Reply
from engine.plugin import Feed
from formats import fhir, hl7v2
from store.identity import Identity
from tests.demo.partners import ended, partner

CHANNELS = Path(__file__).parents[2] / "channels"
OML = (CHANNELS / "golden" / "lis_lab_order.hl7").read_bytes()
FEED = Feed("claims", ZoneInfo("America/New_York"), Identity(b"k" * 16))
dcmtk = pytest.mark.skipif(not shutil.which("storescu"), reason="DCMTK is not installed")
mosquitto = pytest.mark.skipif(
    not shutil.which("mosquitto", path="/usr/sbin:/usr/bin"), reason="no Mosquitto"
)


def exchange(port: int, body: bytes) -> bytes:
    with mllp.connect(f"127.0.0.1:{port}") as link:
        mllp.send(link, body)
        return next(mllp.blocks(link), b"")


# --- the laboratory


@pytest.fixture
def results():
    """Where a laboratory sends results: (HOST:PORT, what arrived). Each is accepted."""
    listener = socket.create_server(("127.0.0.1", 0))
    arrived: list[bytes] = []

    def serve() -> None:
        try:
            link, _ = listener.accept()
        except OSError:  # nobody came
            return
        for body in mllp.blocks(link):
            arrived.append(body)
            mllp.send(link, b"MSH|^~\\&|||||||ACK|1|P|2.5.1\rMSA|CA|" + mllp.field(body, "MSH", 10).encode())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}", arrived
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_the_laboratory_accepts_an_order_and_sends_its_results(results, tmp_path) -> None:
    address, arrived = results
    with partner("lab_system", tmp_path, "--results", address) as lab:
        ack = exchange(lab.addresses["lis"], OML)
        assert (mllp.field(ack, "MSA", 1), mllp.field(ack, "MSA", 2)) == ("AA", "order1-1")
        assert lab.says()["order"] == "L70001"
        assert lab.says()["ack"] == "CA"
    found = hl7v2.parse(arrived[0])
    assert isinstance(found, hl7v2.Message)
    assert found.kind == "ORU^R01"
    assert found.get("OBR-2") == "L70001^HIS"
    assert found.get("OBR-4.1") == "24323-8"
    assert found.first("PID").line == hl7v2.parse(OML).first("PID").line
    assert len(found.all("OBX")) > 10


def test_an_order_that_comes_again_is_answered_again_and_done_once(results) -> None:
    server = lab_system.LabSystem(results[0], "error")
    assert b"MSA|AR|order1-1" in server.take(OML)
    assert b"MSA|AR|order1-1" in server.take(OML)
    server.server_close()


def test_the_laboratory_is_silent_or_answers_garbage_when_told_to() -> None:
    silent, garbage = (lab_system.LabSystem("127.0.0.1:9", b) for b in ("silent", "garbage"))
    assert silent.take(OML) is None
    assert b"MSA" not in garbage.take(OML)
    silent.server_close()
    garbage.server_close()


# --- the pharmacy

NEWRX = (
    b'<Message><Header><To Qualifier="P">1234567</To><From Qualifier="D">7701</From><MessageID>CW1</MessageID>'
    b"</Header><Body><NewRx><MedicationPrescribed><DrugDescription>Lisinopril</DrugDescription>"
    b"</MedicationPrescribed></NewRx></Body></Message>"
)


def test_the_pharmacy_answers_over_tls_about_the_message_that_came(tmp_path) -> None:
    made = certificate.make(tmp_path)
    if made is None:
        pytest.skip("OpenSSL is not installed")
    with partner("pharmacy", tmp_path, "--certificate", made[0], "--key", made[1]) as pharmacy:
        url = pharmacy.addresses["pharmacy"]
        trusting = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(made[0])))
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusting)
        answer = ET.fromstring(direct.open(url, NEWRX, timeout=30).read())
        assert pharmacy.says()["drug"] == "Lisinopril"
    assert kind_of(answer) == "Status"
    assert [text(answer, n) for n in ("RelatesToMessageID", "To", "From")] == ["CW1", "7701", "1234567"]


def test_the_pharmacy_refuses_is_silent_or_answers_garbage_when_told_to() -> None:
    def said(behave: str) -> tuple[int, bytes] | None:
        pharmacy = Pharmacy(behave)
        pharmacy.server_close()
        return pharmacy.take(NEWRX)

    assert ERROR.encode() in said("error")[1]
    assert said("silent") is None
    with pytest.raises(ET.ParseError):
        ET.fromstring(said("garbage")[1])


def test_a_late_pharmacy_posts_its_answer_where_it_is_told_to() -> None:
    posted: list[bytes] = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answers)
    pharmacy = Pharmacy("late", f"http://127.0.0.1:{server.server_port}/")
    assert pharmacy.take(NEWRX) == (202, b"")
    assert pharmacy.take(NEWRX) == (202, b"")  # the same again is not answered a second time
    server.handle_request()
    assert STATUS.encode() in posted[0]
    assert b"<RelatesToMessageID>CW1<" in posted[0]
    pharmacy.server_close()
    server.server_close()


# --- pictures


def picture(folder: Path, **elements: str) -> Path:
    from pydicom.dataset import Dataset

    item = Dataset()
    for name, value in {"PatientID": "MRN10021", "PatientName": "Ekström^Marta", **elements}.items():
        setattr(item, name, value)
    return modality.written(modality.image(item, datetime(2025, 3, 3, 9)), folder, "accept")


@dcmtk
@pytest.mark.parametrize("archive", [pacs.dcmtk, pacs.python])
def test_the_archive_stores_what_it_is_sent(archive, tmp_path, monkeypatch) -> None:
    if archive is pacs.python:
        monkeypatch.setenv("PATH", "/nowhere")
    with partner("pacs", tmp_path, "--folder", tmp_path) as found:
        port = found.addresses["pacs"]
        monkeypatch.undo()
        sent = subprocess.run(
            ["storescu", "-aec", "PACS", "127.0.0.1", str(port), picture(tmp_path)], check=False
        )
        assert sent.returncode == 0
        instance = found.says()["instance"]
    assert any(f.name.endswith(instance) for f in tmp_path.iterdir())


@dcmtk
def test_the_archive_refuses_when_told_to(tmp_path) -> None:
    with partner("pacs", tmp_path, "--behave", "error") as found:
        port = found.addresses["pacs"]
        sent = subprocess.run(
            ["storescu", "127.0.0.1", str(port), picture(tmp_path)], check=False, capture_output=True
        )
        assert sent.returncode != 0


@pytest.fixture
def worklist():
    """A worklist with one step of one patient, which also takes pictures: (port, pictures)."""
    from pydicom.dataset import Dataset
    from pynetdicom import AE, evt
    from pynetdicom.sop_class import ModalityWorklistInformationFind, Verification

    taken: list[Dataset] = []

    def find(event: evt.Event):
        item = Dataset()
        item.SpecificCharacterSet = "ISO_IR 192"
        item.PatientID, item.PatientName = event.identifier.PatientID, "Ekström^Marta"
        item.AccessionNumber, item.StudyInstanceUID = "A70021", "1.2.3.4"
        yield 0xFF00, item

    def store(event: evt.Event) -> int:
        taken.append(event.dataset)
        return 0x0000

    entity = AE(ae_title="CHARTWIRE")
    for context in (ModalityWorklistInformationFind, Verification, modality.CR):
        entity.add_supported_context(context)
    handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_STORE, store)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    yield server.server_address[1], taken
    server.shutdown()


@dcmtk
def test_the_x_ray_room_sends_the_picture_that_the_worklist_asks_for(worklist, tmp_path) -> None:
    port, taken = worklist
    status, said = ended("modality", tmp_path, f"127.0.0.1:{port}", "--mrn", "MRN10021")
    assert status == 0
    assert said[0] == {"at": "worklist", "items": 1, "accessions": ["A70021"]}
    assert said[1]["stored"]
    (image,) = taken
    assert (image.PatientID, image.AccessionNumber, image.StudyInstanceUID) == (
        "MRN10021",
        "A70021",
        "1.2.3.4",
    )
    assert str(image.PatientName) == "Ekström^Marta"


@dcmtk
def test_the_x_ray_room_forgets_the_patient_when_told_to(worklist, tmp_path) -> None:
    port, taken = worklist
    ended("modality", tmp_path, f"127.0.0.1:{port}", "--mrn", "MRN10021", "--behave", "error")
    assert [image.PatientID for image in taken] == [""]


# --- claims

MARTA = claims.Insured("MRN10021", "EKSTROM", "MARTA", "19640411", "F", "HHP7700123", "MRN10021-1")


def answered(body: bytes, folder: Path) -> tuple[list[Part], list[str]]:
    """What the engine's splitter makes of a file: parts, and its answers."""
    file = folder / "file.x12"
    file.write_bytes(body)
    found = list(x12(file, FEED, False))
    replies = [kind for f in found if isinstance(f, Reply) for kind in clearinghouse.kinds(f.body)]
    return [f for f in found if isinstance(f, Part)], replies


@pytest.mark.parametrize(
    ("does", "behave", "parts", "answers"),
    [
        ("claim", "accept", 1, ["TA1 A", "999 A"]),
        ("claim", "error", 1, ["TA1 A", "999 R"]),
        ("payment", "accept", 1, ["TA1 A", "999 A"]),
        ("payment", "error", 1, ["TA1 A", "999 A"]),  # that it does not balance is for the chart to say
    ],
)
def test_the_clearinghouse_is_answered(does, behave, parts, answers, tmp_path) -> None:
    found, replies = answered(clearinghouse.body_of(does, behave, MARTA, 7), tmp_path)
    assert len(found) == parts
    assert replies == answers


def test_the_clearinghouse_picks_up_its_answers(tmp_path) -> None:
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / "old").write_bytes(b"")
    _, ready = answered(clearinghouse.body_of("claim", "accept", MARTA, 7), tmp_path)
    assert ready
    replies = [f.body for f in x12(tmp_path / "file.x12", FEED, False) if isinstance(f, Reply)]
    for n, body in enumerate(replies):
        (answers / f"{n}.x12").write_bytes(body)
    assert clearinghouse.answers(answers, 2, {"old"}) == ["TA1 A", "999 A"]


def test_a_dropped_file_is_never_half_there(tmp_path) -> None:
    status, said = ended("clearinghouse", tmp_path, "claim", str(tmp_path / "in"), "--behave", "twice")
    assert status == 0
    assert [f.name for f in sorted((tmp_path / "in").iterdir())] == sorted(s["dropped"] for s in said)
    assert len({f.read_bytes() for f in (tmp_path / "in").iterdir()}) == 1


# --- the front end


def test_what_the_front_end_signs_is_valid() -> None:
    made = list(front_end.orders("p1", "e1", "70021", datetime(2025, 3, 3, 9, tzinfo=FEED.timezone)))
    people = [resource for _, _, resource in front_end.people()]
    assert [m["resourceType"] for m in made] == ["ServiceRequest", "ServiceRequest", "MedicationRequest"]
    for resource in [*people, *made]:
        assert fhir.validate_resource(json.loads(json.dumps(resource))) == []


# --- the bedside


@mosquitto
def test_the_monitor_publishes_through_the_broker(tmp_path) -> None:
    import paho.mqtt.client as mqtt

    arrived: queue.Queue[bytes] = queue.Queue()
    subscribed = threading.Event()
    with partner("broker", tmp_path) as broker:
        port = broker.addresses["broker"]
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = lambda client, data, message: arrived.put(message.payload)
        client.connect("127.0.0.1", port)
        client.subscribe("ward/+/vitals", qos=1)
        client.loop_start()
        assert subscribed.wait(30)
        status, (said,) = ended("monitor", tmp_path, f"127.0.0.1:{port}", "--mrn", "MRN10021", "--count", "3")
        assert status == 0
        assert said == {"at": "monitor", "values": 3, "published": 3, "acknowledged": 3}
        found = [json.loads(arrived.get(timeout=30)) for _ in range(3)]
        client.disconnect()
        client.loop_stop()
    assert {f["patient"] for f in found} == {"MRN10021"}
    assert len({f["takenAt"] for f in found}) == 3


def test_the_monitor_misbehaves_when_told_to() -> None:
    at = datetime(2025, 3, 3, 9)
    twice = list(monitor.readings("M", 2, at, "twice"))
    assert len(twice) == 4
    assert len(set(twice)) == 2
    assert json.loads(next(monitor.readings("M", 1, at, "error")))["hr"] > 300
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(next(monitor.readings("M", 1, at, "garbage")))
