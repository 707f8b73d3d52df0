"""sentence-transformers, in the backend (and the precision) that ``variant`` names."""

from __future__ import annotations

from typing import Any

from measuring import Job, Many, One, main


def load(job: Job) -> tuple[One, Many]:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(job.threads)
    model = SentenceTransformer(
        job.model,
        device="cpu",
        backend=job.variant.partition("-")[0],
        local_files_only=True,
        model_kwargs=SETTINGS[job.variant](job.threads),
    )

    def encode(texts: Any) -> Any:
        return model.encode(texts, show_progress_bar=False)

    return encode, encode


def _torch(threads: int) -> dict[str, Any]:
    return {}  # set for the whole process


def _onnx(threads: int) -> dict[str, Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return {
        "provider": "CPUExecutionProvider",
        "session_options": options,
        "file_name": "onnx/model.onnx",
    }


def _openvino(threads: int, **more: str) -> dict[str, Any]:
    return {"ov_config": {"INFERENCE_NUM_THREADS": str(threads), **more}}


def _openvino_f32(threads: int) -> dict[str, Any]:
    return _openvino(threads, INFERENCE_PRECISION_HINT="f32")


SETTINGS = {
    "torch": _torch,
    "onnx": _onnx,
    "openvino": _openvino,
    "openvino-f32": _openvino_f32,
}

if __name__ == "__main__":
    main(
        load,
        (
            "sentence-transformers",
            "transformers",
            "torch",
            "optimum-onnx",
            "optimum-intel",
            "onnxruntime",
            "openvino",
        ),
    )
