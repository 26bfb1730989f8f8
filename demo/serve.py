#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""serve.py SOCKET FILE: serves one page over HTTP on a unix socket until it is ended.

What a guest reaches through its agent's relay. No TCP port is opened.
"""
import http.server
import os
import socketserver
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != '/':
            self.send_error(404)
            return
        with open(self.server.page, 'rb') as page:
            body = page.read()
        self.send_response(200)
        self.send_header('Content-Type', 'text/html; charset=utf-8')
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Connection', 'close')
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return 'guest'

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def main():
    path, page = sys.argv[1:]
    if os.path.exists(path):
        os.unlink(path)
    with Server(path, Handler) as server:
        server.page = page
        server.serve_forever()


if __name__ == '__main__':
    main()
