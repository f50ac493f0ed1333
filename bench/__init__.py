"""Reproducible evaluation of a dialogue summariser before and after tuning and alignment."""
