"""Export of fitted classifiers to ONNX, for programs without Python or scikit-learn."""

from skml.onnx._converter import register_converter
from skml.onnx._export import to_onnx
from skml.onnx._texts import WORDS

__all__ = ["WORDS", "register_converter", "to_onnx"]
