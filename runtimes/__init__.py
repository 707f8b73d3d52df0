"""What ships to the device: sessions and the model. No torch, no transformers, no onnx."""
