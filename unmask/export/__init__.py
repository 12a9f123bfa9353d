"""From a training run to weights that can be used: safetensors, ONNX version, license and source."""
