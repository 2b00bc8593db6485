"""SCRIPT messages for tests, written by hand: they share no code with what reads them."""

from __future__ import annotations

import re

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><Message DatatypesVersion="2017071" TransportVersion="2017071" '
    'TransactionDomain="SCRIPT" TransactionVersion="2017071" StructuresVersion="2017071">'
)


def newrx(
    id: str,
    order: str = "RX1",
    mrn: str = "MRN1",
    to: str = "HOUSE",
    more: str = "",
    drug: str = "Amoxicillin 500 mg",
) -> bytes:
    return f"""{HEAD}<Header><To Qualifier="D">{to}</To><From Qualifier="D">6128890368017</From>
<MessageID>{id}</MessageID><SentTime>2026-03-01T12:00:00Z</SentTime>
<PrescriberOrderNumber>{order}</PrescriberOrderNumber></Header><Body><NewRx>
<Patient><HumanPatient><Identification><MedicalRecordIdentificationNumberEHR>{mrn}</MedicalRecordIdentificationNumberEHR>
</Identification><Name><LastName>Doe</LastName><FirstName>Jane</FirstName></Name><Gender>F</Gender>
<DateOfBirth><Date>1980-02-03</Date></DateOfBirth></HumanPatient></Patient>
<Pharmacy><Identification><NCPDPID>6557744</NCPDPID></Identification>
<BusinessName>Corner Drugs</BusinessName></Pharmacy>
<Prescriber><NonVeterinarian><Identification><NPI>1003000126</NPI></Identification>
<Name><LastName>Okafor</LastName><FirstName>Ijeoma</FirstName></Name></NonVeterinarian></Prescriber>
<MedicationPrescribed><DrugDescription>{drug}</DrugDescription>
<DrugCoded><DrugDBCode><Code>308182</Code><Qualifier>SCD</Qualifier></DrugDBCode></DrugCoded>
<Quantity><Value>21</Value><CodeListQualifier>38</CodeListQualifier>
<QuantityUnitOfMeasure><Code>C48480</Code></QuantityUnitOfMeasure></Quantity><DaysSupply>7</DaysSupply>
<WrittenDate><Date>2026-03-01</Date></WrittenDate><Substitutions>0</Substitutions><NumberOfRefills>1</NumberOfRefills>
<Sig><SigText>One capsule three times a day</SigText></Sig>{more}</MedicationPrescribed>
</NewRx></Body></Message>""".encode()


def answer(kind: str, id: str, relates: str, code: str) -> bytes:
    """A Status or an Error."""
    return f"""{HEAD}<Header><To Qualifier="D">HOUSE</To><From Qualifier="P">6557744</From><MessageID>{id}</MessageID>
<RelatesToMessageID>{relates}</RelatesToMessageID><SentTime>2026-03-01T12:00:05Z</SentTime></Header>
<Body><{kind}><Code>{code}</Code></{kind}></Body></Message>""".encode()


def text(body: bytes, name: str) -> str:
    """The text of the first element of that name."""
    found = re.search(rf"<(?:\w+:)?{name}\b[^>]*>([^<]*)<", body.decode())
    return found[1].strip() if found else ""
