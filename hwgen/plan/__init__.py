"""Planning: engine and folding of every layer, before anything is synthesized."""

from ..folding import Folding
from .search import FILL, Plan, PlannedLayer, plan

__all__ = ["FILL", "Folding", "Plan", "PlannedLayer", "plan"]
