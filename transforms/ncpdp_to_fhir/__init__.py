"""NCPDP SCRIPT to FHIR: a prescription that came in is a MedicationRequest; an answer to one of ours says nothing."""
