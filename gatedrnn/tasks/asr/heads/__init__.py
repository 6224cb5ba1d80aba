"""Heads of the acoustic model: CTC, attention, transducer."""
