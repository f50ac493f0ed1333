"""What the metrics that need no model are worth: held against what people said of dialogue summaries."""
