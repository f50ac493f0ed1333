"""The course lab's way against ours, side by side on the same model, data and seed. See README.md here."""
