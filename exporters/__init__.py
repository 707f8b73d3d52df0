"""From a checkpoint to graphs. Needs the ``export`` extra: torch, transformers, optimum."""
