"""How wide, how large and how slow each part of the hardware is: the planner predicts, the generator builds by it.

Planner and generator import nothing of each other; both import this. Nothing here knows Amaranth.
"""
