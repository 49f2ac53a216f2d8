# SPDX-License-Identifier: Apache-2.0
"""A program on a pseudo-terminal, with a model of its screen beside it."""
import codecs
import contextlib
import errno
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

from screen import Screen

# What xterm sends; see terminfo(5).
KEYS = {
    "Enter": "\r", "Esc": "\x1b", "Tab": "\t", "Space": " ", "Backspace": "\x7f",
    "Up": "\x1bOA", "Down": "\x1bOB", "Right": "\x1bOC", "Left": "\x1bOD",
    "Home": "\x1bOH", "End": "\x1bOF", "Delete": "\x1b[3~",
    "PageUp": "\x1b[5~", "PageDown": "\x1b[6~", "F1": "\x1bOP", "F5": "\x1b[15~",
}


def key_bytes(name):
    if name in KEYS:
        return KEYS[name].encode()
    if name.startswith("M-"):
        return b"\x1b" + key_bytes(name[2:])
    if name.startswith("C-"):
        return bytes([ord(name[2]) & 31])
    return name.encode()


class Terminal:
    def __init__(self, command, env, cwd, columns=80, rows=24, job=False, nohup=False):
        """`job`: below a parent that stays, as below a shell; else it could not be suspended. `nohup`: SIGHUP
        is ignored, as below that."""
        self.raw = bytearray()
        self.screen = Screen(columns, rows)
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.status = None
        self.job = job
        self.started = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # The tests themselves may run under nohup.
            signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
            try:
                os.chdir(cwd)
                if job:
                    self.become_shell()
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                os.execve(command[0], command, env)
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @staticmethod
    def become_shell():
        """Returns in a child that is a job of its own; the shell ends as that ends."""
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            return
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 255)

    def child(self):
        """The job below the shell."""
        return self.children()[0]

    def children(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]

    def resize(self, columns, rows):
        self.read(0)
        self.screen.resize(columns, rows)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, data):
        data = data.encode() if isinstance(data, str) else data
        while data:
            _, writable, _ = select.select([], [self.fd], [], 5)
            if not writable:
                raise TimeoutError("the program takes no input")
            data = data[os.write(self.fd, data[:512]):]
            self.read(0)

    def key(self, name):
        self.send(key_bytes(name))
        if name == "Esc":
            time.sleep(0.06)  # else Escape and the next key are Alt and that key

    def paste(self, text):
        self.send("\x1b[200~" + text.replace("\n", "\r") + "\x1b[201~")

    def read(self, seconds):
        """Takes what comes within `seconds`; True if anything came."""
        readable, _, _ = select.select([self.fd], [], [], seconds)
        if not readable:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""
        if not data:
            self.reap()
            time.sleep(min(seconds, 0.02))
            return False
        self.raw += data
        self.screen.feed(self.decoder.decode(data))
        return True

    def rows(self):
        return self.screen.text()

    def text(self):
        return "\n".join(self.rows())

    def until(self, condition, seconds=10):
        """Reads until condition(self) holds; False when it does not in time."""
        end = time.monotonic() + seconds
        while True:
            while self.read(0):
                pass
            if condition(self):
                return True
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.read(min(left, 0.05))

    def wait(self, text, seconds=20):
        return self.until(lambda t: text in t.text(), seconds)

    def reap(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def wait_exit(self, seconds=10):
        self.until(lambda t: t.reap(), seconds)
        return self.status

    def kill(self, number):
        os.kill(self.pid, number)

    def close(self):
        if not self.reap():
            # A shell ends with its job; were it killed first, the job would still write into its
            # home while the next program's is laid there.
            for pid in self.job and self.children() or [self.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def cooked(self):
        """Whether the terminal is as a shell wants it: lines, echo, signals."""
        flags = termios.tcgetattr(self.fd)[3]
        wanted = termios.ICANON | termios.ECHO | termios.ISIG
        return flags & wanted == wanted
