"""Acoustic models as ONNX files: the whole model, or one frame of it for a stream."""

from gatedrnn.tasks.asr.onnx.export import export_encoder, export_step

__all__ = ["export_encoder", "export_step"]
