#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `allmem ask` finds in a saved session, and what it says of questions that have no answer there.

  tests/bench/sessions.py plant FOLDER SEED [--bytes N]   writes a text with 100 planted facts to read
                                                          in, and FOLDER.tsv with their questions
  tests/bench/sessions.py facts ALLMEM SESSION FOLDER.tsv share of facts that a citation shows
  tests/bench/sessions.py absent ALLMEM SESSION FILE      questions, one a line: share with exit 3

The facts are those of retrieval.py under another seed, at even depths of the anarchism FAQ (Debian's
anarchism). A fact is found when one of the citations has it within its lines, and first when that is
citation 1. Answers are cut after one token: who cites is the program.
"""
import argparse
import collections
import json
import os
import subprocess
import sys

import retrieval


def ask(allmem, session, question):
    run = subprocess.run([allmem, "ask", "-s", session, "--json", "-n", "1", "--", question],
                         capture_output=True, text=True)
    if run.returncode not in (0, 3):
        sys.exit(f"{question}: exit {run.returncode}: {run.stderr}")
    return run.returncode, json.loads(run.stdout)


def plant(args):
    files, size = [], 0
    for name, text in retrieval.texts()["anarchism"]:
        if name.startswith("sec") and size < args.bytes:
            files.append((name, text))
            size += len(text)
    rows = retrieval.facts(args.seed, 100)
    os.makedirs(args.folder)
    for name, text in retrieval.plant(files, rows):
        with open(os.path.join(args.folder, name), "w", encoding="utf8", newline="") as f:
            f.write(text)
    with open(args.folder.rstrip("/") + ".tsv", "w", encoding="utf8") as f:
        f.writelines(f"{question}\t{fact}\n" for fact, question in rows)
    print(f"{len(files)} files, {size} characters, {len(rows)} facts")


def facts(args):
    found = first = unsupported = all = 0
    depths = collections.Counter()
    rows = [line.rstrip("\n").split("\t") for line in open(args.rows, encoding="utf8")]
    for i, (question, fact) in enumerate(rows):
        code, a = ask(args.allmem, args.session, question)
        place = 0
        for c in a["citations"]:
            where = f'{c["source"]}, lines {c["first_line"]}-{c["last_line"]}'
            shown = subprocess.run([args.allmem, "source", "-s", args.session, "show", where],
                                   capture_output=True, text=True, check=True).stdout
            if not place and fact in " ".join(shown.split()):
                place = c["id"]
        all += 1
        unsupported += code == 3
        found += place > 0
        first += place == 1
        depths[i * 10 // len(rows)] += place > 0
        if not place:
            print(f"missed (exit {code}): {question}")
    print(f"{args.session}: found {found} of {all}, first {first}, exit 3 {unsupported}; by tenth of "
          f"depth {[depths[d] for d in range(10)]}")


def absent(args):
    questions = open(args.rows, encoding="utf8").read().splitlines()
    three = 0
    for question in questions:
        code, a = ask(args.allmem, args.session, question)
        three += code == 3 and not a["citations"]
        if code != 3:
            print(f'exit {code}: {question}\n  {a["citations"][0]["quote"][:200] if a["citations"] else ""}')
    print(f"{args.session}: exit 3 without sources {three} of {len(questions)}")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    sub = p.add_subparsers(required=True)
    one = sub.add_parser("plant")
    one.add_argument("folder")
    one.add_argument("seed", type=int)
    one.add_argument("--bytes", type=int, default=1350000)
    one.set_defaults(run=plant)
    for name, run in (("facts", facts), ("absent", absent)):
        one = sub.add_parser(name)
        one.add_argument("allmem")
        one.add_argument("session")
        one.add_argument("rows")
        one.set_defaults(run=run)
    args = p.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
