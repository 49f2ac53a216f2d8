# SPDX-License-Identifier: Apache-2.0
"""What the terminal program does that a still screen cannot show: times, signals, sizes that change,
what reaches the terminal. Output is TAP. Times are of a loaded machine: the limits are those that a
person would notice, the figures stand behind the names."""
import os
import re
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from homes import Homes  # noqa: E402
from run import Tap  # noqa: E402
from terminal import Terminal  # noqa: E402


class Bench:
    def __init__(self, homes, tap):
        self.homes, self.tap = homes, tap

    def start(self, kind, *words, columns=80, rows=24, job=False, nohup=False, **env):
        environment = {**self.homes.environment(self.homes.fresh(kind)), **env}
        return Terminal([self.homes.allmem, *words], environment, self.homes.texts, columns, rows,
                        job, nohup)

    def ready(self, kind, **more):
        t = self.start(kind, **more)
        t.wait("ask>")
        t.wait("tiny")
        return t

    def read_long(self, **more):
        """A program that reads a long text."""
        t = self.ready("book", **more)
        t.key("M-2")
        t.key("a")
        t.send("long.txt")
        t.key("Enter")
        assert t.wait("reading") and t.wait("%"), t.text()
        return t

    # ---- speed

    def first_paint(self):
        best = 9
        for _ in range(3):
            t = self.start("book")
            t.until(lambda x: "Ask" in x.text(), 5)
            best = min(best, time.monotonic() - t.started)
            t.close()
        self.tap(f"first paint {best * 1000:.0f} ms", best < 0.5)

    def keys_while_reading(self):
        t = self.read_long()
        t.key("M-1")
        times = []
        for c in "abcdefghijklmnopqrst":
            begin = time.monotonic()
            t.send(c)
            if not t.until(lambda x, c=c: ("ask> " + "abcdefghijklmnopqrst"[:ord(c) - 96]) in x.text(), 5):
                break
            times.append(time.monotonic() - begin)
        times.sort()
        median = times[len(times) // 2] * 1000 if times else 9999
        self.tap(f"keys while it reads: median {median:.0f} ms", len(times) == 20 and median < 150,
                 t.text())
        t.key("C-c")
        begin = time.monotonic()
        good = t.wait("stopped", 10)
        took = time.monotonic() - begin
        self.tap(f"C-c stops a reading: {took * 1000:.0f} ms", good and took < 0.5, t.text())
        t.close()

    def stop_and_go_on(self):
        t = self.read_long()
        t.key("Esc")
        good = t.wait("what was read is kept", 10)
        self.tap("Esc in Sources stops a reading", good, t.text())
        self.tap("and shows how far it came", t.wait("%"), t.text())
        t.close()

    def stop_before_reading(self):
        """While a large file is opened, cut into tokens, stored and planned."""
        path = os.path.join(self.homes.texts, "large.txt")
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"Line {i} of a large text, by whose storing one waits.\n"
                            for i in range(300000))
        worst = 0
        for after in (0.3, 0.7, 1.1, 1.6):
            t = self.ready("book")
            t.key("M-2")
            t.key("a")
            t.send("large.txt")
            t.key("Enter")
            t.until(lambda x: False, after)
            begin = time.monotonic()
            t.key("C-c")
            good = t.wait("what was read is kept", 10)
            worst = max(worst, time.monotonic() - begin if good else 10)
            t.close()
        os.remove(path)
        self.tap(f"C-c stops the opening of a large file: {worst * 1000:.0f} ms", worst < 0.5)

    def ask_while_reading(self):
        t = self.read_long()
        t.key("M-1")
        t.send("Who gave Tobias Wren a brass compass?\r")
        self.tap("a question interrupts a reading", t.wait("to the first", 30), t.text())
        self.tap("which goes on behind the answer", t.wait("reading", 20), t.text())
        t.close()

    def stop_answer(self):
        t = self.ready("book")
        t.send("Who gave Tobias Wren a brass compass?\r")
        t.until(lambda x: "reads the passages" in x.text() or "N" in x.text(), 5)
        t.key("Esc")
        good = t.until(lambda x: "(stopped" in x.text() or "to the first" in x.text(), 5)
        self.tap("Esc stops an answer", good, t.text())
        t.key("M-1")  # the answer may have been complete, and Esc has led to browsing
        t.send("x")
        self.tap("and the input line goes on", t.wait("ask> x", 5), t.text())
        t.key("C-u")
        t.send("What happened to the schooner?\r\x1b")
        ends = re.compile(r"schooner\?.*(\(stopped|to the first)", re.S)
        t.until(lambda x: ends.search(x.text()), 5)
        t.kill(signal.SIGKILL)  # whatever became of the answer, the question is on the disk
        t.wait_exit(5)
        t.close()
        t = Terminal([self.homes.allmem], self.homes.environment(
            os.path.join(self.homes.work, "home")), self.homes.texts, 80, 24)
        self.tap("a question survives its answer", t.wait("> What happened to the schooner?", 10),
                 t.text())
        t.close()

    def idle(self):
        t = self.ready("book")
        t.until(lambda x: False, 1)

        def ticks():
            with open(f"/proc/{t.pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])
        before = ticks()
        t.until(lambda x: False, 2)
        used = ticks() - before
        self.tap(f"nothing is computed while nothing happens: {used} ticks in 2 s", used <= 1)
        t.close()

    # ---- sizes

    def resizes(self):
        t = self.read_long(columns=200, rows=60)
        t.key("M-1")
        t.send("Who gave Tobias Wren a brass compass?\r")
        sizes = [(200, 60), (20, 5), (80, 24), (1, 1), (100, 30), (60, 15), (500, 100), (3, 2)]
        for i in range(1000):
            t.resize(*sizes[i % len(sizes)])
            t.kill(signal.SIGWINCH)
        t.resize(200, 60)
        good = t.wait("to the first", 30)
        self.tap("1000 resizes during an answer lose nothing",
                 good and "> Who gave Tobias Wren a brass compass?" in t.text(), t.text())
        t.close()

    # ---- signals

    def ends(self, number, status, name):
        t = self.read_long()
        begin = time.monotonic()
        t.kill(number)
        code = t.wait_exit(8)
        took = time.monotonic() - begin
        good = code == status and t.cooked() and 1049 not in t.screen.modes
        self.tap(f"{name} while it reads: status {code}, {took:.1f} s, a sane terminal",
                 good and took < 4, t.text())
        t.close()

    def crash(self):
        t = self.ready("book")
        t.kill(signal.SIGSEGV)
        code = t.wait_exit(8)
        self.tap("a crash leaves a sane terminal", code == -signal.SIGSEGV and t.cooked()
                 and not t.screen.modes & {1049, 2004}, f"{code} {t.screen.modes}")
        t.close()

    def suspend(self):
        for how in ("key", "signal", "signal while it draws"):
            t = self.ready("book", job=True)
            t.until(lambda x: "adapter" in x.text(), 5)
            t.send("some text")
            t.wait("some text")
            if how == "key":
                t.key("C-z")
            else:
                if how == "signal while it draws":
                    self.fill(t)
                os.kill(t.child(), signal.SIGTSTP)
            stopped = t.until(lambda x: self.state(x) == "T", 5)
            t.until(lambda x: 1049 not in x.screen.modes, 2)
            sane = t.cooked() and 1049 not in t.screen.modes
            self.tap(f"suspended by {how}: a sane terminal", stopped and sane,
                     f"state {self.state(t)}, modes {t.screen.modes}")
            os.kill(t.child(), signal.SIGCONT)
            back = t.until(lambda x: 1049 in x.screen.modes and "some text" in x.text(), 5)
            t.send("!")
            self.tap(f"and back, after {how}", back and t.wait("some text!", 5), t.text())
            t.close()

    @staticmethod
    def fill(t):
        """Nothing is read while the program draws whole screens, many times as much as a
        pseudo-terminal holds (some 20 KB): then it waits in the middle of one."""
        for _ in range(100):
            os.kill(t.child(), signal.SIGWINCH)
            time.sleep(0.01)

    @staticmethod
    def state(t):
        with open(f"/proc/{t.child()}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def hangup(self):
        for nohup in (False, True):
            t = self.ready("book", nohup=nohup)
            pid = t.pid
            os.close(t.fd)
            t.fd = os.open("/dev/null", os.O_RDONLY)
            end = time.monotonic() + 5
            while time.monotonic() < end and not t.reap():
                time.sleep(0.05)
            self.tap("a terminal that goes away ends the program" + ", under nohup too" * nohup,
                     t.status is not None, f"pid {pid}")
            t.close()

    # ---- what reaches the terminal

    def hostile(self):
        t = self.ready("hostile")
        t.key("M-2")
        t.wait("hostile.txt")
        t.key("Enter")
        t.wait("PWNED")
        for _ in range(3):
            t.key("PageDown")
        t.until(lambda x: False, 0.5)
        own = re.compile(rb"\x1b(?:\[[?>]?[\d;]*[A-Za-z@]|[()][0AB]|[78=>M])")
        rest = own.sub(b"", bytes(t.raw))
        forbidden = [s for s in (b"\x1b[31;45", b"\x1b[6n", b"\x1b[c", b"\x1b[201~", b"\x1b]", b"\x1bP",
                                 b"\x1b_", b"\xc2\x9b", b"\xc2\x9d") if s in bytes(t.raw)]
        self.tap("of a document full of escape sequences no ESC byte reaches the terminal",
                 b"\x1b" not in rest and not forbidden, f"{forbidden} {rest[:200]!r}")
        t.close()

    def colours(self):
        t = self.ready("book")
        t.key("M-2")
        t.wait("book.txt")
        t.key("Enter")
        t.wait("Lighthouse")
        raw = bytes(t.raw)
        numbers = [int(n) for s in re.findall(rb"\x1b\[([\d;]*)m", raw) for n in s.split(b";") if n]
        self.tap("the background is never painted",
                 not [n for n in numbers if 40 <= n <= 48 or 100 <= n <= 107], str(numbers))
        self.tap("the mouse stays with the terminal",
                 not re.search(rb"\x1b\[\?(9|100[0-6])h", raw))
        t.close()
        t = self.ready("book", NO_COLOR="1")
        t.key("M-2")
        t.wait("book.txt")
        numbers = [int(n) for s in re.findall(rb"\x1b\[([\d;]*)m", bytes(t.raw))
                   for n in s.split(b";") if n]
        self.tap("NO_COLOR: no colours", not [n for n in numbers if 30 <= n <= 37], str(numbers))
        t.close()

    def paste(self):
        t = self.ready("book", rows=40)
        t.paste("\n".join(f"line {i} of a paste" for i in range(500)))
        good = t.wait("line 499 of a paste", 10)
        self.tap("a paste of 500 lines is one unsent text", good and "\n> line" not in t.text(), t.text())
        t.close()

    def copy(self):
        t = self.ready("book")
        t.send("What is the airspeed of a zebra?\r")
        t.wait("does not say")
        t.key("Esc")
        t.key("y")
        t.wait("copied")
        import base64
        copied = [base64.b64decode(c).decode() for c in t.screen.copied]
        path = os.path.join(self.homes.work, "home", "state", "copy.txt")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.tap("y gives the answer to the clipboard and to a file",
                 copied == ["The text does not say anything about that."] and text == copied[0],
                 f"{copied} {text!r}")
        t.close()

    # ---- two of them

    def two_programs(self):
        t = self.ready("book")
        t.until(lambda x: "adapter" in x.text(), 5)
        env = self.homes.environment(os.path.join(self.homes.work, "home"))
        u = Terminal([self.homes.allmem, "book"], env, self.homes.texts, 100, 24)
        self.tap("a second program on the session says that answers are not saved",
                 u.wait("answers are not", 15), u.text())
        u.send("Who gave Tobias Wren a brass compass?\r")
        self.tap("and answers", u.wait("to the first", 20), u.text())
        u.close()
        t.close()

    # ---- a device that fails (tools/vulkan_fault.c)

    def lost_device(self):
        layers = {"VK_LAYER_PATH": os.environ.get("LAYERS", ""),
                  "VK_INSTANCE_LAYERS": "VK_LAYER_ALLMEM_fault"}
        t = self.start("book", "--device", "1", "book", columns=140, **layers, ALLMEM_FAULT="submit:12")
        if t.wait("the CPU computes", 2):  # at once: there is no device
            t.close()
            return
        t.wait("tiny")
        t.send("Who gave Tobias Wren a brass compass?\r")
        self.tap("a device that is lost is told", t.wait("DEVICE_LOST); the CPU computes", 30), t.text())
        self.tap("and the answer comes", t.wait("to the first", 30), t.text())
        t.close()

    def descriptors(self):
        t = self.ready("two")

        def count():
            return len(os.listdir(f"/proc/{t.pid}/fd"))
        t.until(lambda x: "adapter" in x.text(), 5)
        for i in range(12):
            if i == 2:
                before = count()
            t.key("M-4")
            t.wait("[4 Sessions]")
            t.key("G" if i % 2 else "g")
            t.key("Enter")
            t.wait("[1 Ask]")
            t.wait("adapter", 10)
            t.key("M-2")
            t.key("M-5")
        after = count()
        self.tap(f"descriptors stay: {before}, then {after}", after <= before + 1)
        t.close()


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="allmem-ui-")
    try:
        b = Bench(Homes(work, os.environ["ALLMEM"], os.environ["TINY"]), tap)
        for check in (b.first_paint, b.keys_while_reading, b.stop_and_go_on, b.stop_before_reading, b.ask_while_reading,
                      b.stop_answer, b.idle, b.resizes,
                      lambda: b.ends(signal.SIGTERM, 143, "SIGTERM"),
                      lambda: b.ends(signal.SIGHUP, 129, "SIGHUP"),
                      b.crash, b.suspend, b.hangup, b.hostile, b.colours, b.paste, b.copy,
                      b.two_programs, b.lost_device, b.descriptors):
            try:
                check()
            except (AssertionError, OSError, TimeoutError, ValueError) as error:
                tap(f"{getattr(check, '__name__', 'a signal')} fails", False, repr(error))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
