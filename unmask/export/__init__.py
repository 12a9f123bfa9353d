"""From a training run to weights that can be used: safetensors, ONNX twin, license and source."""
