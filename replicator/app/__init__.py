"""Composition root: the only room that knows both services and adapters."""

from replicator.app.application import Application
from replicator.app.wiring.target import RealTarget

__all__ = ["Application", "RealTarget"]
