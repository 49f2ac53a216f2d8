#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a model's memories are worth on texts, with the controls, by `allmem eval` on excerpts.

  tests/bench/worth.py ALLMEM MODEL.gguf TEXT TEXT... [--tokens N --window W --keep B --merge G] [--row NAME]...

Excerpts are spread evenly over each text and begin at a line. The memory "of another text" is that of the first
text's excerpt; for the first text, of the second's. Rows with an adapter appear where MODEL.adapter.gguf is there; they merge as
its sessions do, which without kept tokens have more places for it.
Figures are mean NLL of the tokens from W + 64 on, where the first of them have left the window. --row measures only
the rows of these names. --log FILE keeps every figure and is read again, so that an interrupted run goes on and --row can add to
it. A cell tells of the excerpts that have been measured; how many, if not all.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

CHUNK = 64
FULL, SWA = "full attention", "window and sinks"


def excerpts(path, count, size):
    text = open(path, "rb").read()
    for i in range(count):
        at = text.index(b"\n", (len(text) - size) * i // max(count - 1, 1)) + 1
        yield text[at:at + size].decode(errors="ignore")


def has_adapter(model):
    return os.path.exists(model.removesuffix(".gguf") + ".adapter.gguf")


def buckets(args, options, tokens, bucket, text, other):
    """What `allmem eval` says of each bucket of tokens of a text, read with the memory of another one unless that is None."""
    command = [args.allmem, "eval", "-m", args.model, "--json", "-q", "--window", str(args.window), "--tokens", str(tokens),
               "--bucket", str(bucket), "--threads", str(args.threads), "--text", text] + options
    run = subprocess.run(command + (["--other", other] if other else []), capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{' '.join(command)}: {run.stderr}")
    return json.loads(run.stdout)["buckets"]


def rows(args):
    """Name, options and whether another text's memory is read."""
    merge, keep = ["--merge", str(args.merge)], ["--keep", str(args.keep)]
    none, alone = ["--merge", "0"], ["--keep", "0"]
    window, memory = ["--mode", "window"], ["--mode", "memory"]
    yield FULL, ["--mode", "full"], False
    yield SWA, window + alone + none, False
    yield f"G {args.merge}", window + alone + merge, False
    yield f"G {args.merge} of another text", window + alone + merge, True
    yield f"B {args.keep}", window + keep + none, False
    yield f"B {args.keep}, G {args.merge}", window + keep + merge, False
    yield f"B {args.keep}, G {args.merge} of another text", window + keep + merge, True
    if has_adapter(args.model):
        for name, kept in (("adapter", alone), (f"B {args.keep}, adapter", keep)):
            yield name, memory + kept, False
            yield f"{name}, no writes", memory + kept + ["--no-writes"], False
            yield f"{name}, memory of another text", memory + kept, True


def nll(args, options, text, other):
    every = buckets(args, options, args.tokens, CHUNK, text, other)
    past = [b for b in every if b["from"] >= args.window + CHUNK]
    return sum(b["nll"] * (b["to"] - b["from"]) for b in past) / sum(b["to"] - b["from"] for b in past)


def measure(args, folder):
    figures = {}
    if args.log and os.path.exists(args.log):
        for line in open(args.log, encoding="utf8"):
            name, text, i, value = line.rstrip("\n").split("\t")
            figures[name, text, int(i)] = float(value)
    files = {}
    for text in args.texts:
        for i, part in enumerate(excerpts(text, args.excerpts, 8 * args.tokens)):
            files[text, i] = os.path.join(folder, f"{len(files)}.txt")
            with open(files[text, i], "w", encoding="utf8", newline="") as f:
                f.write(part)
    for text, i in sorted(files, key=lambda f: f[1]):
        other = files[args.texts[1 if text == args.texts[0] else 0], i]
        for name, options, of_other in rows(args):
            if (name, text, i) not in figures and (not args.row or name in args.row):
                figures[name, text, i] = nll(args, options, files[text, i], other if of_other else None)
                if args.log:
                    with open(args.log, "a", encoding="utf8") as f:
                        f.write(f"{name}\t{text}\t{i}\t{figures[name, text, i]:.6f}\n")
    return figures


def cell(args, figures, name, text):
    """The mean, how much less than the window's it is, and that as a share of the gap to full attention: in the mean and
    (least to most of the excerpts). As a share, the mean is that of the sums."""
    have = [i for i in range(args.excerpts) if all((n, text, i) in figures for n in (name, SWA, FULL))]
    if not have:
        return ""
    own = [figures[name, text, i] for i in have]
    gains = [figures[SWA, text, i] - figures[name, text, i] for i in have]
    gaps = [figures[SWA, text, i] - figures[FULL, text, i] for i in have]
    mean = f"{sum(own) / len(own):.3f}"
    some = "" if len(have) == args.excerpts else f" of {len(have)}"
    if name == SWA:
        return mean + some
    shares = [100 * gain / gap for gain, gap in zip(gains, gaps)]
    return (f"{mean}, {sum(gains) / len(gains):+.3f} ({min(gains):+.3f} to {max(gains):+.3f}), "
            f"{100 * sum(gains) / sum(gaps):.0f} % ({min(shares):.0f} to {max(shares):.0f}){some}")


def table(args, figures):
    print("| | " + " | ".join(os.path.basename(t) for t in args.texts) + " |\n|---|" + "---|" * len(args.texts))
    for name, _, _ in rows(args):
        cells = [cell(args, figures, name, text) for text in args.texts]
        if any(cells):
            print(f"| {name} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("allmem")
    parser.add_argument("model")
    parser.add_argument("texts", nargs="+")
    for name, value in (("tokens", 1024), ("window", 128), ("keep", 128), ("merge", 64), ("excerpts", 5), ("threads", 0)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--log")
    parser.add_argument("--row", action="append")
    args = parser.parse_args()
    if len(args.texts) < 2:
        parser.error("one text has no other: expected at least 2")
    with tempfile.TemporaryDirectory() as folder:
        table(args, measure(args, folder))


if __name__ == "__main__":
    main()
