# SPDX-License-Identifier: Apache-2.0
"""Runs scripts of keys against the program and compares screens: python3 run.py [-u] SCRIPT...

A script is read line by line; '#' begins a comment.
  home KIND        of homes.py: empty, model, book, wide, hostile, tree, two
  config TEXT      a line for config.ini
  set NAME=VALUE   in the environment
  size 80x24       before start; `resize 80x24` after it
  start [WORD...]  the program with these arguments
  key NAME...      Enter, Esc, Up, C-a, M-b, x ...
  type TEXT        as it stands;  paste TEXT: bracketed, \\n is a line break
  ready            wait until the session's model is loaded, and its message is gone
  wait TEXT        until the screen shows it;  gone TEXT: until it does not
  screen NAME      a case: the screen must become what the following lines say, each after a '|'
  cursor NAME R C  a case: the cursor stands in row R, column C, from 0
  exit NAME CODE   a case: the program ends with this status and leaves a sane terminal
In a screen, a row of three dots stands for any number of rows, and {{...}} is a regular expression.
Times, speeds and the folder of the test are replaced before the comparison. Output is TAP. With -u
screens without dots and expressions are replaced by what is there.
"""
import difflib
import os
import random
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from homes import Homes  # noqa: E402
from terminal import Terminal  # noqa: E402

MASKS = [
    (re.compile(r"\d+ tokens/s, [\d.]+ s to the first"), "N tokens/s, N s to the first"),
    (re.compile(r"  \d{4}-\d\d-\d\d( [\d:]*)?"), "  DATE"),
    (re.compile(r"memory +[\d.]+ .?B of +[\d.]+ .?B"), "memory N of N"),
    (re.compile(r"in \d+ s:"), "in N s:"),
]


class Failed(Exception):
    pass


