"""Simulation: benches that run inside a simulator, and what starts them."""
