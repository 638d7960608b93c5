"""hwgen: from a trained CNN to a verified, multiplier-free FPGA accelerator."""

__version__ = "0.1.0"
