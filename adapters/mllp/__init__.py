"""HL7 v2 over TCP, both ways: the Minimal Lower Layer Protocol (HL7 v2 Implementation Guide, appendix C)."""
