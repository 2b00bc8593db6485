"""HL7 v2 over TCP: the Minimal Lower Layer Protocol (HL7 v2.5.1 Implementation Guide, appendix C), both ways."""
