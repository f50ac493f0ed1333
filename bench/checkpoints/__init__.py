"""One source of pretrained weights a file: `Config`, `TRAINS` and `build(config, out, progress) -> facts`."""
