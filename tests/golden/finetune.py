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


def case(d, H, M, e, f, C, S, W, L, clip, rate, seed):
    n = stream(seed)
    x, q = draw(n, (L, d)), draw(n, (L, H, e))
    k, v = draw(n, (L, M, e)), draw(n, (L, M, e))
    swa, lse, full = draw(n, (L, H, e)), draw(n, (L, H), 3.0, 0.5), draw(n, (L, H, e))
    wo = draw(n, (d, H * e), 0, 0.3)
    p = dict(
        w1=draw(n, (M, f, e), 0, 0.35), w2=draw(n, (M, e, f), 0, 0.2), w3=draw(n, (M, f, e), 0, 0.35),
        q_map=draw(n, (H, e, e), 1, 0.1, True), k_map=draw(n, (M, e, e), 1, 0.1, True),
        ev_q=draw(n, (H, e, e), 1, 0.1, True), ev_k=draw(n, (M, e, e), 1, 0.1, True),
        gate_lse=draw(n, (H,), -1, 0.1), alpha=draw(n, (H, e), 0.5, 0.2),
        gate_w=draw(n, (H, d), 0, 0.2), gate_b=draw(n, (H,), -1, 0.3),
        lr_w=draw(n, (3 * M, d), 0, 0.2), mom_w=draw(n, (M, d), 0, 0.2),
        lr_b=draw(n, (3 * M,), rate, 0.2), mom_b=draw(n, (M,), 0.3, 0.2))
    v_scale = float(numpy.float32(0.9))
    for t in p.values():
        t.requires_grad_(True)
    R, y, clipped, steps = H // M, [], 0, 0
    names = ('w1', 'w2', 'w3')
    for m in range(M):
        w = {i: p[i][m] for i in names}
        norm = {i: w[i].norm(dim=1, keepdim=True) for i in names}
        cap = {i: clip * w[i].norm() for i in names}
        mom = {i: torch.zeros_like(w[i]) for i in names}
        z, rows = torch.zeros(2 * e), []
        for t in range(0, L, C):
            left = t - W
            if left > 0:
                block = slice(S if left == C else left - C, left)
                xb, n_w = x[block], {i: w[i] / (w[i].norm(dim=1, keepdim=True) + 1e-6) * norm[i] for i in names}
                kh = rms(rms(k[block, m]) @ p['k_map'][m].T)
                g, u = kh @ n_w['w1'].T, kh @ n_w['w3'].T
                s = torch.sigmoid(g)
                h = g * s * u
                err = h @ n_w['w2'].T - v[block, m] / v_scale
                dh = err @ n_w['w2']
                lr = [torch.nn.functional.softplus(xb @ p['lr_w'][i * M + m] + p['lr_b'][i * M + m])[:, None]
                      for i in range(3)]
                step = dict(w1=(lr[0] * dh * u * (s + g * s * (1 - s))).T @ kh, w2=(lr[1] * err).T @ h,
                            w3=(lr[2] * dh * g * s).T @ kh)
                theta = torch.sigmoid(xb @ p['mom_w'][m] + p['mom_b'][m]).mean()
                for i in names:
                    size = step[i].norm()
                    clipped, steps = clipped + int(size > cap[i]), steps + 1
                    mom[i] = theta * mom[i] + (step[i] * cap[i] / size if size > cap[i] else step[i])
                    w[i] = n_w[i] - mom[i]
                b = k[block, m] @ p['ev_k'][m].T * e**-0.25
                z = z + torch.cat((b.clamp(max=15).exp(), (-b).clamp(max=15).exp()), 1).sum(0)
            now = []
            for r in range(m * R, m * R + R):
                qt, st = q[t:t + C, r], swa[t:t + C, r]
                if left <= 0:
                    now.append(st)
                    continue
                qh = rms(rms(qt) @ p['q_map'][r].T)
                a = qh @ w['w1'].T
                o = (a * torch.sigmoid(a) * (qh @ w['w3'].T)) @ w['w2'].T
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
    loss = far(y) / far(swa)
    loss.backward()
    order = ('w1', 'w2', 'w3', 'q_map', 'k_map', 'ev_q', 'ev_k', 'gate_lse', 'alpha', 'gate_w', 'gate_b',
             'lr_w', 'mom_w', 'lr_b', 'mom_b')
    return loss.item(), clipped, steps, numpy.concatenate([p[i].grad.reshape(-1).numpy() for i in order])


def literal(value):
    text = '%.7g' % value
    return text + ('f' if '.' in text or 'e' in text else '.0f')


sizes = dict(d=10, H=4, M=2, e=8, f=16, C=8, S=2, W=16, L=64)
cases = [('steps are small', dict(clip=10.0, rate=-4.0, seed=1)),
         ('most steps are clipped', dict(clip=0.1, rate=-1.5, seed=2)),
         ('some steps are clipped', dict(clip=0.3, rate=-3.5, seed=3))]
print('/* SPDX-License-Identifier: Apache-2.0')
print(' *\n * Made by finetune.py: loss and gradients of a memory branch by PyTorch %s, double precision.\n */'
      % torch.__version__.split('+')[0])
print('/* clang-format off */\n#pragma once\n')
print('#include "tests/tools/branch_case.h"\n')
print('static const struct golden {\n    const char *name;\n    struct branch_case c;\n    double loss;\n'
      '    float gradients[%d]; /* in the order of parameters_table */\n} goldens[] = {' % (len(case(**sizes, **cases[0][1])[3]) + 1))
for name, c in cases:
    loss, clipped, steps, g = case(**sizes, **c)
    s = sizes
    print('    {"%s: %d of %d", {{%d, %d, %d, %d, %d, %d, %d, %s}, %d, %d, %s, %d}, %.9g, {' % (
        name, clipped, steps, s['d'], s['H'], s['M'], s['e'], s['f'], s['C'], s['S'], literal(c['clip']), s['L'], s['W'],
        literal(c['rate']), c['seed'], loss))
    line = '       '
    for value in g:
        text = ' %s,' % literal(value)
        if len(line) + len(text) > 100:
            print(line)
            line = '       '
        line += text
    print(line + ' 0}},')
print('};')
