"""Alerts: what is watched, what is open, who is told."""
