"""Planning: engine and folding of every layer, before anything is synthesized."""

from ..sizing.folding import Folding
from .outcome import Plan, PlannedFifo, PlannedLayer, PlannedPort
from .search import FILL, check_sizes, plan

__all__ = ["FILL", "Folding", "Plan", "PlannedFifo", "PlannedLayer", "PlannedPort", "check_sizes", "plan"]
