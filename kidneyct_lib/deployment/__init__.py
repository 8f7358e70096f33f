"""Export to ONNX and LiteRT, parity with Keras, latency, and predictions of images and series."""
