"""One source of pretrained weights a file: `Config` and `build(config, out, progress) -> facts`."""