class Script:
    def __init__(self, path, homes, tap, update):
        self.path, self.homes, self.tap, self.update = path, homes, tap, update
        with open(path, encoding="utf-8") as file:
            self.lines = file.read().split("\n")
        self.terminal = None
        self.home = homes.fresh("empty")
        self.size = (80, 24)
        self.env = {}
        self.replaced = {}  # first line of a screen -> (count, rows)

    def rows(self):
        text = self.terminal.text().replace(self.homes.work, "WORK")
        for pattern, name in MASKS:
            text = pattern.sub(name, text)
        rows = [row.rstrip() for row in text.split("\n")]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    @staticmethod
    def pattern(expected):
        parts = []
        for row in expected:
            if row == "...":
                parts.append(r"(?:.*\n)*?")
                continue
            pieces = re.split(r"\{\{(.*?)\}\}", row)
            parts.append("".join(p if i % 2 else re.escape(p) for i, p in enumerate(pieces)) + "\n")
        return re.compile("".join(parts))

    def do_screen(self, name, expected, at):
        while expected and not expected[-1]:
            expected.pop()
        pattern = self.pattern(expected)

        def matches(_):
            return pattern.fullmatch("".join(row + "\n" for row in self.rows())) is not None

        good = self.terminal.until(matches, 0.7 if self.update else 8)
        if not good and self.update and "..." not in expected and "{{" not in str(expected):
            self.replaced[at] = (len(expected), self.rows())
            good = True
        diff = "\n".join(difflib.unified_diff(expected, self.rows(), "expected", "found",
                                              lineterm="", n=50))
        self.tap(name, good, diff)

    def do_exit(self, name, code):
        t = self.terminal
        status = t.wait_exit()
        sane = t.cooked() if status is not None else False
        self.tap(name, status == int(code) and sane,
                 f"status {status}, expected {code}; sane terminal: {sane}\n{t.text()}")

    def do(self, word, rest):
        t = self.terminal
        if word == "home":
            self.home = self.homes.fresh(rest)
        elif word == "config":
            os.makedirs(os.path.join(self.home, "config"), exist_ok=True)
            with open(os.path.join(self.home, "config", "config.ini"), "a", encoding="utf-8") as f:
                f.write(rest + "\n")
        elif word == "set":
            name, _, value = rest.partition("=")
            self.env[name] = value
        elif word == "size":
            self.size = tuple(map(int, rest.split("x")))
        elif word == "resize":
            t.resize(*map(int, rest.split("x")))
        elif word == "start":
            env = {**self.homes.environment(self.home), **self.env}
            self.terminal = Terminal([self.homes.allmem, *rest.split()], env, self.homes.texts,
                                     *self.size)
        elif word == "key":
            for name in rest.split():
                t.key(name)
        elif word == "type":
            t.send(rest)
        elif word == "paste":
            t.paste(rest.encode().decode("unicode_escape").encode("latin-1").decode())
        elif word == "ready":
            if not t.wait("no adapter for"):
                raise Failed(f"the session did not open:\n{t.text()}")
            t.key("C-l")
            t.until(lambda x: "no adapter for" not in x.text())
        elif word == "wait":
            if not t.wait(rest):
                raise Failed(f"'{rest}' did not come:\n{t.text()}")
        elif word == "gone":
            if not t.until(lambda x: rest not in x.text()):
                raise Failed(f"'{rest}' did not go:\n{t.text()}")
        elif word == "cursor":
            name, row, column = rest.rsplit(" ", 2)
            at = (int(row), int(column))
            good = t.until(lambda x: (x.screen.y, x.screen.x) == at, 3)
            self.tap(name, good, f"cursor at {(t.screen.y, t.screen.x)}, expected {at}")
        elif word == "exit":
            self.do_exit(*rest.rsplit(" ", 1))
        else:
            raise Failed(f"unknown word {word}")

    def run(self):
        i = 0
        try:
            while i < len(self.lines):
                line, at = self.lines[i], i
                i += 1
                if not line.strip() or line.startswith("#"):
                    continue
                word, _, rest = line.partition(" ")
                if word == "screen":
                    expected = []
                    while i < len(self.lines) and self.lines[i].startswith("|"):
                        expected.append(self.lines[i][1:].rstrip())
                        i += 1
                    self.do_screen(rest, expected, at)
                else:
                    self.do(word, rest)
        except (Failed, OSError, ValueError, RuntimeError, TimeoutError) as error:
            self.tap(f"{os.path.basename(self.path)}, line {i}", False, str(error))
        finally:
            if self.terminal:
                self.terminal.close()
        self.save()

    def save(self):
        for at in sorted(self.replaced, reverse=True):
            count, rows = self.replaced[at]
            self.lines[at + 1:at + 1 + count] = ["|" + row for row in rows]
        if self.replaced:
            with open(self.path, "w", encoding="utf-8") as file:
                file.write("\n".join(self.lines))


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def __call__(self, name, good, detail=""):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}", flush=True)
        if not good:
            print("\n".join("# " + line for line in detail.split("\n")), flush=True)

    def finish(self):
        print(f"1..{self.count}")
        return 1 if self.failed else 0


def folder_of_digits():
    """A new folder. Its path is read as part of some texts, and its digits are always as many tokens,
    which letters are not."""
    while True:
        name = os.path.join(tempfile.gettempdir(), f"allmem-ui-{random.randrange(10**8):08}")
        try:
            os.mkdir(name, 0o700)
            return name
        except FileExistsError:
            pass


def main(arguments):
    update = "-u" in arguments
    tap = Tap()
    work = folder_of_digits()
    try:
        homes = Homes(work, os.environ["ALLMEM"], os.environ["TINY"])
        for path in (a for a in arguments if a != "-u"):
            print("# " + os.path.basename(path))
            Script(path, homes, lambda name, good, detail="", p=path: tap(
                f"{os.path.basename(p).removesuffix('.ui')}: {name}", good, detail), update).run()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
