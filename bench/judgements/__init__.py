"""What metrics are worth: held against what people said of dialogue summaries."""
