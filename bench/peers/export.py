"""Saves a model with its ONNX or OpenVINO graph, once: ``export.py BACKEND MODEL FOLDER``.

So that no peer exports while it is measured.
"""

from __future__ import annotations

import sys

from sentence_transformers import SentenceTransformer

backend, source, folder = sys.argv[1:]
model = SentenceTransformer(
    source, device="cpu", backend=backend, local_files_only=True, model_kwargs={"export": True}
)
model.save_pretrained(folder)
