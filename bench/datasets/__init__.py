"""One dataset a file: `Config` and `load(config) -> {split: [Example]}`."""
