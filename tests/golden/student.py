#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes student.h: the loss of stage 2, KL(full attention || window, kept tokens and memory, or merged
tokens and their gate), on tiny models, its gradient at every parameter of the memory by PyTorch's reverse mode, and slopes along
random directions by central differences of the same loss, both in double precision. Models and
adapters are those that tiny_model_tool writes. Keys and values are rounded to binary16 as in the
cache: by an offset that is drawn once, at the parameters as they are, and that no gradient sees. In
the same way it is settled once which tokens are kept, which are merged and how often they count.

    pip install gguf==0.19.0 numpy torch
    python3 tests/golden/student.py build/tests/tiny_model_tool > tests/golden/student.h
"""
import math
import subprocess
import sys
import tempfile

import torch
from forward import DELAY, Rope, load, rms, tokens

LENGTH, CHUNK, SINKS = 192, 16, 4
SAMPLES = 24  # of each parameter
NAMES = "w1 w2 w3 q_map k_map ev_q ev_k gate_lse alpha gate_w gate_b step_w decay_w step_b decay_b".split()
GATE = "merged_w merged_b".split()
CASES = [  # arguments of tiny_model_tool, window, kept, merged
    ("architecture=llama context=512", 32, 0, 0),
    ("architecture=llama context=160 frequencies=1 biases=1 adapter_uneven=0.5", 48, 24, 0),
    ("architecture=qwen2 context=512 tied=0", 32, 20, 0),
    ("architecture=qwen3 context=512 yarn=2 head_dim=32 heads=6 kv_heads=3", 48, 0, 0),
    ("architecture=qwen3 context=512", 32, 32, 0),
    ("architecture=llama context=160 adapter_width=0", 32, 0, 40),
    ("architecture=qwen2 context=512 adapter_width=0", 32, 20, 21),
    ("architecture=qwen3 context=512 yarn=2 head_dim=32 heads=6 kv_heads=3 adapter_width=0 adapter_uneven=0.5", 48, 16, 100),
]


class Once:
    """What is settled in the first run of the loss and the same in all others."""

    def __init__(self):
        self.kept, self.at = [], 0

    def __call__(self, make):
        if self.at == len(self.kept):
            self.kept.append(make())
        self.at += 1
        return self.kept[self.at - 1]


def rounded(once, x):
    return x + once(lambda: (x.half().double() - x).detach())


def turn(rope, x, positions):
    """x [n, e], each row by its position (negative: back)"""
    a = torch.tensor(positions, dtype=torch.float64)[:, None] * rope.frequency
    c, s = a.cos(), a.sin()
    if rope.interleaved:
        u, v = x[:, 0::2], x[:, 1::2]
        return torch.stack((u * c - v * s, u * s + v * c), -1).reshape(x.shape)
    half = x.shape[1] // 2
    u, v = x[:, :half], x[:, half:]
    return torch.cat((u * c - v * s, u * s + v * c), 1)


def choose(score, lengths, kept, block, B):
    ranked = sorted(kept + block, key=lambda j: (-score[j] * lengths[j], j))
    return sorted(ranked[:B]), sorted(ranked[B:])


def far_away(rope, x, W, far):
    """Rows turned back by the mean of the turns by [W/2, 2W)."""
    to = min(2 * W, far)
    return sum(turn(rope, x, [-d] * len(x)) for d in range(W // 2, to)) / (to - W // 2)


def merged_at(written, G):
    half = (G + 1) // 2
    return written if written <= G else G - half + 1 + (written - G - 1) % half


def choose_groups(keys, values, counts, most):
    """Lists of the points that are merged into one, in the order of their first."""
    keys, values = keys.detach(), values.detach()
    variance = lambda x: (x - x.mean(0)).square().sum()
    x = torch.cat((keys, values * (variance(keys) / variance(values)).sqrt()), 1)
    groups, counts = [[i] for i in range(len(x))], torch.tensor(counts, dtype=torch.float64)
    while len(groups) > most:
        slack = counts.rsqrt()
        cost = (x[:, None] - x).square().sum(2) / (slack[:, None] + slack)
        cost.fill_diagonal_(math.inf)
        i, j = sorted(divmod(cost.argmin().item(), len(groups)))
        x[i] = (counts[i] * x[i] + counts[j] * x[j]) / (counts[i] + counts[j])
        counts[i] += counts[j]
        groups[i] += groups.pop(j)
        rest = [c for c in range(len(x)) if c != j]
        x, counts = x[rest], counts[rest]
    return groups


def merge(once, merged, keys, values, G, far):
    """merged: keys, values, counts, written tokens, of all so far; the new ones join them."""
    keys, values = torch.cat((merged[0], keys)), torch.cat((merged[1], values))
    counts, written = merged[2] + [1.0] * (len(keys) - len(merged[0])), merged[3] + len(keys) - len(merged[0])
    groups = once(lambda: choose_groups(keys, values, counts, merged_at(written, G)))
    mean = lambda x: torch.stack([sum(counts[i] * x[i] for i in g) / sum(counts[i] for i in g) for g in groups])
    sums = [sum(counts[i] for i in g) for g in groups]
    return mean(keys), mean(values), [c * min(1, far / sum(sums)) for c in sums], written


def read_window(once, q, k, v, rope, W, B, G, far, gate):
    """One key-value head: q [n, R, e], k and v [n, e], gate [n, R] -> out [n, R, e], lse [n, R] and, for
    every chunk, what is written before it."""
    n, R, e = q.shape
    scale = rope.magnitude**2 / math.sqrt(e)
    keys, values = rounded(once, turn(rope, k, range(n))), rounded(once, v)
    lengths, outs, lses, written = values.norm(dim=1).tolist(), [], [], []
    score, sinks, kept, unturned = [0.0] * n, [], [], {}
    merged = k[:0], v[:0], [], 0
    for t in range(0, n, CHUNK):
        gone = []
        if t >= W + CHUNK:
            block = list(range(t - W - CHUNK, t - W))
            if block[0] == 0:
                sinks, block = block[:SINKS], block[SINKS:]
            before = kept
            for j in kept:
                score[j] *= 1 - CHUNK / W
            kept, gone = once(lambda: choose(score, lengths, kept, block, B))
            for j in sinks + kept:
                if j not in unturned:
                    unturned[j] = rounded(once, turn(rope, keys[j][None], [-j]))
            if G and gone:
                single = torch.cat([unturned[j] if j in unturned else turn(rope, keys[j][None], [-j]) for j in gone])
                merged = merge(once, merged, far_away(rope, single, W, far), values[gone], G, far)
        written.append(gone)
        low = t - W if t >= W + CHUNK else 0
        near = list(range(low, t + CHUNK))
        K = [rounded(once, turn(rope, unturned[j], [t - far])) if j < t - far else keys[j][None]
             for j in sinks + kept]
        places = sinks + kept + near
        unit_keys = turn(rope, merged[0], [t + CHUNK // 2] * len(merged[2]))
        K = torch.cat([*K, keys[near], rounded(once, unit_keys)])
        V = torch.cat([values[places], rounded(once, merged[1])])
        query = torch.stack([turn(rope, q[t : t + CHUNK, r], range(t, t + CHUNK)) for r in range(R)], 1)
        s = torch.einsum("ire,je->irj", query, K) * scale
        weights = torch.tensor(merged[2], dtype=torch.float64).log()
        s = torch.cat((s[..., : len(places)], s[..., len(places) :] + weights + gate[t : t + CHUNK, :, None]), 2)
        for i in range(CHUNK):
            hidden = [c for c, j in enumerate(places) if j > t + i]
            s[i, :, hidden] = -math.inf
        lse = s.logsumexp(2)
        share = (s - lse[:, :, None]).exp()
        outs.append(torch.einsum("irj,je->ire", share, V))
        lses.append(lse)
        for c, j in enumerate(places):
            if j not in sinks:
                for i in range(CHUNK):
                    score[j] += share[i, :, c].sum().item() if j in kept or t + i - j >= DELAY else 0
    return torch.cat(outs), torch.cat(lses), written


def read_memory(p, m, x, q, k, v, swa, lse, written):
    n, R, e = q.shape
    features = lambda y: torch.nn.functional.silu(y @ p["w1"][m].T) * (y @ p["w3"][m].T)
    W, z, outs, any_written = p["w2"][m], 0, [], False
    step = torch.nn.functional.softplus(x @ p["step_w"][m] + p["step_b"][m])
    decay = torch.sigmoid(x @ p["decay_w"][m] + p["decay_b"][m])
    for t in range(0, n, CHUNK):
        gone = written[t // CHUNK]
        if gone:
            stays = decay[gone].mean()
            W, z = p["w2"][m] + stays * (W - p["w2"][m]), stays * z
            H = features(rms(rms(k[gone]) @ p["k_map"][m].T))
            d = step[gone] / math.sqrt(H.shape[1])
            scaled = d[:, None] * H
            error = v[gone] / p["v_scale"] - H @ W.T
            A = torch.eye(len(gone)) + scaled @ scaled.T
            W = W + torch.linalg.solve(A, d[:, None] * error).T @ scaled
            a = k[gone] @ p["ev_k"][m].T * e**-0.25
            z = z + torch.cat((a.clamp(max=15).exp(), (-a).clamp(max=15).exp()), 1).sum(0)
            any_written = True
        rows = slice(t, t + CHUNK)
        if not any_written:
            outs.append(swa[rows])
            continue
        now = []
        for r in range(R):
            h = m * R + r
            y = q[rows, r]
            o = features(rms(rms(y) @ p["q_map"][h].T)) @ W.T
            a = y @ p["ev_q"][h].T * e**-0.25
            phi = torch.cat((a.softmax(1), (-a).softmax(1)), 1)
            gate = torch.sigmoid(x[rows] @ p["gate_w"][h] + p["gate_b"][h] + p["gate_lse"][h] * lse[rows, r]
                                 + (phi @ z + 1e-9).log())[:, None]
            now.append((1 - gate) * swa[rows, r] + gate * p["alpha"][h] * o)
        outs.append(torch.stack(now, 1))
    return torch.cat(outs)


def run(once, keys, w, branches, W, B, G, ids):
    """Logits [n, V]; without branches, those of full attention."""
    arch = keys["general.architecture"]
    get = lambda name: keys[f"{arch}.{name}"]
    H, M, e = get("attention.head_count"), get("attention.head_count_kv"), get("attention.key_length")
    eps, rope = get("attention.layer_norm_rms_epsilon"), Rope(keys, w, arch)
    far, n, y = get("context_length") // 4 * 3, len(ids), w["token_embd.weight"][ids]
    counts = []
    for layer in range(get("block_count")):
        b = {name.split(".", 2)[2]: t for name, t in w.items() if name.startswith(f"blk.{layer}.")}
        x = rms(y, eps, b["attn_norm.weight"])
        q, k, v = ((x @ b[f"attn_{c}.weight"].T + b.get(f"attn_{c}.bias", 0)).reshape(n, -1, e) for c in "qkv")
        if "attn_q_norm.weight" in b:
            q, k = rms(q, eps, b["attn_q_norm.weight"]), rms(k, eps, b["attn_k_norm.weight"])
        mixed, gate = [], torch.zeros(n, H)
        window = W if branches else 2 * n
        share = branches[layer]["share"].item() if branches else 0
        keep, merge = math.floor(B * share + 0.5), max(math.floor(G * share + 0.5), 1) if G else 0
        if branches and G:
            gate = x @ branches[layer]["merged_w"].T + branches[layer]["merged_b"][1 if keep else 0]
        for m in range(M):
            of_head = slice(m * (H // M), (m + 1) * (H // M))
            readers = q[:, of_head]
            out, lse, written = read_window(
                once, readers, k[:, m], v[:, m], rope, window, keep, merge, far, gate[:, of_head])
            counts.append([len(gone) for gone in written])
            if branches and not G:
                out = read_memory(branches[layer], m, x, readers, k[:, m], v[:, m], out, lse, written)
            mixed.append(out)
        y = y + torch.cat(mixed, 1).reshape(n, -1) @ b["attn_output.weight"].T
        x = rms(y, eps, b["ffn_norm.weight"])
        y = y + (torch.nn.functional.silu(x @ b["ffn_gate.weight"].T) * (x @ b["ffn_up.weight"].T)) @ b["ffn_down.weight"].T
    first = next(c for c in range(n // CHUNK) if any(head[c] for head in counts) or (c * CHUNK > far and c * CHUNK >= W + CHUNK)) if branches else 0
    return rms(y, eps, w["output_norm.weight"]) @ w.get("output.weight", w["token_embd.weight"]).T, first * CHUNK


def signs(seed, count):
    """+1 or -1, from the generator of tokens()."""
    out = []
    for _ in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(1.0 if seed >> 63 else -1.0)
    return torch.tensor(out, dtype=torch.float64)


def literal(v):
    text = f"{v:.7g}"
    return text + ("f" if "." in text or "e" in text else ".0f")


def lines(values):
    row = [literal(v) for v in values]
    return ",\n         ".join(", ".join(row[i : i + 8]) for i in range(0, len(row), 8))


def case(tool, arguments, W, B, G):
    names = GATE if G else NAMES
    with tempfile.TemporaryDirectory() as folder:
        model, adapter = folder + "/model", folder + "/adapter"
        subprocess.run([tool, model, *arguments.split(), "adapter=" + adapter, f"adapter_chunk={CHUNK}"], check=True)
        keys, w = load(model)
        _, parameters = load(adapter)
    layers = 1 + max(int(name.split(".")[1]) for name in parameters)
    branches = [{name.split("mem_")[1]: t for name, t in parameters.items() if name.startswith(f"blk.{l}.")}
                for l in range(layers)]
    ids, once = tokens(9, LENGTH), Once()
    with torch.no_grad():
        teacher = run(Once(), keys, w, None, W, B, 0, ids)[0].log_softmax(1)

    def loss():
        once.at = 0
        student, first = run(once, keys, w, branches, W, B, G, ids)
        kl = (teacher.exp() * (teacher - student.log_softmax(1))).sum(1)
        return kl[first:].mean(), first

    for b in branches:
        for name in names:
            b[name].requires_grad_(True)
    value, first = loss()
    value.backward()
    gradients, slopes = [], []
    for l, b in enumerate(branches):
        for i, name in enumerate(names):
            g, t = b[name].grad.flatten(), b[name]
            gradients += g[:: -(-len(g) // SAMPLES)].tolist()
            direction = signs(100 * l + i, len(g)).reshape(t.shape)
            step = 1e-5 * t.detach().abs().mean().item() + 1e-6
            with torch.no_grad():
                t += step * direction
                up = loss()[0].item()
                t -= 2 * step * direction
                down = loss()[0].item()
                t += step * direction
            slope, along = (up - down) / (2 * step), (g * direction.flatten()).sum().item()
            if abs(slope - along) > 1e-4 * g.norm().item():
                sys.exit(f"{arguments} {name}: central differences give {slope}, reverse mode {along}")
            slopes.append(slope)
    return value.item(), first, gradients, slopes


def main(tool):
    results = [case(tool, *c) for c in CASES]
    most = max(len(r[2]) for r in results)
    print("/* SPDX-License-Identifier: Apache-2.0\n *\n * Made by student.py.\n */\n/* clang-format off */")
    print(f"enum {{ GOLDEN_LENGTH = {LENGTH}, GOLDEN_CHUNK = {CHUNK}, GOLDEN_SINKS = {SINKS}, GOLDEN_SAMPLES = {SAMPLES} }};\n")
    print("static const struct golden {\n    const char *model; /* arguments of tiny_model_tool */\n    size_t window, keep, merge, first;")
    print("    double loss;\n    /* Of each parameter in the order of parameters_table, layer by layer: some of its gradient, and the\n"
          "     * slope along a direction. */")
    print(f"    float gradients[{most}], slopes[{max(len(r[3]) for r in results)}];\n}} goldens[] = {{")
    for (arguments, W, B, G), (value, first, gradients, slopes) in zip(CASES, results):
        print(f'    {{"{arguments}", {W}, {B}, {G}, {first}, {value:.10g},\n        {{{lines(gradients)}}},\n        {{{lines(slopes)}}}}},')
    print("};")


main(sys.argv[1])
