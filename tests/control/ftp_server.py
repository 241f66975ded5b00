# SPDX-License-Identifier: GPL-3.0-or-later
"""An FTP server of one file (RFC 959, 2428, 3659; with a certificate: implicit TLS, RFC 4217), for tests of its clients."""
import os
import socket
import socketserver
import threading


class Session(socketserver.StreamRequestHandler):
    def setup(self):
        if self.server.tls:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def say(self, text):
        self.wfile.write(text.encode() + b'\r\n')

    def handle(self):
        self.start, self.listener, user = 0, None, None
        self.say('220 ready')
        while line := self.rfile.readline():
            verb, _, word = line.decode().strip().partition(' ')
            verb = verb.upper()
            size = os.path.getsize(self.server.path)
            if verb == 'USER':
                user = word
                self.say('331 a password, please')
            elif verb == 'PASS':
                self.server.users.append((user, word))
                self.say('230 welcome')
            elif verb in ('CWD', 'TYPE', 'PBSZ', 'PROT', 'OPTS'):
                self.say('200 yes')
            elif verb == 'PWD':
                self.say('257 "/"')
            elif verb == 'SIZE':
                self.say(f'213 {size}')
            elif verb == 'REST':
                self.start = int(word)
                self.say('350 yes')
            elif verb == 'EPSV':
                self.listen()
                self.say(f'229 here (|||{self.listener.getsockname()[1]}|)')
            elif verb == 'RETR' and self.listener:
                self.retrieve()
            elif verb == 'QUIT':
                self.say('221 bye')
                return
            else:
                self.say('502 no')

    def listen(self):
        if self.listener:
            self.listener.close()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.listener.settimeout(10)

    def retrieve(self):
        self.say('150 it comes')
        data, _ = self.listener.accept()
        if self.server.tls:
            data = self.server.tls.wrap_socket(data, server_side=True)
        with data, open(self.server.path, 'rb') as file:
            file.seek(self.start)
            self.start = 0
            try:
                while block := file.read(65536):
                    data.sendall(block)
                if self.server.tls:
                    data.unwrap()
            except OSError:  # the client has enough
                pass
        self.say('226 done')

    def finish(self):
        if self.listener:
            self.listener.close()
        try:
            super().finish()
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, path, tls=None):
        """TLS: an ssl.SSLContext."""
        super().__init__(('127.0.0.1', 0), Session)
        self.path, self.tls, self.users = path, tls, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """Clients may go at any time."""

    @property
    def port(self):
        return self.server_address[1]
