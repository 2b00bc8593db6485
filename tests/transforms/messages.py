"""Synthetic messages, written by field number."""


def seg(name: str, **fields: str) -> str:
    """A segment by its fields: seg("PV1", f2="I", f19="V5")."""
    numbered = {int(number[1:]): value for number, value in fields.items()}
    return "|".join([name, *(numbered.get(n, "") for n in range(1, max(numbered) + 1))])


def msh(event: str, time: str = "20250301081700", kind: str = "ADT") -> str:
    return f"MSH|^~\\&|HIS|HOSP|CW|HOSP|{time}||{kind}^{event}|C1|P|2.5.1||||||UNICODE UTF-8"
