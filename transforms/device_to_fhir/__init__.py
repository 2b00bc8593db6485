"""Bedside devices to FHIR: a small schema for each device type, declared in YAML, makes Observations of readings."""
