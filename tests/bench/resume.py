#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How soon `allmem ask` answers from a saved session, and where the time goes.

  tests/bench/resume.py ALLMEM SESSION QUESTION [ROUNDS]

Each round asks twice. Once as a person does, at temperature 0: the time from the start of the process
to the first byte of the answer, and the answer's bytes, which must be the same in each round. Once
with --json and one token, for the parts that the program times itself: the model's load, the memory's
load, the search, the reading of the prompt. `rest` is what this second process took beyond the
model's load and the prompt's reading, its end included.
"""
import json
import statistics
import subprocess
import sys
import time


def first_byte(words):
    begin = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    first = process.stdout.read(1)
    seconds = time.monotonic() - begin
    rest = process.stdout.read()
    if process.wait() != 0:
        sys.exit(f"exit {process.returncode}")
    return seconds, first + rest


def main():
    allmem, session, question = sys.argv[1:4]
    words = [allmem, "ask", "-s", session, "--temp", "0"]
    rounds, answers = [], set()
    for _ in range(int(sys.argv[4]) if len(sys.argv) > 4 else 5):
        seconds, answer = first_byte([*words, question])
        answers.add(answer)
        begin = time.monotonic()
        run = subprocess.run([*words, "--json", "-n", "1", question], capture_output=True, check=True)
        whole = time.monotonic() - begin
        a = json.loads(run.stdout)
        rounds.append({
            "process to first byte": seconds,
            "model": a["model_seconds"],
            "memory": a["memory_seconds"],
            "search": a["retrieval_seconds"],
            "prompt": a["prefill_seconds"],
            "first token after it": a["first_token_seconds"] - a["prefill_seconds"],
            "rest": whole - a["model_seconds"] - a["prefill_seconds"],
        })
    print(f'{a["prefill_tokens"]} tokens of prompt; {len(answers)} different answers in {len(rounds)} rounds')
    for name in rounds[0]:
        values = [r[name] for r in rounds]
        print(f"{name:22} {statistics.median(values):8.3f} s  ({min(values):.3f} to {max(values):.3f})")


if __name__ == "__main__":
    main()
