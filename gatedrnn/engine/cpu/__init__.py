"""The CPU runner: a layer's whole time loop as C++, printed from the traced cell."""
