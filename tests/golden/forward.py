#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes forward.h: logits of tiny models, computed in PyTorch in double precision from the bytes
that tiny_model_tool writes: the transformers with full attention, and with the window, its sinks and
kept tokens, and the memory, each of whose writes is solved as least squares over all weights. It follows the maths of
engine/README.md one token at a time where the engine works on blocks, and shares no code with it.

    pip install gguf==0.19.0 numpy torch
    python3 tests/golden/forward.py build/tests/tiny_model_tool > tests/golden/forward.h
"""
import math
import subprocess
import sys
import tempfile

import gguf
import numpy
import torch

torch.set_default_dtype(torch.float64)
STEP = 13  # every so manieth logit is written down
DELAY = 64  # queries nearer than this do not count for keeping a token of the window


class Window:
    """Options of a session; chunk is the adapter's, 64 without."""

    def __init__(self, window, chunk=64, sinks=4, keep=0, memory=False, writes=False, merge=0):
        self.W, self.C, self.S, self.B, self.G = window, chunk, sinks, keep, merge
        self.memory, self.writes = memory, writes


FULL = Window(512, sinks=0)
CASES = [  # arguments of tiny_model_tool, session, tokens
    ("architecture=llama", FULL, 150),
    ("architecture=llama frequencies=1 linear=2 biases=1 tied=0", FULL, 150),
    ("architecture=llama yarn=4 head_dim=24", FULL, 150),
    ("architecture=qwen2 tied=0", FULL, 150),
    ("architecture=qwen2 type=Q8_0", FULL, 150),
    ("architecture=qwen3 yarn=2", FULL, 150),
    ("architecture=qwen3 head_dim=32 heads=6 kv_heads=3 type=F16", FULL, 150),
    ("architecture=llama context=256", Window(64), 420),
    ("architecture=qwen2 context=256", Window(64, keep=24), 420),
    ("architecture=qwen3 context=256 yarn=2", Window(128, sinks=0, keep=24), 420),
    ("architecture=llama context=256 adapter_uneven=0.5", Window(96, 16, 4, 24, True, True), 420),
    ("architecture=qwen2 context=256", Window(64, 16, 4, 0, True, True), 420),
    ("architecture=qwen3 context=256", Window(96, 32, 4, 12, True, True), 420),
    ("architecture=llama context=256", Window(96, 16, 0, 24, True, False), 420),
    ("architecture=llama context=256", Window(64, merge=12, writes=True), 420),
    ("architecture=llama context=256", Window(64, keep=24, merge=400, writes=True), 420),
    ("architecture=qwen3 context=256 yarn=2", Window(64, keep=24, merge=40, writes=True), 420),
    ("architecture=qwen2 context=96 adapter_uneven=1", Window(96, 16, 4, 5, True, True, 7), 420),
]


def tokens(seed, count):
    ids = []
    for _ in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        ids.append((seed >> 33) % 296)
    return ids


def load(path):
    reader = gguf.GGUFReader(path)
    keys = {name: field.contents() for name, field in reader.fields.items()}
    weights = {}
    for t in reader.tensors:
        values = gguf.dequantize(t.data, t.tensor_type)
        weights[t.name] = torch.from_numpy(numpy.array(values, dtype=numpy.float64))
    return keys, weights


