"""Exported models, run by onnxruntime: nothing here imports torch."""
