"""FHIR to NCPDP SCRIPT: a signed prescription of the chart is told to its pharmacy."""
