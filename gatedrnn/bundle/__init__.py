"""Bundles: trained models as folders of a config, weights and tokens, which execute nothing."""
