"""Planning: engine and folding of every layer, before anything is synthesized."""

from ..sizing.folding import Folding
from .outcome import Plan, PlannedFifo, PlannedLayer
from .search import FILL, check_sizes, plan

__all__ = ["FILL", "Folding", "Plan", "PlannedFifo", "PlannedLayer", "check_sizes", "plan"]
