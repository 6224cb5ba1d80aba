"""The equations once more, in NumPy float64, one frame and one sequence at a time.

Written from the papers' equations alone and kept free of the package's code: every network is
compared with this file.
"""

from __future__ import annotations

import numpy as np


def s(z):
    return 1.0 / (1.0 + np.exp(-z))


def zero(w, name, default=0.0):
    """A weight, or nothing where the network has none (a bias with bias=False)."""
    return w.get(name, default)


def lstmp_gates(w, x, h, c, peep):
    wi, wf = (w["w_ci"] * c, w["w_cf"] * c) if peep else (0.0, 0.0)
    i = s(w["W_xi"] @ x + w["W_hi"] @ h + wi + zero(w, "b_i"))
    f = s(w["W_xf"] @ x + w["W_hf"] @ h + wf + zero(w, "b_f"))
    g = np.tanh(w["W_xc"] @ x + w["W_hc"] @ h + zero(w, "b_c"))
    return i, f, g


def lstmp_output(w, x, h, c, peep):
    wo = w["w_co"] * c if peep else 0.0
    o = s(w["W_xo"] @ x + w["W_ho"] @ h + wo + zero(w, "b_o"))
    m = o * np.tanh(c)
    return w["W_p"] @ m if "W_p" in w else m


def lstmp(w, x, h, c, below, first, peephole=True):
    i, f, g = lstmp_gates(w, x, h, c, peephole)
    new = f * c + i * g
    return lstmp_output(w, x, h, new, peephole), new


def highway(w, x, h, c, below, first, peephole=True, drop=0.0):
    if first:
        return lstmp(w, x, h, c, below, first, peephole)
    i, f, g = lstmp_gates(w, x, h, c, peephole)
    d = s(w["W_xd"] @ x + w["w_cd"] * c + w["w_ld"] * below + zero(w, "b_d"))
    new = d * below + f * c + i * g
    return lstmp_output(w, x, h, new, peephole), new


def depth_gated(
    w, x, h, c, below, first, coupled_forget=False, peephole="diag", first_layer="plain",
    preset=None,
):  # fmt: skip
    if preset == "cnn":
        coupled_forget, peephole, first_layer = True, "full", "input"

    def peep(gate, cell):
        if peephole == "full":
            return w[f"W_c{gate}"] @ cell
        return w[f"w_c{gate}"] * cell if peephole == "diag" else 0.0

    i = s(w["W_xi"] @ x + w["W_hi"] @ h + peep("i", c) + zero(w, "b_i"))
    if coupled_forget:
        f = 1.0 - i
    else:
        f = s(w["W_xf"] @ x + w["W_hf"] @ h + peep("f", c) + zero(w, "b_f"))
    new = f * c + i * np.tanh(w["W_xc"] @ x + w["W_hc"] @ h + zero(w, "b_c"))
    if not first:
        d = s(w["W_xd"] @ x + w["w_cd"] * c + w["w_ld"] * below + zero(w, "b_d"))
        new = new + d * below
    elif first_layer == "input":
        d = s(w["W_xd"] @ x + w["w_cd"] * c + zero(w, "b_d"))
        new = new + d * (w["W_x0"] @ x)
    o = s(w["W_xo"] @ x + w["W_ho"] @ h + peep("o", new) + zero(w, "b_o"))
    return o * np.tanh(new), new


def residual(
    w, x, h, c, below, first, output_peephole=None, first_layer_shortcut="project"
):  # fmt: skip
    K, N = len(c), len(h)
    if output_peephole is None:
        output_peephole = "diag" if K == N else "full"
    i, f, g = lstmp_gates(w, x, h, c, True)
    new = f * c + i * g
    z = w["W_xo"] @ x + w["W_ho"] @ h + zero(w, "b_o")
    if output_peephole == "full":
        z = z + w["W_co"] @ new
    elif output_peephole == "diag":
        z = z + w["w_co"] * new
    inner = w["W_p"] @ np.tanh(new) if "W_p" in w else np.tanh(new)
    if not (first and first_layer_shortcut == "none"):
        inner = inner + (x if len(x) == N else w["W_h"] @ x)
    return s(z) * inner, new


SLIM_GATES = {  # variant: terms of a gate's pre-activation
    "base": "Wx Uh b", "1": "Uh b", "2": "Uh", "3": "b",
    "4": "u", "5": "u b", "10": "u", "11": "u b",
}  # fmt: skip


