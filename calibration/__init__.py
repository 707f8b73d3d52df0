"""Quantisation, pruning and distillation, each behind an accuracy gate."""
