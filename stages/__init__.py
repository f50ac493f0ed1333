"""One thin script a DVC stage: `python -m stages.NAME [ITEM]`."""
