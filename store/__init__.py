"""The canonical clinical store (the chart), FHIR R4-shaped. Knows no wire and no engine."""
