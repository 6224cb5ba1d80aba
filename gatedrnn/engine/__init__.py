"""Runs any declared cell over time. Knows no speech, and no cell by name."""

from gatedrnn.engine.plan import DeclarationError, Plan, plan
from gatedrnn.engine.run import run
from gatedrnn.engine.types import Result

__all__ = ["DeclarationError", "Plan", "Result", "plan", "run"]
