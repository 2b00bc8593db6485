"""HL7 v2 -> FHIR R4, driven by the map data beside this file; README.md says what is mapped and how."""

from transforms.hl7v2_to_fhir.entry import hl7v2_to_fhir

__all__ = ["hl7v2_to_fhir"]
