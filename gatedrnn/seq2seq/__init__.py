"""Attention decoders around any recurrence, with their searches and their training."""
