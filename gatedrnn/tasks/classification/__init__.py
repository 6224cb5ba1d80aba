"""Classification of sequences: sentences and images."""
