"""From a trained classifier to a folder that onnxruntime runs."""
