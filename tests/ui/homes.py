# SPDX-License-Identifier: Apache-2.0
"""Homes of the program to test in: made once by the command line, copied for every script."""
import os
import shutil
import subprocess

BOOK = "\n".join(
    ["The Lighthouse at Skerry Point", "", "Chapter 1. The keeper", ""]
    + [f"On day {i} the keeper Tobias Wren wrote in the log that the sea was calm and the lamp was "
       f"trimmed {i} times." for i in range(1, 41)]
    + ["", "Chapter 2. The storm", "",
       "In the great storm of 1887 the schooner Marigold broke upon the northern reef.",
       "Tobias Wren rowed out alone and saved the captain, whose name was Ebenezer Holt.",
       "The captain gave him a brass compass, which hung in the lamp room ever after.", ""]
    + [f"On night {i} after the storm the lamp burned without a pause." for i in range(1, 41)]
) + "\n"

WIDE = "\n".join([
    "\u5bd2\u3044\u51ac\u306e\u591c\u306b\u732b\u304c\u9cf4\u3044\u305f\u3002" * 6,
    "Emoji stand here: \U0001F600\U0001F680 and a family \U0001F468\u200d\U0001F469\u200d\U0001F467 end.",
    "Combining: e\u0301 a\u0308 n\u0303 and a stack o" + "\u0301" * 40 + " end.",
    "\u0394\u03bf\u03ba\u03b9\u03bc\u03ae \u043f\u0440\u043e\u0431\u0430 \u05d1\u05d3\u05d9\u05e7\u05d4.",
]) + "\n"

HOSTILE = (
    "A title: \x1b]0;PWNED-TITLE\x07 after.\n"
    "Colours: \x1b[31;45;5m red? \x1b[0m plain.\n"
    "A question to the terminal: \x1b[6n \x1b[c \x1b]52;c;UFdORUQ=\x07 none.\n"
    "Device: \x1bP$qm\x1b\\ and APC \x1b_PWNED\x1b\\ and C1 \u009b31m \u009d0;x\u009c end.\n"
    "Paste end \x1b[201~ rm -rf end. Carriage\rreturn. Backspace\b\b. Bell\a.\n"
    "Bidi \u202eDENWP\u202c end. Hidden\u200bspace.\n" * 3
)


# Writes into the file; called with a line ("+7 FILE"), it ends with that as its status, and 100 more
# when the file is one that the program wrote for it.
EDITOR = """#!/bin/sh
case $1 in
+*) case $2 in */state/text-*) exit $((${1#+} + 100)) ;; *) exit "${1#+}" ;; esac ;;
esac
printf ', and more\\n' >> "$1"
"""


class Homes:
    def __init__(self, work, allmem, tiny):
        self.work, self.allmem = work, allmem
        self.model = os.path.join(work, "tiny.gguf")
        subprocess.run([tiny, self.model], check=True)
        self.texts = os.path.join(work, "texts")
        os.mkdir(self.texts)
        self.write("book.txt", BOOK)
        self.write("wide.txt", WIDE)
        self.write("hostile.txt", HOSTILE)
        self.write("tree/one/first.txt", "The first file tells of a heron that fishes at dawn.\n")
        self.write("tree/one/second.txt", "The second file tells of an otter.\n")
        self.write("tree/two/third.md", "# Third\n\nA beaver builds a dam.\n")
        with open(os.path.join(self.texts, "tree/two/blob.bin"), "wb") as file:
            file.write(bytes(range(256)) * 8)
        self.write(".hidden/secret.txt", "Nothing.\n")
        for n in (1, 2):
            self.write(f".names/The letters of the keeper of Skerry Point to his sister, volume {n}.txt",
                       f"Letter {n} is short.\n")
        self.write(".names/\u706f\u53f0\u5b88\u304c\u59b9\u306b\u5b9b\u3066\u305f\u624b\u7d19\u306e"
                   "\u5168\u96c6\u3068\u65e5\u8a18\u3001\u5168\u4e8c\u5dfb\u306e\u3046\u3061\u7b2c\u4e00\u5dfb"
                   "e\u0301.txt", "A letter.\n")
        self.write(".names/folder/blob with a name of some length, so that its end is not seen.bin", "\0")
        self.write(".names/folder/An otter.txt", "An otter.\n")
        self.write("editor", EDITOR)
        os.chmod(os.path.join(self.texts, "editor"), 0o755)
        self.write("long.txt", "".join(f"Line {i} of a long text that takes a while.\n"
                                       for i in range(20000)))
        self.made = {}

    def write(self, name, text):
        path = os.path.join(self.texts, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)

    def environment(self, home):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("ALLMEM", "XDG_", "LC_", "LANG"))}
        env.update(ALLMEM_HOME=home, TERM="xterm-256color", LANG="C.UTF-8", TZ="UTC",
                   ALLMEM_OFFLINE="yes", HOME=self.work)
        env.pop("NO_COLOR", None)
        return env

    def run(self, home, *words):
        done = subprocess.run([self.allmem, *words], env=self.environment(home), cwd=self.texts,
                              stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode not in (0, 3):
            raise RuntimeError(f"{words}: {done.returncode} {done.stderr.decode()}")

    def make(self, kind):
        home = os.path.join(self.work, "made-" + kind)
        if kind == "empty":
            os.mkdir(home)
        elif kind == "model":
            os.mkdir(home)
            self.run(home, "model", "add", self.model, "--name", "tiny")
        else:
            shutil.copytree(self.of("model"), home, symlinks=True)
            for name in {"two": ["book.txt", "wide.txt"]}.get(kind, [kind]):
                session = name.split(".")[0]
                path = {"tree": "tree", "names": ".names"}.get(name, session + ".txt")
                self.run(home, "ingest", "-m", "tiny", "-s", session, path)
        return home

    def of(self, kind):
        if kind not in self.made:
            self.made[kind] = self.make(kind)
        return self.made[kind]

    def fresh(self, kind):
        """A copy of its own, at the same place every time, for it may show on the screen."""
        home = os.path.join(self.work, "home")
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.of(kind), home, symlinks=True)
        return home