class Rope:
    def __init__(self, keys, weights, arch):
        get = lambda name, other=None: keys.get(f"{arch}.rope.{name}", other)
        self.interleaved, dims = arch == "llama", get("dimension_count")
        base, factor = get("freq_base"), get("scaling.factor", 1.0)
        pair = torch.arange(dims // 2)
        self.frequency, self.magnitude = base ** (-2.0 * pair / dims), 1.0
        if "rope_freqs.weight" in weights:
            self.frequency = self.frequency / weights["rope_freqs.weight"]
        if get("scaling.type") == "linear":
            self.frequency = self.frequency / factor
        elif get("scaling.type") == "yarn":
            # Pairs that turn more than 32 times in the original context stay, those that turn less
            # than once are slowed down by the factor.
            original = get("scaling.original_context_length")
            corner = lambda turns: dims * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))
            low, high = max(math.floor(corner(32)), 0), min(math.ceil(corner(1)), dims - 1)
            slow = ((pair - low) / max(high - low, 0.001)).clamp(0, 1)
            self.frequency = self.frequency * (1 - slow) + self.frequency / factor * slow
            self.magnitude = 1 + 0.1 * math.log(factor)

    def turn(self, x, position):
        """x [..., e] by `position` (negative: back)"""
        a = self.frequency * position
        turn = torch.complex(a.cos(), a.sin())
        if self.interleaved:
            z = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous()) * turn
            return torch.view_as_real(z).reshape(x.shape)
        half = x.shape[-1] // 2
        z = torch.complex(x[..., :half].contiguous(), x[..., half:].contiguous()) * turn
        return torch.cat((z.real, z.imag), -1)


    def turn_back_by_mean(self, x, first, end):
        """x [..., e], turned back by every distance in [first, end), and the mean of that"""
        return torch.stack([self.turn(x, -d) for d in range(first, end)]).mean(0)


class Merged:
    """The merged tokens of one head: the cheapest pair of all is looked for again each time."""

    def __init__(self, most, limit):
        self.most, self.limit, self.margin = most, limit, math.inf
        self.points = []  # [count, key, value]
        self.places = 0

    def add(self, keys, values):
        self.points += [[1.0, k, v] for k, v in zip(keys, values)]
        for _ in keys:  # when all places are taken, half of them become free
            self.places -= math.ceil(self.most / 2) if self.places == self.most else 0
            self.places += 1
        all_of = [torch.stack([p[i] for p in self.points]) for i in (1, 2)]
        spread = [(x - x.mean(0)).square().sum() for x in all_of]
        unit = (spread[0] / spread[1]).sqrt()
        while len(self.points) > self.places:
            n = torch.tensor([p[0] for p in self.points])
            x = torch.stack([torch.cat([k, unit * v]) for _, k, v in self.points])
            cost = torch.cdist(x, x).square() / (n[:, None] ** -0.5 + n**-0.5)
            pairs = sorted((cost[i, j].item(), i, j) for i in range(len(n)) for j in range(i))
            if len(pairs) > 1:
                self.margin = min(self.margin, pairs[1][0] / max(pairs[0][0], 1e-30) - 1)
            _, j, i = pairs[0]
            (a, k, v), (b, l, w) = self.points[i], self.points.pop(j)
            self.points[i] = [a + b, (a * k + b * l) / (a + b), (a * v + b * w) / (a + b)]
        total = sum(p[0] for p in self.points)
        for p in self.points:
            p[0] *= min(1, self.limit / total)


def rms(x, eps=1e-6, weight=1.0):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight


class Head:
    """One memory head: fast weights, evidence."""

    def __init__(self, p, m):
        self.p, self.m = p, m
        self.w = p["w2"][m].clone()
        self.z, self.count = 0, 0

    def hidden(self, x):
        w1, w3 = self.p["w1"][self.m], self.p["w3"][self.m]
        return torch.nn.functional.silu(x @ w1.T) * (x @ w3.T)

    def write(self, keys, values, rates, learns):
        """keys, values [n, e]; rates [n, 2]"""
        p, m = self.p, self.m
        a = keys @ p["ev_k"][m].T * keys.shape[1] ** -0.25
        stays = rates[:, 1].mean()
        self.z = stays * self.z + torch.cat((a.clamp(max=15).exp(), (-a).clamp(max=15).exp()), 1).sum(0)
        self.count += len(keys)
        if not learns:
            return
        before = p["w2"][m] + stays * (self.w - p["w2"][m])
        h = self.hidden(rms(rms(keys) @ p["k_map"][m].T))
        d = rates[:, :1] / math.sqrt(h.shape[1])
        # sum |d (W h - v)|^2 + |W - before|^2, as one overdetermined system for W^T
        left = torch.cat((d * h, torch.eye(h.shape[1])))
        right = torch.cat((d * values / p["v_scale"], before.T))
        self.w = torch.linalg.lstsq(left, right).solution.T

    def read(self, h, q, out, lse, x):
        """What query head h gets, given the window's output."""
        p = self.p
        if self.count == 0:
            return out
        o = self.w @ self.hidden(rms(rms(q) @ p["q_map"][h].T))
        a = q @ p["ev_q"][h].T * len(q) ** -0.25
        phi = torch.cat((a.softmax(0), (-a).softmax(0)))
        evidence = (phi @ self.z + 1e-9).log()
        gate = torch.sigmoid(x @ p["gate_w"][h] + p["gate_b"][h] + p["gate_lse"][h] * lse + evidence)
        return (1 - gate) * out + gate * p["alpha"][h] * o


