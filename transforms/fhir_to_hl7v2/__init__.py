"""FHIR R4 -> HL7 v2, driven by the map data beside this file; README.md says what is mapped and how."""

from transforms.fhir_to_hl7v2.order import laboratory_order

__all__ = ["laboratory_order"]
