"""Two states of a study held against each other: what changed (`bench diff`), and whether it got worse (`bench gate`).

Reads reports, never models: no torch, seconds on a CPU.
"""
