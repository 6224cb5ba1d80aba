"""Speech corpora: one reader each."""
