# SPDX-License-Identifier: Apache-2.0
"""Hours of use in minutes, by hand: python3 soak.py MINUTES [SEED], with ALLMEM and TINY as for run.py.

Goes through all views with sizes that change, questions, stops, openings, readings and an editor, and
writes a line of figures a minute: descriptors, memory, threads, and the time that the program took in
two seconds without a key. Ends with 1 when a descriptor was left open, when something was computed
without a cause, or when the program ended otherwise than as it was told; a sanitised program says
itself what leaked."""
import os
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from homes import Homes  # noqa: E402
from terminal import Terminal  # noqa: E402

SIZES = [(80, 24), (200, 60), (100, 30), (60, 15), (20, 5), (110, 30)]
QUESTIONS = ["Who gave Tobias Wren a brass compass?", "What is the airspeed of a zebra?",
             "What happened in the great storm?", "What is this about?"]


class Soak:
    def __init__(self, homes, seed):
        self.homes, self.random = homes, random.Random(seed)
        self.done, self.open = {}, None
        env = homes.environment(homes.fresh("two"))
        env["EDITOR"] = "./editor"
        self.t = Terminal([homes.allmem, "book"], env, homes.texts, 80, 24)
        self.t.wait("ask>")

    def pause(self, seconds):
        self.t.until(lambda x: False, seconds)

    def keys(self, *names):
        for name in names:
            self.t.key(name)
            self.pause(0.02)

    # ---- what a person does

    def ask(self):
        self.keys("M-1", "C-u")
        self.t.send(self.random.choice(QUESTIONS) + "\r")
        if self.random.random() < 0.4:
            self.pause(self.random.random())
            self.keys("Esc")
        else:
            self.pause(2)

    def cite(self):
        self.keys("M-1", "Esc", "]", "]", "Enter", "j", "PageDown", "G", "g", "Tab", "y")

    def read(self):
        self.keys("M-2", "g", "Enter", "Space", "/")
        self.t.send("storm\r")
        self.keys("n", "N", "C-d", "C-u", "q")

    def sources(self):
        self.keys("M-2", "j", "k", "u")
        self.pause(0.5)

    def add_and_stop(self):
        self.keys("M-2", "a", "C-u")
        self.t.send("long.txt\r")
        self.pause(self.random.random() * 3)
        self.keys("C-c")
        self.pause(0.7)

    def take_out(self):
        self.keys("M-2", "G", "d", self.random.choice("yn"))
        self.pause(0.5)

    def rebuild(self):
        self.keys("M-2", "U", "y")
        self.pause(self.random.random() * 4)
        self.keys("C-c")
        self.pause(0.5)

    def sessions(self):
        self.keys("M-4", self.random.choice("gG"), "Enter")
        self.pause(1)

    def fork(self):
        self.keys("M-4", "f", "C-u")
        self.t.send(f"copy-{time.monotonic_ns()}\r")
        self.pause(1)
        self.keys("M-4", "/", "C-u")
        self.t.send("copy-\r")
        if self.t.until(lambda x: any(r.startswith(">") and "copy-" in r for r in x.rows()), 5):
            self.keys("d", "y")
        self.pause(0.5)

    def models(self):
        self.keys("M-5", "j", "v")
        self.pause(0.3)

    def find(self):
        self.keys("M-1", "C-u")
        self.t.send("/find storm\r")
        self.keys("j", "Enter", "q")

    def as_of(self):
        self.keys("M-1", "C-u")
        self.t.send("/as-of 100 %\r")
        self.pause(1)
        self.keys("M-1", "C-u")
        self.t.send("/as-of\r")
        self.pause(0.5)

    def files(self):
        self.keys("M-1", "C-u", "C-o", "j", "k", "h", ".", "q")

    def past(self):
        self.keys("M-1", "C-u", "C-r")
        self.t.send("storm")
        self.keys("C-r", "Enter", "C-u", "Up", "Down", "C-u")

    def editor(self):
        self.keys("M-1", "C-u")
        self.t.send("a question")
        self.keys("C-g")
        self.editor_ends()
        self.keys("C-u")

    def outside(self):
        self.keys("M-2", "g", "Enter", "o")
        self.editor_ends()

    def editor_ends(self):
        """What is typed while the editor has the terminal would be echoed by it."""
        self.pause(0.3)
        self.t.until(lambda x: 1049 in x.screen.modes, 10)

    def paste(self):
        self.keys("M-1")
        self.t.paste("line\n" * 50)
        self.keys("C-a", "C-k", "C-y", "C-c", "C-u")

    def help(self):
        self.keys("F1", "G", "g", "q")

    def resize(self):
        for _ in range(20):
            self.t.resize(*self.random.choice(SIZES))
            self.pause(0.01)
        self.t.resize(80, 24)

    # ---- figures

    def ticks(self):
        with open(f"/proc/{self.t.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def descriptors(self):
        """What is open, by name, with as many entries as there are descriptors."""
        folder = f"/proc/{self.t.pid}/fd"
        names = []
        for fd in os.listdir(folder):
            try:
                names.append(os.path.basename(os.readlink(os.path.join(folder, fd))))
            except FileNotFoundError:  # closed meanwhile
                pass
        return sorted(names)

    def settled(self):
        """Back in the first session, with nothing under way."""
        self.keys("C-c", "Esc", "M-1", "C-u")
        self.t.send("/open book\r")
        self.pause(3)
        self.keys("C-l")
        if "book | tiny" not in self.t.rows()[0]:
            print("# the session did not open:\n" + self.t.text(), flush=True)

    def figures(self):
        self.settled()
        with open(f"/proc/{self.t.pid}/status", encoding="ascii") as file:
            status = dict(line.split(":", 1) for line in file)
        before = self.ticks()
        self.pause(2)
        fds = self.descriptors()
        if self.open and set(fds) != set(self.open):
            print(f"# descriptors: {self.open} became {fds}", flush=True)
        self.open = fds
        return {"descriptors": len(fds),
                "memory_kb": int(status["VmRSS"].split()[0]), "threads": int(status["Threads"]),
                "idle_ticks": self.ticks() - before}

    def run(self, minutes):
        steps = [self.ask, self.ask, self.ask, self.cite, self.read, self.sources, self.add_and_stop,
                 self.take_out, self.rebuild, self.sessions, self.fork, self.models, self.find,
                 self.as_of, self.files, self.past, self.editor, self.outside, self.paste, self.help,
                 self.resize]
        end, told, rows = time.monotonic() + 60 * minutes, 0, []
        print("minute\tsteps\tdescriptors\tmemory_kb\tthreads\tidle_ticks", flush=True)
        started = time.monotonic()
        while time.monotonic() < end and not self.t.reap():
            step = self.random.choice(steps)
            step()
            self.done[step.__name__] = self.done.get(step.__name__, 0) + 1
            if time.monotonic() - told > 60 and not self.t.reap():
                rows.append(self.figures())
                told = time.monotonic()
                print(f"{(told - started) / 60:.0f}\t{sum(self.done.values())}\t"
                      + "\t".join(str(v) for v in rows[-1].values()), flush=True)
        return rows

    def finish(self):
        self.settled()
        self.t.send("/bye\r")
        status = self.t.wait_exit(30)
        if status != 0:
            print(self.t.text())
            print(bytes(self.t.raw)[-6000:].decode(errors="replace"))
        self.t.close()
        return status


def main(arguments):
    work = tempfile.mkdtemp(prefix="allmem-soak-")
    try:
        seed = int(arguments[1]) if len(arguments) > 1 else 1
        soak = Soak(Homes(work, os.environ["ALLMEM"], os.environ["TINY"]), seed)
        rows = soak.run(float(arguments[0]))
        status = soak.finish()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"status {status}; " + ", ".join(f"{k} {v}" for k, v in sorted(soak.done.items())))
    counts = [r["descriptors"] for r in rows]  # SQLite opens a session's log when it is first read
    constant = not counts or max(counts) - min(counts) <= 1
    idle = all(r["idle_ticks"] <= 2 for r in rows)
    print(f"descriptors constant: {constant}; idle: {idle}")
    return 0 if status == 0 and constant and idle else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
