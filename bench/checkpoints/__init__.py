"""One source of pretrained weights a file: `Config`, `TRAINS` and `build(config, out, progress) -> facts`.

A source that trains is also handed the stage's work folder: `build(config, out, progress, work)`.
"""