def attention(x, q, k, v, rope, o, far, branch):
    """x [n, d]; q [n, H, e], k and v [n, M, e] before RoPE -> [n, H, e]. `far` is the distance from
    which on sinks and kept tokens are clipped; branch: the layer's memory parameters."""
    n, H, e = q.shape
    M, scale = k.shape[1], rope.magnitude**2 / math.sqrt(e)
    share = branch["share"].item() if o.memory else 1
    B, G = math.floor(o.B * share + 0.5), max(math.floor(o.G * share + 0.5), 1) if o.G else 0
    rounded = lambda y: y.half().double()  # as the cache does: it moves these logits by 1e-3
    out = torch.zeros_like(q)
    margin = math.inf
    for m in range(M):
        group = range(m * (H // M), (m + 1) * (H // M))
        keys = [rounded(rope.turn(k[p, m], p)) for p in range(n)]
        values = [rounded(v[p, m]) for p in range(n)]
        score = [0.0] * n
        before = lambda p: rope.turn(keys[p], -p)  # a key before RoPE, as the cache can tell
        kept_before = {}
        head = None
        if o.memory:
            head = Head(branch, m)
            raw = [x @ branch[f"{name}_w"][m] + branch[f"{name}_b"][m] for name in ("step", "decay")]
            rates = torch.stack([torch.nn.functional.softplus(raw[0]), torch.sigmoid(raw[1])], 1)
        sinks, kept, ring = [], [], []
        merged = Merged(G, far)
        clip = min(2 * o.W, far)
        distances = (min(o.W // 2, clip // 2) if o.W // 2 >= clip else o.W // 2, clip)
        for p in range(n):
            t = p - p % o.C
            if p == t and len(ring) == o.W + o.C:
                block, ring = ring[: o.C], ring[o.C :]
                if block[0] == 0:
                    sinks, block = block[: o.S], block[o.S :]
                    kept_before.update({j: rounded(before(j)) for j in sinks})
                for j in kept:
                    score[j] *= 1 - o.C / o.W
                worth = {j: score[j] * values[j].norm().item() for j in kept + block}
                ranked = sorted(kept + block, key=lambda j: (-worth[j], j))
                stays = sorted(ranked[: B])
                gone = sorted(ranked[B :], key=lambda j: (j not in kept, j))
                if 0 < B < len(ranked) and worth[ranked[B - 1]] > 0:
                    margin = min(margin, worth[ranked[B - 1]] / max(worth[ranked[B]], 1e-30) - 1)
                kept_before.update({j: rounded(before(j)) for j in stays if j not in kept})
                if gone and (o.memory or G):
                    was = torch.stack([kept_before[j] if j in kept else before(j) for j in gone])
                if gone and G:
                    merged.add(rope.turn_back_by_mean(was, *distances), [values[j] for j in gone])
                if o.memory and gone:
                    head.write(was, torch.stack([values[j] for j in gone]), rates[gone], o.writes)
                kept = stays
            ring.append(p)
            places = sinks + kept + ring
            near = [keys[j] if j in ring or j >= t - far else rounded(rope.turn(kept_before[j], t - far))
                    for j in places]
            middle = t + o.C // 2
            K = torch.stack(near + [rounded(rope.turn(k, middle)) for _, k, _ in merged.points])
            V = torch.stack([values[j] for j in places] + [rounded(v) for _, _, v in merged.points])
            weight = torch.tensor([0.0] * len(places) + [math.log(n) for n, _, _ in merged.points])
            for h in group:
                s = K @ rope.turn(q[p, h], p) * scale + weight
                lse = s.logsumexp(0)
                share = (s - lse).exp()
                out[p, h] = share @ V
                for i, j in enumerate(places):
                    if j in kept or (j in ring and p - j >= DELAY):
                        score[j] += share[i].item()
                if o.memory:
                    out[p, h] = head.read(h, q[p, h], out[p, h], lse, x[p])
        if G:
            print(f"  closest choice of a pair to merge: {merged.margin:.1e}", file=sys.stderr)
        if o.memory and o.writes:
            print(f"  memory head {m}: {head.count} written", file=sys.stderr)
    if margin < math.inf:
        print(f"  closest choice of a kept token: {margin:.1e}", file=sys.stderr)
    return out


def forward(keys, w, adapter, o, ids):
    arch = keys["general.architecture"]
    get = lambda name: keys[f"{arch}.{name}"]
    H, M, e = get("attention.head_count"), get("attention.head_count_kv"), get("attention.key_length")
    eps, rope = get("attention.layer_norm_rms_epsilon"), Rope(keys, w, arch)
    far = get("context_length") // 4 * 3
    y = w["token_embd.weight"][ids]
    for layer in range(get("block_count")):
        b = {name.split(".", 2)[2]: t for name, t in w.items() if name.startswith(f"blk.{layer}.")}
        x = rms(y, eps, b["attn_norm.weight"])
        q, k, v = (
            (x @ b[f"attn_{name}.weight"].T + b.get(f"attn_{name}.bias", 0)).reshape(len(ids), -1, e)
            for name in "qkv"
        )
        if "attn_q_norm.weight" in b:
            q, k = rms(q, eps, b["attn_q_norm.weight"]), rms(k, eps, b["attn_k_norm.weight"])
        branch = None
        if o.memory:
            prefix = f"blk.{layer}.mem_"
            branch = {name[len(prefix) :]: t for name, t in adapter[1].items() if name.startswith(prefix)}
        mixed = attention(x, q, k, v, rope, o, far, branch)
        y = y + mixed.reshape(len(ids), -1) @ b["attn_output.weight"].T
        x = rms(y, eps, b["ffn_norm.weight"])
        y = y + (torch.nn.functional.silu(x @ b["ffn_gate.weight"].T) * (x @ b["ffn_up.weight"].T)) @ b["ffn_down.weight"].T
    return rms(y, eps, w["output_norm.weight"]) @ w.get("output.weight", w["token_embd.weight"]).T


def main(tool):
    print("/* SPDX-License-Identifier: Apache-2.0\n *\n * Made by forward.py.\n */\n/* clang-format off */")
    print(f"enum {{ GOLDEN_STEP = {STEP} }}; /* logits 0, {STEP}, {2 * STEP}, ... are listed */\n")
    print("static const struct golden {\n    const char *model; /* arguments of tiny_model_tool */")
    print("    uint32_t window, chunk, sinks, keep, merge;\n    bool memory, writes;")
    print("    size_t tokens[4]; /* the logits are those after so many tokens */")
    print(f"    float logits[4][{len(range(0, 299, STEP))}];\n}} goldens[] = {{")
    for arguments, o, count in CASES:
        print(arguments, vars(o), file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            model, adapter = folder + "/model", folder + "/adapter"
            subprocess.run([tool, model, *arguments.split(), "adapter=" + adapter, f"adapter_chunk={o.C}"], check=True)
            logits = forward(*load(model), load(adapter), o, tokens(9, count))
        places = [1, count // 3, count * 3 // 4, count]
        print(f'    {{\n        "{arguments}", {o.W}, {o.C}, {o.S}, {o.B}, {o.G}, {int(o.memory)}, {int(o.writes)},')
        print(f"        {{{', '.join(map(str, places))}}},\n        {{")
        for place in places:
            row = [f"{v:.7g}" for v in logits[place - 1, ::STEP].tolist()]
            row = [v + ("f" if "." in v or "e" in v else ".0f") for v in row]
            print("            {" + ", ".join(row[:12]) + ",\n             " + ", ".join(row[12:]) + "},")
        print("        },\n    },")
    print("};")


if __name__ == "__main__":
    main(sys.argv[1])
