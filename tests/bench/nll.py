#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What faster kernels cost in accuracy: mean NLL of a text by every kernel set.

    nll.py ALLMEM TEXT MODEL.gguf... [--tokens 1024] [--sets reference,avx2,avx512bf16] [--threads 1]

Printed: the NLL of the first set, and how much the others' is above it, in nats. One run at a time; the
reference set takes minutes.
"""
import argparse
import json
import os
import subprocess
import sys


def nll(args, kernels, model):
    command = [args.allmem, "eval", "-m", model, "--mode", "full", "--tokens", str(args.tokens),
               "--threads", str(args.threads), "--backend=cpu", "--json", "--text", args.text]
    environment = dict(os.environ, ALLMEM_KERNELS=kernels)
    out = subprocess.run(command, check=True, capture_output=True, env=environment).stdout
    return json.loads(out)["nll"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("allmem")
    parser.add_argument("text")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sets", default="reference,avx2,avx512bf16")
    args = parser.parse_args()
    first, *others = args.sets.split(",")
    print(f"{'model':24} {first:>12}" + "".join(f" {kernels:>12}" for kernels in others))
    for model in args.models:
        base = nll(args, first, model)
        row = f"{os.path.basename(model)[:24]:24} {base:12.5f}"
        for kernels in others:
            row += f" {nll(args, kernels, model) - base:+12.5f}"
        print(row)
        sys.stdout.flush()


main()
