# SPDX-License-Identifier: Apache-2.0
"""A model of a terminal's screen: as much of xterm as ncurses uses of it. What it does not know is
an error, so that nothing strange goes unseen."""
import re
import unicodedata

SEQUENCE = re.compile(
    r"\x1b\[(?P<private>[?>]?)(?P<numbers>[\d;]*)(?P<final>[@-~])"
    r"|\x1b\](?P<osc>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|\x1b(?P<charset>[()][0AB])|\x1b(?P<single>[78=>M])")


def width(character):
    point = ord(character)
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    if unicodedata.east_asian_width(character) in "WF" or 0x1F300 <= point <= 0x1FAFF:
        return 2
    return 1


class Screen:
    def __init__(self, columns, rows):
        self.cells, self.styles = [], []
        self.y = self.x = 0
        self.style = frozenset()
        self.modes = set()     # private ones that are on
        self.copied = []       # texts of OSC 52
        self.sequences = []    # every escape sequence that came
        self.pending = ""
        self.last = " "
        self.saved = (0, 0)
        self.graphics = False  # letters are lines: ESC ( 0
        self.rows, self.columns = rows, columns
        self.top, self.bottom = 0, rows - 1
        self.cells = [[" "] * columns for _ in range(rows)]
        self.styles = [[frozenset()] * columns for _ in range(rows)]

    def resize(self, columns, rows):
        for grid, blank in ((self.cells, " "), (self.styles, frozenset())):
            for row in grid:
                row[columns:] = []
                row.extend([blank] * (columns - len(row)))
            grid[rows:] = []
            grid.extend([blank] * columns for _ in range(rows - len(grid)))
        self.rows, self.columns = rows, columns
        self.top, self.bottom = 0, rows - 1
        self.y, self.x = min(self.y, rows - 1), min(self.x, columns - 1)

    def text(self):
        return ["".join(row).rstrip() for row in self.cells]

    # ---- what comes in

    def feed(self, text):
        text = self.pending + text
        self.pending = ""
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self.character(text[at])
                at += 1
                continue
            match = SEQUENCE.match(text, at)
            if match:
                self.sequences.append(match.group())
                self.sequence(match)
                at = match.end()
            elif len(text) - at < 40 or "\x1b]" == text[at:at + 2]:
                self.pending = text[at:]
                return
            else:
                raise ValueError(f"unknown escape sequence {text[at:at + 20]!r}")

    def character(self, c):
        if c == "\r":
            self.x = 0
        elif c == "\n":
            self.line_feed()
        elif c == "\b":
            self.x = max(0, min(self.x, self.columns - 1) - 1)
        elif c == "\t":
            self.x = min(self.columns - 1, (self.x // 8 + 1) * 8)
        elif c in "\x07\x0e\x0f\0":
            pass
        elif c < " " or "\x7f" <= c <= "\x9f":
            raise ValueError(f"control character {c!r} on the screen")
        else:
            self.put(c)

    def put(self, c):
        c = {"q": "\u2500", "x": "\u2502"}.get(c, c) if self.graphics else c
        size = width(c)
        if size == 0:
            x = self.x - 1
            while x > 0 and self.cells[self.y][x] == "":
                x -= 1
            if x >= 0:
                self.cells[self.y][x] += c
            return
        if self.x + size > self.columns:
            self.x = 0
            self.line_feed()
        if size > self.columns:
            return
        for x in (self.x - 1, self.x + size):  # half of a wide character goes whole
            if size and x == self.x - 1 and x >= 0 and self.cells[self.y][self.x] == "":
                self.cells[self.y][x] = " "
            if x == self.x + size and x < self.columns and self.cells[self.y][x] == "":
                self.cells[self.y][x] = " "
        self.cells[self.y][self.x] = c
        self.styles[self.y][self.x] = self.style
        if size == 2:
            self.cells[self.y][self.x + 1] = ""
            self.styles[self.y][self.x + 1] = self.style
        self.x += size
        self.last = c

    def line_feed(self):
        if self.y == self.bottom:
            self.scroll(1)
        else:
            self.y = min(self.y + 1, self.rows - 1)

    def scroll(self, n, top=None):
        top = self.top if top is None else top
        for grid, blank in ((self.cells, " "), (self.styles, frozenset())):
            for _ in range(abs(n)):
                row = [blank] * self.columns
                if n > 0:
                    del grid[top]
                    grid.insert(self.bottom, row)
                else:
                    del grid[self.bottom]
                    grid.insert(top, row)

    # ---- escape sequences

    def sequence(self, match):
        if match["osc"] is not None:
            if match["osc"].startswith("52;c;"):
                self.copied.append(match["osc"][5:])
            elif match["osc"] != "104":  # terminfo's "oc": the terminal's own colours
                raise ValueError(f"OSC {match['osc']!r}")
        elif match["single"] == "M":
            if self.y == self.top:
                self.scroll(-1)
            else:
                self.y -= 1
        elif match["single"] == "7":
            self.saved = (self.y, self.x)
        elif match["single"] == "8":
            self.y, self.x = min(self.saved[0], self.rows - 1), min(self.saved[1], self.columns - 1)
        elif match["charset"]:
            self.graphics = match["charset"] == "(0"
        elif match["final"]:
            numbers = [int(n) if n else 0 for n in match["numbers"].split(";")]
            if match["private"]:
                self.private(match["final"], numbers)
            else:
                self.control(match["final"], numbers, max(1, numbers[0]))

    def private(self, final, numbers):
        if final == "h":
            self.modes.update(numbers)
        elif final == "l":
            self.modes.difference_update(numbers)

    def erase(self, y, begin, end):
        self.cells[y][begin:end] = [" "] * (min(end, self.columns) - begin)
        self.styles[y][begin:end] = [frozenset()] * (min(end, self.columns) - begin)

    def control(self, final, numbers, n):
        y, x = self.y, min(self.x, self.columns - 1)
        if final == "H":
            self.y = min(self.rows, n) - 1
            self.x = min(self.columns, max(1, numbers[1] if len(numbers) > 1 else 1)) - 1
        elif final in "ABCD":
            self.y = max(0, min(self.rows - 1, y + {"A": -n, "B": n}.get(final, 0)))
            self.x = max(0, min(self.columns - 1, x + {"C": n, "D": -n}.get(final, 0)))
        elif final == "G":
            self.x = min(self.columns, n) - 1
        elif final == "d":
            self.y = min(self.rows, n) - 1
        elif final == "J":
            if numbers[0] == 0:
                self.erase(y, x, self.columns)
            for row in range(0 if numbers[0] else y + 1, self.rows):
                self.erase(row, 0, self.columns)
        elif final == "K":
            self.erase(y, x if numbers[0] == 0 else 0, self.columns if numbers[0] != 1 else x + 1)
        elif final == "X":
            self.erase(y, x, x + n)
        elif final == "P":
            for grid, blank in ((self.cells, " "), (self.styles, frozenset())):
                del grid[y][x:x + n]
                grid[y].extend([blank] * (self.columns - len(grid[y])))
        elif final == "@":
            for grid, blank in ((self.cells, " "), (self.styles, frozenset())):
                grid[y][x:x] = [blank] * n
                del grid[y][self.columns:]
        elif final in "LM":
            self.scroll(-n if final == "L" else n, top=y)
        elif final in "ST":
            self.scroll(n if final == "S" else -n)
        elif final == "b":
            for _ in range(n):
                self.put({"\u2500": "q", "\u2502": "x"}.get(self.last, self.last)
                         if self.graphics else self.last)
        elif final == "r":
            self.top = n - 1
            last = numbers[1] if len(numbers) > 1 and numbers[1] else self.rows
            self.bottom = min(last, self.rows) - 1  # sizes may change under way
            self.top = min(self.top, self.bottom)
            self.y = self.x = 0
        elif final == "m":
            self.rendition(numbers)
        elif final not in "hlnt":
            raise ValueError(f"CSI {numbers} {final}")

    def rendition(self, numbers):
        for n in numbers:
            if n == 0:
                self.style = frozenset()
            elif n in (39, 49):
                self.style = frozenset(s for s in self.style if s // 10 != n // 10)
            elif n == 22:
                self.style -= {1, 2}
            elif 21 <= n <= 29:
                self.style -= {n - 20}
            else:
                self.style |= {n}
