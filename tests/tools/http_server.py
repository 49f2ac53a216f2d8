# SPDX-License-Identifier: Apache-2.0
"""A web server that misbehaves as it is told: python3 http_server.py [CERTIFICATE KEY]

Prints its port and serves one file of SIZE bytes under many names; the first part of the path says
how (see Handler below). With a certificate it speaks TLS. It ends when its standard input does.
The file's bytes are SHA-256 of the block numbers 0, 1, ... (8 bytes, little-endian); /changed and
/liar-etag change to a file that begins with block number 1000000.
"""
import hashlib
import http.server
import re
import ssl
import struct
import sys
import threading
import time
import urllib.parse

SIZE = 2 * 1024 * 1024


def content(first):
    blocks = (hashlib.sha256(struct.pack("<Q", first + i)).digest() for i in range(SIZE // 32))
    return b"".join(blocks)


FILE, OTHER = content(0), content(1000000)
DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
visits = {}
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        mode = self.path.split("/")[1].split("?")[0]
        with lock:  # a path is visited for the first time once; a test adds /NAME to begin anew
            self.visit = visits[self.path] = visits.get(self.path, 0) + 1
        self.close_connection = True
        try:
            getattr(self, "serve_" + mode.replace("-", "_"), self.serve_404)()
        except (BrokenPipeError, ConnectionResetError):
            pass

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def start_of_range(self, etag, date=None):
        """The offset asked for, when it may be served from there."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if asked and condition in (None, etag, date):
            return int(asked.group(1))
        return 0

    def send_file(self, data=FILE, etag='"one"', date=None, ranges=True, cut=None, slow=False,
                  extra=()):
        """A well-behaved answer, but for what the arguments say; `cut` bytes are sent at most."""
        start = self.start_of_range(etag, date) if ranges else 0
        headers = [("Content-Length", len(data) - start), *extra]
        if etag:
            headers.append(("ETag", etag))
        if date:
            headers.append(("Last-Modified", date))
        if start:
            headers.append(("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}"))
        self.answer(206 if start else 200, headers)
        body = data[start:] if cut is None else data[start : start + cut]
        for at in range(0, len(body), 65536):
            self.wfile.write(body[at : at + 65536])
            if slow:
                time.sleep(0.02)

    def cut_first(self):
        return SIZE // 2 if self.visit == 1 else None

    def serve_good(self):
        self.send_file()

    def serve_disk(self):
        """A file of the folder that the server was started in."""
        with open(self.path.split("/")[2], "rb") as file:
            self.send_file(data=file.read(), etag='"disk"')

    def serve_slow(self):
        self.send_file(slow=True)

    def serve_plain(self):
        self.send_file(ranges=False, cut=self.cut_first())

    def serve_cut(self):
        self.send_file(cut=self.cut_first())

    def serve_short(self):
        self.send_file(ranges=False, cut=SIZE // 4)

    def serve_date(self):
        self.send_file(etag=None, date=DATE, cut=self.cut_first())

    def serve_weak(self):
        self.send_file(etag='W/"one"', date=DATE, cut=self.cut_first())

    def serve_changed(self):
        if self.visit == 1:
            self.send_file(cut=SIZE // 2)
        else:
            self.send_file(data=OTHER, etag='"two"')

    def serve_liar_etag(self):
        if self.visit == 1:
            self.send_file(cut=SIZE // 2)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if not start:
            self.send_file(data=OTHER, etag='"two"')
            return
        self.answer(206, [("Content-Length", SIZE - start), ("ETag", '"two"'),
                          ("Content-Range", f"bytes {start}-{SIZE - 1}/{SIZE}")], OTHER[start:])

    def serve_liar_range(self):
        if self.visit == 1 or "Range" not in self.headers:
            self.send_file(cut=self.cut_first())
            return
        self.answer(206, [("Content-Length", SIZE - 7), ("ETag", '"one"'),
                          ("Content-Range", f"bytes 7-{SIZE - 1}/{SIZE}")], FILE[7:])

    def serve_unasked(self):
        self.answer(206, [("Content-Length", SIZE - 7),
                          ("Content-Range", f"bytes 7-{SIZE - 1}/{SIZE}")], FILE[7:])

    def serve_416(self):
        if "Range" in self.headers:
            self.answer(416, [("Content-Range", f"bytes */{SIZE // 4}"), ("Content-Length", 0)])
        else:
            self.send_file(cut=self.cut_first())

    def serve_416_complete(self):
        """Sends everything without saying how much it is, then breaks; what is there is all."""
        if "Range" in self.headers:
            self.answer(416, [("Content-Range", f"bytes */{SIZE}"), ("Content-Length", 0)])
        else:
            self.answer(200, [("Transfer-Encoding", "chunked"), ("ETag", '"one"')])
            self.wfile.write(b"%x\r\n%s\r\n" % (SIZE, FILE))

    def serve_wrong_length(self):
        self.answer(200, [("Content-Length", SIZE + 100)], FILE)

    def serve_long(self):
        self.answer(200, [], FILE + b"more")

    def serve_huge(self):
        self.answer(200, [("Content-Length", 10**15)], FILE)

    def serve_chunked(self):
        self.answer(200, [("Transfer-Encoding", "chunked")])
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (SIZE, FILE))

    def serve_gzip(self):
        self.send_file(extra=[("Content-Encoding", "gzip")])

    def serve_named(self):
        self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nContent-Disposition: attachment; "
                         b"filename=/tmp/allmem-evil\r\nETag: \"hint\"\r\n\r\n")
        self.send_file(extra=[("Content-Disposition", "attachment; filename=../../allmem-evil")])

    def serve_loop(self):
        self.answer(302, [("Location", self.path), ("Content-Length", 0)])

    def serve_redirect(self):
        to = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["to"][0]
        self.answer(302, [("Location", to), ("Content-Length", 0)])

    def serve_stall(self):
        self.send_file(cut=self.cut_first())
        if self.visit == 1:
            self.wfile.flush()
            time.sleep(5)

    def serve_silent(self):
        time.sleep(5)

    def serve_429(self):
        if self.visit <= 2:
            self.answer(429, [("Retry-After", 1), ("Content-Length", 5)], b"later")
        else:
            self.send_file()

    def serve_429_long(self):
        self.answer(429, [("Retry-After", 7200), ("Content-Length", 0)])

    def serve_503(self):
        self.answer(503, [("Content-Length", 4)], b"busy")

    def serve_404(self):
        self.answer(404, [("Content-Length", 9)], b"not found")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


def main(arguments):
    server = Server(("127.0.0.1", 0), Handler)
    if arguments:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*arguments)
        server.socket = context.wrap_socket(server.socket, server_side=True,
                                            do_handshake_on_connect=False)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


main(sys.argv[1:])
