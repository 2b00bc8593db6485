"""YAML -> Channel: positions, variables, lint, compile, the editor's schema, the channels' own tests."""

from engine.config.load import load
from engine.config.problem import Problem

__all__ = ["Problem", "load"]
