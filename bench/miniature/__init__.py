"""The hermetic study's material: a grammar of dialogues, and models built from scratch. No download, all from a seed."""
