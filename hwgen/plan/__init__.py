"""Planning: engine and folding of every layer, before anything is synthesized."""

from ..sizing.folding import Folding
from .outcome import Plan, PlannedFifo, PlannedLayer
from .search import FILL, plan

__all__ = ["FILL", "Folding", "Plan", "PlannedFifo", "PlannedLayer", "plan"]
