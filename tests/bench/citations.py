#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether what `allmem ask` prints from a saved session is true.

  tests/bench/citations.py ALLMEM SESSION QUESTIONS [-n TOKENS]

QUESTIONS has one question a line. Run it in the folder in which the session was ingested, with the
files as they were: each citation is looked up in the file itself, by the name and the lines or the
page that were printed. Counted are
  citations   those printed, and those that stand byte for byte where they say;
  quotations  what an answer has in quotation marks, four words or more, and those of them that
              stand in some source or in the question, white space and a last punctuation mark aside;
  codes       exit 0 with sources, or 3 without.
A text file is compared with the lines of the file; a PDF with the page as pdftotext gives it. HTML
and other markup have no lines of their own: the quote must stand in the lines of the text that the
session holds (`source show`), and its letters and digits, in this order, in the file. What the
program wrote itself (the list of a tree) is compared with `source show` alone.
"""
import argparse
import collections
import gzip
import html.parser
import json
import re
import subprocess
import sys


def call(*words):
    run = subprocess.run(words, capture_output=True, text=True)
    return run.returncode, run.stdout, run.stderr


class Letters(html.parser.HTMLParser):
    """The text of a page, without scripts and styles."""

    def __init__(self):
        super().__init__()
        self.parts, self.deaf = [], 0

    def handle_starttag(self, tag, attrs):
        self.deaf += tag in ("script", "style")

    def handle_endtag(self, tag):
        self.deaf -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.deaf:
            self.parts.append(data)


def letters(text):
    return "".join(c for c in text if c.isalnum())


def raw(path):
    data = open(path, "rb").read()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


class Session:
    def __init__(self, allmem, name):
        self.allmem, self.name, self.files = allmem, name, {}
        code, out, err = call(allmem, "source", "-s", name, "list", "--json")
        if code != 0:
            sys.exit(err)
        self.kinds = {row["source"]: row["kind"] for row in json.loads(out)}
        self.stored = None

    def show(self, place):
        code, out, err = call(self.allmem, "source", "-s", self.name, "show", place, "--json")
        if code != 0:
            sys.exit(err)
        return json.loads(out)["text"]

    def whole(self):
        """All stored texts, white space squeezed, to look quotations up in."""
        if self.stored is None:
            self.stored = " ".join(" ".join(self.show(s).split()) for s in self.kinds)
        return self.stored

    def in_file(self, c):
        """What is wrong with citation c, compared with the file; None: nothing."""
        source, kind = c["source"], self.kinds[c["source"]]
        if kind in ("text", "markdown", "code"):
            if source not in self.files:
                text = raw(source).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
                self.files[source] = text.split("\n")
            lines = self.files[source][c["first_line"] - 1:c["last_line"]]
            return None if starts_and_ends("\n".join(lines), c["quote"]) else "not in these lines"
        if kind == "pdf":
            page = str(c["page"])
            out = call("pdftotext", "-f", page, "-l", page, "-enc", "UTF-8", source, "-")[1]
            return None if c["quote"] in out else "not on this page"
        if kind == "html":
            if source not in self.files:
                reader = Letters()
                reader.feed(raw(source).decode("utf8"))
                self.files[source] = letters("".join(reader.parts))
            return None if letters(c["quote"]) in self.files[source] else "not in the file"
        return None

    def check(self, c):
        place = f'{c["source"]}, lines {c["first_line"]}-{c["last_line"]}'
        if c["source"] not in self.kinds:
            return "no such source"
        if not c["quote"].strip():
            return "an empty quote"
        if not starts_and_ends(self.show(place), c["quote"]):
            return "not in the lines of the stored text"
        return self.in_file(c)


def starts_and_ends(lines, quote):
    """Whether the quote stands in the lines, begins in the first and ends in the last of them."""
    lines = lines.rstrip("\n")
    at = lines.find(quote)
    while at >= 0 and ("\n" in lines[:at] or "\n" in lines[at + len(quote):]):
        at = lines.find(quote, at + 1)
    return at >= 0


def quotations(answer):
    spans = re.findall(r'"([^"]+)"|\u201c([^\u201d]+)\u201d|\u00ab([^\u00bb]+)\u00bb', answer)
    return [" ".join(s.split()) for groups in spans for s in groups if len(s.split()) >= 4]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("allmem")
    p.add_argument("session")
    p.add_argument("questions")
    p.add_argument("-n", default="120", help="tokens of each answer at most")
    args = p.parse_args()
    session = Session(args.allmem, args.session)
    count, kinds = collections.Counter(), collections.Counter()
    for question in open(args.questions, encoding="utf8").read().splitlines():
        code, out, err = call(args.allmem, "ask", "-s", args.session, "--json", "-n", args.n, "--", question)
        count["questions"] += 1
        if code not in (0, 3):
            sys.exit(f"{question}: exit {code}: {err}")
        a = json.loads(out)
        if (code == 3) != (not a["supported"]) or (code == 3 and a["citations"]):
            print(f"WRONG CODE {code}: {question}")
            count["wrong codes"] += 1
        count["exit 3"] += code == 3
        for c in a["citations"]:
            wrong = session.check(c)
            count["citations"] += 1
            kinds[session.kinds.get(c["source"])] += 1
            count["true citations"] += wrong is None
            if wrong:
                print(f"FALSE: {question}\n  {wrong}: {c}")
        for q in quotations(a["answer"]) if code == 0 else []:
            true = q.rstrip(".,;:!?") in session.whole() + " ".join(question.split())
            count["quotations"] += 1
            count["true quotations"] += true
            if not true:
                print(f"NOT A QUOTATION: {question}\n  {q}")
    print(f'{args.session}: {count["questions"]} questions, {count["exit 3"]} without support, '
          f'{count["wrong codes"]} wrong codes; citations {count["true citations"]} true of '
          f'{count["citations"]} ({dict(kinds)}); quotations {count["true quotations"]} true of '
          f'{count["quotations"]}')


if __name__ == "__main__":
    main()
