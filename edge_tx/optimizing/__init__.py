"""Prune, distil, export, quantise and measure as one recipe, and keep the best.

This room stands above the others: it is the only one beside the command line that may call
exporters, calibration and bench together. :mod:`~edge_tx.optimizing.walk` decides what is tried
and in which order and knows none of them; :mod:`~edge_tx.optimizing.workshop` does the work.
"""
