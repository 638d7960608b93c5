"""TensorFlow Lite files, float and quantized to 8 bits, as ONNX models: one importer then serves both formats.

A model quantized to int8 becomes one in ONNX's QDQ form, whose input takes the *real* values that the integers of the
TFLite input stand for, ``scale * (integer - zero_point)``: for images usually the pixels 0..255 that the float model
takes too. Maps keep their order (N, H, W, C).
"""

from .convert import to_onnx

__all__ = ["to_onnx"]
