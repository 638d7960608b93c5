"""Export of quantized networks to formats that other tools read."""
