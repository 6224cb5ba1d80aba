"""Acoustic models as ONNX files: the whole model, or one frame of it for a stream."""

from gatedrnn.inference.onnx.export import export_encoder, export_step

__all__ = ["export_encoder", "export_step"]
