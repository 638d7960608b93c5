"""The hardware: Amaranth components, from a pixel stream to the AXI4-Stream core."""
