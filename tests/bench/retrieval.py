#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How well retrieval finds and how well it knows what is not there.

  tests/bench/retrieval.py BUILD_DIR [dev|test|both]

Needs Debian's anarchism, jargon-text and python3-doc (texts to search), and bench_retrieval in the
build folder. Three figures for each half of the data:
  facts      100 made-up facts planted at depths 0 to 100 % of three texts, asked for in other words:
             share for which the passage with the fact is among those found, and is first;
  supported  natural questions on the anarchism FAQ and the Jargon File: share judged supported;
  unsupported  questions on other subjects, asked of each text: share judged unsupported.
The rule was chosen on the "dev" half alone; quote the "test" half.
"""
import glob
import gzip
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# What the text says, what is asked, what the passage must hold. {0} {1} {2} are made up.
FACTS = [
    ("The old ferry at {0} was sold to {1} for {2} crowns.",
     "How much did {1} pay for the boat at {0}?"),
    ("{0} kept her grandmother's letters in a box of {2} wood under the stairs.",
     "Where did {0} store the correspondence of her grandmother?"),
    ("In the spring {0} planted {2} plum trees behind the mill of {1}.",
     "How many fruit trees did {0} put behind {1}'s mill?"),
    ("The password to the archive in {0} is {2}, as {1} told the porter.",
     "Which password opens the {0} archive?"),
    ("Doctor {0} cured the fever of {1} with an extract of {2}.",
     "What medicine did Dr {0} give to {1}?"),
    ("The committee chose {0} as its treasurer because {1} had moved to {2}.",
     "Who became treasurer of the committee after {1} left?"),
    ("The lighthouse of {0} flashes every {2} seconds.",
     "What is the interval of the {0} lighthouse?"),
    ("{0} learned to play the {2} from a blind monk in {1}.",
     "Which instrument did the monk of {1} teach {0}?"),
    ("For the feast {0} cooked a soup of {2} and leeks.",
     "What did {0} prepare to eat at the feast?"),
    ("The bell of {0} cracked on the day that {1} was crowned.",
     "When did the {0} bell break?"),
    ("{0} walked from {1} to the coast in {2} days.",
     "How long did {0} need to get from {1} to the sea?"),
    ("The library of {0} lends no book bound in {2} leather.",
     "Which bindings does the {0} library not give out?"),
    ("Colonel {0} lost his left glove at the battle of {1}.",
     "What did {0} lose during the fight at {1}?"),
    ("The recipe of {0}'s ink calls for {2} and rain water.",
     "What are the ingredients of the ink made by {0}?"),
    ("{0} named the comet after her dog {1}.",
     "After whom is the comet of {0} called?"),
    ("The train to {0} leaves platform {2} before sunrise.",
     "From which platform does one depart for {0}?"),
    ("A clerk called {0} found the missing seal of {1} inside a loaf.",
     "Who discovered the lost {1} seal?"),
    ("{0} wore a coat of {2} when he met the envoy of {1}.",
     "How was {0} dressed for the meeting with the {1} envoy?"),
    ("The widow {0} rented her attic to a painter from {1}.",
     "To whom did {0} let a room?"),
    ("Nobody in {0} may whistle after dark, on pain of {2} lashes.",
     "What is forbidden at night in {0}?"),
]
SYLLABLES = ["ba", "dor", "vel", "min", "tash", "ko", "rin", "gul", "per", "zan", "mo", "lith", "que",
             "sar", "wen", "ibb", "on", "tar", "fen", "lor"]
THINGS = ["cedar", "pear", "hawthorn", "tansy", "fennel", "juniper", "seven", "forty", "eleven",
          "thirteen", "turnip", "barley", "goat", "otter", "zither", "lute", "flute", "linen"]


def made_up(rng, used):
    while True:
        name = "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((2, 3)))).capitalize()
        if name not in used:
            used.add(name)
            return name


def facts(seed, count):
    rng, used, rows = random.Random(seed), set(), []
    for i in range(count):
        fact, question = FACTS[i % len(FACTS)]
        fill = (made_up(rng, used), made_up(rng, used), rng.choice(THINGS))
        rows.append((fact.format(*fill), question.format(*fill)))
    rng.shuffle(rows)
    return rows


def texts():
    """name -> list of (file name, text)"""
    read = lambda p: (gzip.open(p) if p.endswith(".gz") else open(p, "rb")).read().decode("utf8", "replace")
    base = "/usr/share/doc/"
    return {
        "anarchism": [(os.path.basename(p)[:-3], read(p))
                      for p in sorted(glob.glob(base + "anarchism/markdown/*.md.gz"))],
        "jargon": [("jargon.txt", read(base + "jargon-text/jargon.txt.gz"))],
        "python": [(os.path.relpath(p, base + "python3.11/html/_sources").replace("/", "-"), read(p))
                   for p in sorted(glob.glob(base + "python3.11/html/_sources/**/*.txt", recursive=True))],
    }


def plant(files, rows):
    """The facts at even depths of the whole, each at the end of a paragraph."""
    total = sum(len(t) for _, t in files)
    out, before, todo = [], 0, list(enumerate(rows))
    for name, text in files:
        parts, at = [], 0
        while todo and total * todo[0][0] / len(rows) < before + len(text):
            depth = int(total * todo[0][0] / len(rows)) - before
            cut = text.find("\n\n", max(depth, at))
            if cut < 0:
                break
            parts += [text[at:cut], "\n" + todo.pop(0)[1][0]]
            at = cut
        parts.append(text[at:])
        out.append((name, "".join(parts)))
        before += len(text)
    if todo:
        name, text = out[-1]
        out[-1] = (name, text + "".join("\n\n" + row[0] for _, row in todo))
    return out


def ask(build, files, questions):
    """questions: (question, words that the right passage holds or "") -> rows of columns"""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files:
            with open(os.path.join(folder, name), "w", encoding="utf8", newline="") as f:
                f.write(text)
        lines = "".join(q + "\t" + expected + "\n" for q, expected in questions)
        run = subprocess.run([os.path.join(build, "tests/bench_retrieval"), folder], text=True,
                             input=lines, capture_output=True, check=True)
    print("   ", run.stderr.strip().replace("\n", "; "))
    return [line.split("\t") for line in run.stdout.splitlines()]


def measure(build, half):
    library = texts()
    table = [line.rstrip("\n").split("\t") for line in open(os.path.join(HERE, "retrieval_questions.tsv"))]
    table = [row for row in table if row[0] == half]
    among = first = planted = 0
    yes, yes_all, no, no_all, wrong = 0, 0, 0, 0, []
    for i, (name, files) in enumerate(library.items()):
        print(f"{half}, {name}:")
        rows = facts({"dev": 1000, "test": 2000}[half] + i, (34, 33, 33)[i])
        natural = [r[3] for r in table if r[1] == name]
        absent = [r[3] for r in table if r[1] == "any"]
        answers = ask(build, plant(files, rows), [(q, f) for f, q in rows])
        for a in answers:
            planted += 1
            among += a[2] != "0" and a[0] == "1"
            first += a[2] == "1"
            if a[2] == "0" or a[0] == "0":
                wrong.append(("fact", name, a))
        answers = ask(build, files, [(q, "") for q in natural + absent])
        for a in answers[:len(natural)]:
            yes_all += 1
            yes += a[0] == "1"
            if a[0] == "0":
                wrong.append(("supported", name, a))
        for a in answers[len(natural):]:
            no_all += 1
            no += a[0] == "0"
            if a[0] == "1":
                wrong.append(("unsupported", name, a))
    print(f"{half}: facts found {among}/{planted}, first {first}; supported {yes}/{yes_all}; "
          f"unsupported {no}/{no_all}")
    if os.environ.get("VERBOSE"):
        for kind, name, a in wrong:
            print("  missed:", kind, name, *a)


def main():
    build = sys.argv[1]
    wanted = sys.argv[2] if len(sys.argv) > 2 else "both"
    for half in ("dev", "test"):
        if wanted in (half, "both"):
            measure(build, half)


if __name__ == "__main__":
    main()