def slim(
    w, x, h, c, below, first, variant="base", forget_const=None, gate_activation="sigmoid",
    activation="tanh",
):  # fmt: skip
    variant = str(variant)
    act = {"tanh": np.tanh, "sigmoid": s, "relu": lambda z: np.maximum(z, 0.0)}[activation]
    sigma = s if gate_activation == "sigmoid" else lambda z: np.clip(0.2 * z + 0.5, 0.0, 1.0)

    def gate(g, terms):
        z = np.zeros(len(c))
        for term in terms.split():
            if term == "Wx":
                z = z + w[f"W_x{g}"] @ x
            elif term == "Uh":
                z = z + w[f"W_h{g}"] @ h
            elif term == "u":
                z = z + w[f"u_{g}"] * h
            else:
                z = z + zero(w, f"b_{g}")
        return sigma(z)

    if variant in SLIM_GATES:
        i, f, o = (gate(g, SLIM_GATES[variant]) for g in "ifo")
    elif variant in ("4a", "5a"):
        i = gate("i", "u b" if variant == "5a" else "u")
        f, o = 0.96 if forget_const is None else forget_const, 1.0
    else:
        i, f, o = 1.0, 0.59 if forget_const is None else forget_const, 1.0
    recurrent = w["u_c"] * h if variant in ("10", "11", "C6") else w["W_hc"] @ h
    new = f * c + i * act(w["W_xc"] @ x + recurrent + zero(w, "b_c"))
    return o * act(new), new


def beta(w, x, h, c, below, first, variant="5g", prior_weight=0.0, prior_shape=0.5):
    """Evaluation: every gate is the mean of its Beta marginal."""
    count = {"beta": 4, "3g": 3, "5g": 5}[variant]
    a = [None]
    for k in range(1, count + 1):
        z = w[f"W_xa{k}"] @ x + w[f"W_ha{k}"] @ h + zero(w, f"b_a{k}")
        a.append(np.logaddexp(0.0, z) + 1e-3)
    if variant == "beta":
        i, f = a[1] / (a[1] + a[2]), a[3] / (a[3] + a[4])
    elif variant == "3g":
        i, f = a[2] / (a[2] + a[3]), a[1] / (a[1] + a[3])
    else:
        i = (a[1] + a[3]) / (a[1] + a[3] + a[4] + a[5])
        f = (a[2] + a[4]) / (a[2] + a[3] + a[4] + a[5])
    new = f * c + i * np.tanh(w["W_xc"] @ x + w["W_hc"] @ h + zero(w, "b_c"))
    return s(w["W_xo"] @ x + w["W_ho"] @ h + zero(w, "b_o")) * np.tanh(new), new


def g2(w, x, h, c, below, first, p=0.2, tau=0.9):
    """Evaluation: an LSTM without peepholes."""
    return lstmp(w, x, h, c, below, first, peephole=False)


def coupled(w, x, h, c, below, first):
    i = s(w["W_xi"] @ x + w["W_hi"] @ h + zero(w, "b_i"))
    new = (1.0 - i) * c + i * np.tanh(w["W_xc"] @ x + w["W_hc"] @ h + zero(w, "b_c"))
    return s(w["W_xo"] @ x + w["W_ho"] @ h + zero(w, "b_o")) * np.tanh(new), new


def ran(w, x, h, c, below, first, output="tanh"):
    i = s(w["W_ix"] @ x + w["W_ih"] @ h + zero(w, "b_i"))
    f = s(w["W_fx"] @ x + w["W_fh"] @ h + zero(w, "b_f"))
    new = i * (w["W_cx"] @ x) + f * c
    m = np.tanh(new) if output == "tanh" else new
    return (w["W_p"] @ m + zero(w, "b_p") if "W_p" in w else m), new


STEPS = {
    "LSTMP": lstmp,
    "HighwayLSTM": highway,
    "DepthGatedLSTM": depth_gated,
    "ResidualLSTM": residual,
    "SlimLSTM": slim,
    "BetaLSTM": beta,
    "G2LSTM": g2,
    "CoupledLSTM": coupled,
    "RAN": ran,
}


def run_stack(step, weights, x, lengths, h0, c0, options):
    """Runs a stack.

    ``weights[layer][direction]``: dict of arrays; ``x``: (B, T, m); ``lengths``: frames;
    ``h0[layer][direction]``, ``c0[layer][direction]``: (B, n). Returns the output (B, T, D*N), the
    final states (h, c), each [layer][direction] -> (B, n), and the cells (layer, direction) ->
    (B, T, K).
    """
    B, T = x.shape[:2]
    below = [None] * len(weights[0])
    finals_h, finals_c, cells = [], [], []
    for layer, directions in enumerate(weights):
        outputs, current, last_h, last_c = [], [], [], []
        for d, w in enumerate(directions):
            K, N = c0[layer][d].shape[1], h0[layer][d].shape[1]
            out, seen = np.zeros((B, T, N)), np.zeros((B, T, K))
            end_h, end_c = np.zeros((B, N)), np.zeros((B, K))
            for b in range(B):
                h, c = h0[layer][d][b], c0[layer][d][b]
                order = range(lengths[b])
                for t in reversed(order) if d == 1 else order:
                    under = None if below[d] is None else below[d][b, t]
                    h, c = step(w, x[b, t], h, c, under, layer == 0, **options)
                    out[b, t], seen[b, t] = h, c
                end_h[b], end_c[b] = h, c
            outputs.append(out)
            current.append(seen)
            last_h.append(end_h)
            last_c.append(end_c)
        x = np.concatenate(outputs, axis=2)
        below = current
        finals_h.append(last_h)
        finals_c.append(last_c)
        cells.append(current)
    return x, finals_h, finals_c, cells
