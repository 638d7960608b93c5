"""Planning: engine and folding of every layer, before anything is synthesized."""

from .folding import Folding
from .plan import Plan, PlannedLayer, plan

__all__ = ["Folding", "Plan", "PlannedLayer", "plan"]
