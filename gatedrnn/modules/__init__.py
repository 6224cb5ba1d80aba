"""Building blocks of models: features, subsampling, softmax layers, initial values."""
