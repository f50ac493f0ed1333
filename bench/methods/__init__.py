"""One way to train a variant a file: `Config`, `LEARNS_FROM` and `train(config, context) -> facts`."""
