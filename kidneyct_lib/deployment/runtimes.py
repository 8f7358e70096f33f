"""Run an exported file: RGB images in, a dict of named arrays out, whatever the format."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

Runner = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Images RGB uint8 (N, H, W, 3) to the outputs of `inference_graph.build`, by name."""


def onnx(path: Path, threads: int) -> Runner:
    """Run an ONNX file with ONNX Runtime on so many threads (0: one per core)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Weights in 8 bits are restored once, when the file is opened, not at every call.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    (given,) = (node.name for node in session.get_inputs())
    return lambda rgb: dict(zip(names, session.run(names, {given: rgb}), strict=True))


def litert(path: Path, threads: int) -> Runner:
    """Run a .tflite file with LiteRT on so many threads (0: as LiteRT chooses)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads or None)
    run = interpreter.get_signature_runner()
    (given,) = run.get_input_details()
    return lambda rgb: run(**{given: rgb})


RUNNERS: Mapping[str, Callable[[Path, int], Runner]] = {"onnx": onnx, "litert": litert}
