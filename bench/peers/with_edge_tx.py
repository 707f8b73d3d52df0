"""edge_tx: a bundle, and the graph that ``variant`` names."""

from __future__ import annotations

from measuring import Job, Many, One, main


def load(job: Job) -> tuple[One, Many]:
    import edge_tx

    model = edge_tx.load(job.model, graph=job.variant, threads=job.threads)
    return model.embed, model.embed


if __name__ == "__main__":
    main(load, ("onnxruntime", "openvino", "tokenizers", "numpy"))
