#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes finetune.h: loss and gradients of a memory branch by PyTorch's reverse mode, from the maths
in engine/README.md. Inputs and parameters are those of tests/tools/branch_case.c: one stream of
numbers, drawn in the order below.   python3 finetune.py > finetune.h"""
import numpy
import torch

torch.set_default_dtype(torch.float64)


def stream(seed):
    """splitmix64 -> uniform, mean 0, variance 1, exactly as in C with floats."""
    mask = 2**64 - 1
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = ((seed ^ seed >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        unit = numpy.float32(z >> 40) * numpy.float32(2.0**-23) - numpy.float32(1)
        yield float(numpy.float32(unit * numpy.float32(1.7320508)))


def draw(numbers, shape, centre=0.0, spread=1.0, identity=False):
    count = int(numpy.prod(shape))
    v = torch.tensor([next(numbers) for _ in range(count)]).reshape(shape) * float(numpy.float32(spread))
    return v + (centre * torch.eye(shape[-1]) if identity else float(numpy.float32(centre)))


def rms(x):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6)


def lists(numbers, M, L, W, C, S, keep):
    """What each write takes, by head: the blocks, or what a contest of drawn scores lets go of."""
    writes = (L - W - C) // C
    if keep == 0:
        return [[list(range(max(S, j * C), (j + 1) * C)) for j in range(writes)]] * M
    out = []
    for _ in range(M):
        scores, held, mine = [next(numbers) for _ in range(L)], [], []
        for j in range(writes):
            held = sorted(held + list(range(max(S, j * C), (j + 1) * C)), key=lambda i: scores[i])
            mine.append(held[:max(0, len(held) - keep)])
            held = held[len(mine[-1]):]
        out.append(mine)
    return out


def case(d, H, M, e, f, C, S, W, L, keep, step, decay, seed):
    n = stream(seed)
    i = dict(x=draw(n, (L, d)), q=draw(n, (L, H, e)), k=draw(n, (L, M, e)), v=draw(n, (L, M, e)),
             swa=draw(n, (L, H, e)), lse=draw(n, (L, H), 3.0, 0.5))
    full, wo = draw(n, (L, H, e)), draw(n, (d, H * e), 0, 0.3)
    p = dict(
        w1=draw(n, (M, f, e), 0, 0.35), w2=draw(n, (M, e, f), 0, 0.2), w3=draw(n, (M, f, e), 0, 0.35),
        q_map=draw(n, (H, e, e), 1, 0.1, True), k_map=draw(n, (M, e, e), 1, 0.1, True),
        ev_q=draw(n, (H, e, e), 1, 0.1, True), ev_k=draw(n, (M, e, e), 1, 0.1, True),
        gate_lse=draw(n, (H,), -1, 0.1), alpha=draw(n, (H, e), 0.5, 0.2),
        gate_w=draw(n, (H, d), 0, 0.2), gate_b=draw(n, (H,), -1, 0.3),
        step_w=draw(n, (M, d), 0, 0.2), decay_w=draw(n, (M, d), 0, 0.2),
        step_b=draw(n, (M,), step, 0.2), decay_b=draw(n, (M,), decay, 0.2))
    v_scale = float(numpy.float32(0.9))
    written = lists(n, M, L, W, C, S, keep)
    for t in (*p.values(), *i.values()):
        t.requires_grad_(True)
    x, q, k, v, swa, lse = i.values()
    R, y = H // M, []
    for m in range(M):
        w, z, rows = p['w2'][m], torch.zeros(2 * e), []
        for t in range(0, L, C):
            left = t - W
            block = written[m][left // C - 1] if left > 0 else []
            if block:
                stay = torch.sigmoid(x[block] @ p['decay_w'][m] + p['decay_b'][m]).mean()
                s = torch.nn.functional.softplus(x[block] @ p['step_w'][m] + p['step_b'][m])
                kh = rms(rms(k[block, m]) @ p['k_map'][m].T)
                g, u = kh @ p['w1'][m].T, kh @ p['w3'][m].T
                h = g * torch.sigmoid(g) * u
                w = p['w2'][m] + stay * (w - p['w2'][m])
                weight = (s / f**0.5)[:, None]
                hd, err = weight * h, weight * (v[block, m] / v_scale - h @ w.T)
                w = w + torch.linalg.solve(torch.eye(len(block)) + hd @ hd.T, err).T @ hd
                b = k[block, m] @ p['ev_k'][m].T * e**-0.25
                z = stay * z + torch.cat((b.clamp(max=15).exp(), (-b).clamp(max=15).exp()), 1).sum(0)
            now = []
            for r in range(m * R, m * R + R):
                qt, st = q[t:t + C, r], swa[t:t + C, r]
                if left <= 0:
                    now.append(st)
                    continue
                qh = rms(rms(qt) @ p['q_map'][r].T)
                a = qh @ p['w1'][m].T
                o = (a * torch.sigmoid(a) * (qh @ p['w3'][m].T)) @ w.T
                a = qt @ p['ev_q'][r].T * e**-0.25
                phi = torch.cat((torch.softmax(a, 1), torch.softmax(-a, 1)), 1)
                logit = (x[t:t + C] @ p['gate_w'][r] + p['gate_b'][r] + p['gate_lse'][r] * lse[t:t + C, r]
                         + torch.log(phi @ z + 1e-9))
                gate = torch.sigmoid(logit)[:, None]
                now.append((1 - gate) * st + gate * p['alpha'][r] * o)
            rows.append(torch.stack(now, 1))
        y.append(torch.cat(rows))
    y = torch.cat(y, 1)
    far = lambda a: ((a - full)[W:].reshape(-1, H * e) @ wo.T).pow(2).sum()
    loss = far(y) / far(swa).detach()
    loss.backward()
    order = ('w1', 'w2', 'w3', 'q_map', 'k_map', 'ev_q', 'ev_k', 'gate_lse', 'alpha', 'gate_w', 'gate_b',
             'step_w', 'decay_w', 'step_b', 'decay_b')
    grads = [p[j].grad for j in order] + [torch.zeros(1)] + [t.grad for t in i.values()]
    return loss.item(), numpy.concatenate([g.reshape(-1).numpy() for g in grads])


def literal(value):
    text = '%.6g' % value
    return text + ('f' if '.' in text or 'e' in text else '.0f')


sizes = dict(d=6, H=4, M=2, e=8, f=16, C=4, S=1, W=8, L=32)
cases = [('blocks, short steps', dict(keep=0, step=-2.0, decay=2.0, seed=1)),
         ('blocks, long steps, much is forgotten', dict(keep=0, step=3.0, decay=-1.0, seed=2)),
         ('kept tokens', dict(keep=5, step=1.0, decay=1.0, seed=3))]
made = [(name, c, *case(**sizes, **c)) for name, c in cases]
print('/* SPDX-License-Identifier: Apache-2.0')
print(' *\n * Made by finetune.py: loss and gradients of a memory branch by PyTorch %s, double precision.\n */'
      % torch.__version__.split('+')[0])
print('/* clang-format off */\n#pragma once\n')
print('#include "tests/tools/branch_case.h"\n')
print('static const struct golden {\n    const char *name;\n    struct branch_case c;\n    double loss;\n'
      '    float gradients[%d]; /* in the order of branch_variables */\n} goldens[] = {' % len(made[0][3]))
for name, c, loss, g in made:
    print('    {"%s", {{%s}, %d, %d, %d, %s, %s, %d}, %.9g, {' % (
        name, ', '.join(str(sizes[i]) for i in ('d', 'H', 'M', 'e', 'f', 'C', 'S')), sizes['L'], sizes['W'],
        c['keep'], literal(c['step']), literal(c['decay']), c['seed'], loss))
    line = '       '
    for value in g:
        text = ' %s,' % literal(value)
        if len(line) + len(text) > 100:
            print(line)
            line = '       '
        line += text
    print(line + '}},')
print('};')
