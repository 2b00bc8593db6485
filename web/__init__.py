"""HTTP: the FHIR API (one file per interaction), the admin API, health and metrics."""

from web.app import build

__all__ = ["build"]
