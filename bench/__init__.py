"""Measuring on this device: every cell in a fresh process."""
