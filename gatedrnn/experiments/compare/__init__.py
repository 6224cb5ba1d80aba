"""Tables of trainings: networks, seeds and data, each a run of a recipe."""
