#!/usr/bin/python3
"""websocket.py: conversations with a WebSocket echo server (python3-autobahn), direct and through
pasgate over HTTP/1.1 and HTTP/2 (RFC 8441). What the server says, to the byte, has to be the same.

    websocket.py serve PORT              the echo server; ends with its standard input
    websocket.py try DIRECT TLS [h2]     ports; exit code 0: all verdicts are equal
"""
import os
import random
import select
import socket
import ssl
import struct
import sys
import time

TIMEOUT = 20  # seconds that a conversation may take; only a failure takes that long


def serve(port):
    import asyncio
    from autobahn.asyncio.websocket import WebSocketServerFactory, WebSocketServerProtocol

    class Echo(WebSocketServerProtocol):
        def onMessage(self, payload, isBinary):
            self.sendMessage(payload, isBinary)

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    factory = WebSocketServerFactory()
    factory.protocol = Echo
    factory.setProtocolOptions(autoPingInterval=0, closeHandshakeTimeout=2)
    loop.run_until_complete(loop.create_server(factory, '127.0.0.1', port))
    loop.add_reader(0, lambda: os.read(0, 1) or loop.stop())
    loop.run_forever()


# ---- frames and cases (the numbers are those of Autobahn's test suite)

def frame(opcode, payload=b'', fin=True, rsv=0, mask=True, length=None):
    n = len(payload) if length is None else length
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if mask else 0
    if n < 126:
        head = struct.pack('!BB', first, bit | n)
    elif n < 65536:
        head = struct.pack('!BBH', first, bit | 126, n)
    else:
        head = struct.pack('!BBQ', first, bit | 127, n)
    if not mask:
        return head + payload
    key = b'\x37\xfa\x21\x3d'
    whole = (key * (len(payload) // 4 + 1))[:len(payload)]
    masked = (int.from_bytes(payload, 'big') ^ int.from_bytes(whole, 'big')).to_bytes(len(payload), 'big')
    return head + key + masked


TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
BYE = frame(CLOSE, struct.pack('!H', 1000))


def cases():
    """(name, the client's bytes, bytes sent at once)"""
    for n in (0, 1, 125, 126, 127, 128, 65535, 65536, 300000):
        yield f'1.1 text of {n}', frame(TEXT, b'*' * n) + BYE, 1 << 20
        yield f'1.2 binary of {n}', frame(BINARY, b'\xfe' * n) + BYE, 1 << 20
    yield '1.1.8 in pieces of 997', frame(TEXT, b'*' * 65536) + BYE, 997
    yield '2.1 ping', frame(PING) + BYE, 1 << 20
    yield '2.2 ping with payload', frame(PING, b'Hello') + BYE, 1 << 20
    yield '2.4 ping of 125', frame(PING, b'\xfe' * 125) + BYE, 1 << 20
    yield '2.5 ping of 126', frame(PING, b'\xfe' * 126), 1 << 20
    yield '2.6 ping byte by byte', frame(PING, b'\xfe' * 125) + BYE, 1
    yield '2.7 pong unasked', frame(PONG, b'x') + BYE, 1 << 20
    yield '2.10 ten pings', b''.join(frame(PING, b'%d' % i) for i in range(10)) + BYE, 1 << 20
    for rsv in range(1, 8):
        yield f'3.{rsv} reserved bits {rsv}', frame(TEXT, b'x') + frame(TEXT, b'y', rsv=rsv), 1 << 20
    for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield f'4 opcode {op}', frame(TEXT, b'x') + frame(op, b'y'), 1 << 20
    yield '5.1 ping in two', frame(PING, b'a', fin=False) + frame(0, b'b'), 1 << 20
    yield '5.3 text in two', frame(TEXT, b'a', fin=False) + frame(0, b'b') + BYE, 1 << 20
    yield '5.5 text in two, byte by byte', frame(TEXT, b'a', fin=False) + frame(0, b'b') + BYE, 1
    yield '5.6 ping between', frame(TEXT, b'a', fin=False) + frame(PING, b'p') + frame(0, b'b') + BYE, 1 << 20
    yield '5.9 continuation alone', frame(0, b'a') + frame(TEXT, b'x'), 1 << 20
    yield '5.18 text within text', frame(TEXT, b'a', fin=False) + frame(TEXT, b'b'), 1 << 20
    for name, text in (('6.2 UTF-8', 'κόσμε𐍈'.encode()), ('6.3 bad', b'\xce\xba\xed\xa0\x80edited'),
                       ('6.4 beyond', b'\xf4\x90\x80\x80'), ('6.6 cut', b'\xce\xba\xe1'), ('6.7 NUL', b'\0'),
                       ('6.10 overlong', b'\xc0\xaf'), ('6.12 long overlong', b'\xfc\x80\x80\x80\x80\xaf')):
        yield name, frame(TEXT, text) + BYE, 1 << 20
        yield name + ' in two', frame(TEXT, text[:1], fin=False) + frame(0, text[1:]) + BYE, 1
    yield '7.1.1 message behind the close', BYE + frame(TEXT, b'x'), 1 << 20
    yield '7.3.1 empty close', frame(CLOSE), 1 << 20
    yield '7.3.2 close of one byte', frame(CLOSE, b'x'), 1 << 20
    yield '7.3.5 close with reason', frame(CLOSE, b'\x03\xe8' + b'*' * 123), 1 << 20
    yield '7.3.6 close of 126', frame(CLOSE, b'\x03\xe8' + b'*' * 124), 1 << 20
    for code in (999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1011, 1012, 1016, 1100, 2000, 3000, 4999, 5000, 65535):
        yield f'7.7 close with {code}', frame(CLOSE, struct.pack('!H', code)), 1 << 20
    yield 'not masked', frame(TEXT, b'x', mask=False), 1 << 20
    yield '9 one MiB', frame(BINARY, random.Random(1).randbytes(1 << 20)) + BYE, 1 << 20
    yield '9 in frames of 64', b''.join([frame(BINARY, b'f' * 64, fin=False)] + [frame(0, b'f' * 64, fin=False)] * 2000
                                        + [frame(0, b'')]) + BYE, 1 << 20
    yield '10 many messages', b''.join(frame(TEXT, b'%d' % i) for i in range(1000)) + BYE, 1 << 20


# ---- ways to the server

KEY = 'dGhlIHNhbXBsZSBub25jZQ=='


class Http1:
    """A connection after 101; tls: through pasgate."""

    def __init__(self, port, tls):
        sock = socket.create_connection(('127.0.0.1', port), TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl._create_unverified_context()
            sock = context.wrap_socket(sock, server_hostname='localhost')
        self.sock = sock
        sock.sendall((f'GET /echo HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n'
                      f'Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n').encode())
        head = b''
        while b'\r\n\r\n' not in head:
            some = sock.recv(65536)
            if not some:
                raise OSError(f'no 101, but {head!r}')
            head += some
        head, self.rest = head.split(b'\r\n\r\n', 1)
        if b' 101 ' not in head.split(b'\r\n')[0]:
            raise OSError(f'no 101, but {head!r}')
        sock.setblocking(False)

    def send(self, data):
        """How many bytes went out; 0: none can now."""
        try:
            return self.sock.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0

    def receive(self):
        """Bytes, b'' at the end, None: none now."""
        if self.rest:
            some, self.rest = self.rest, b''
            return some
        try:
            return self.sock.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except OSError:
            return b''

    def pending(self):
        return bool(self.rest) or isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0

    def close(self):
        self.sock.close()


class Http2(Http1):
    """One stream of extended CONNECT."""

    def __init__(self, port):
        import h2.config
        import h2.connection
        context = ssl._create_unverified_context()
        context.set_alpn_protocols(['h2'])
        sock = socket.create_connection(('127.0.0.1', port), TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = context.wrap_socket(sock, server_hostname='localhost')
        if self.sock.selected_alpn_protocol() != 'h2':
            raise OSError('HTTP/2 was not chosen')
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False))
        self.h2.initiate_connection()
        self.sock.sendall(self.h2.data_to_send())
        self.got, self.ended, self.status, self.out = b'', False, None, b''
        end = time.monotonic() + TIMEOUT
        while self.h2.remote_settings.get(8, 0) != 1:
            self.step(end, 'no SETTINGS_ENABLE_CONNECT_PROTOCOL')
        self.h2.send_headers(1, [(':method', 'CONNECT'), (':protocol', 'websocket'), (':scheme', 'https'),
                                 (':path', '/echo'), (':authority', f'localhost:{port}'),
                                 ('sec-websocket-version', '13')])
        while self.status is None:
            self.step(end, 'no response')
        if self.status != '200':
            raise OSError(f'status {self.status}')
        self.sock.setblocking(False)

    def step(self, end, what):
        self.sock.settimeout(max(0.01, end - time.monotonic()))
        self.sock.sendall(self.h2.data_to_send())
        self.take(self.sock.recv(65536), what)

    def take(self, some, what='the end'):
        import h2.events
        if not some:
            self.ended = True
            if self.status is None:
                raise OSError(what)
            return
        for event in self.h2.receive_data(some):
            if isinstance(event, h2.events.ResponseReceived):
                self.status = dict((k.decode() if isinstance(k, bytes) else k, v.decode() if isinstance(v, bytes) else v)
                                   for k, v in event.headers)[':status']
            elif isinstance(event, h2.events.DataReceived):
                self.got += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)):
                self.ended = True
        if self.ended and self.status is None:
            raise OSError(what)

    def flush(self):
        self.out += self.h2.data_to_send()
        while self.out:
            try:
                n = self.sock.send(self.out)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            self.out = self.out[n:]

    def send(self, data):
        import h2.exceptions
        if self.ended:
            raise OSError('it has ended')
        self.flush()
        if self.out:
            return 0
        try:
            n = min(len(data), self.h2.local_flow_control_window(1), self.h2.max_outbound_frame_size)
            if n:
                self.h2.send_data(1, bytes(data[:n]))
        except h2.exceptions.ProtocolError as e:
            raise OSError(str(e))
        self.flush()
        return n

    def receive(self):
        if not self.got and not self.ended:
            try:
                self.take(self.sock.recv(65536))
                self.flush()
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self.flush()
            except OSError:
                return b''
        if self.got:
            some, self.got = self.got, b''
            return some
        return b'' if self.ended else None

    def pending(self):
        return bool(self.got) or self.ended or self.sock.pending() > 0


def converse(way, data, piece):
    """All that the server says until it ends the conversation; then whether it ended in time."""
    said, sent, end = b'', 0, time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        some = way.receive()
        if some == b'':
            return said, 'ended'
        if some is not None:
            said += some
            continue
        moved = 0
        if sent < len(data):
            try:
                moved = way.send(memoryview(data)[sent:sent + piece])
            except OSError:
                sent = len(data)
            sent += moved
        if not moved and not way.pending():
            select.select([way.sock], [way.sock] if sent < len(data) else [], [], 0.05)
    return said, 'not ended'


def attempt(direct, tls, h2):
    ways = {'direct': lambda: Http1(direct, False), 'HTTP/1.1': lambda: Http1(tls, True)}
    if h2:
        ways['HTTP/2'] = lambda: Http2(tls)
    names = list(ways)
    print(f'1..{len(list(cases()))}')
    bad = 0
    for i, (name, data, piece) in enumerate(cases(), 1):
        results = {}
        for way in names:
            try:
                it = ways[way]()
                results[way] = converse(it, data, piece)
                it.close()
            except OSError as e:
                results[way] = (b'', f'error: {e}')
        equal = len(set(results.values())) == 1 and results['direct'][1] == 'ended'
        bad += not equal
        print(f'{"ok" if equal else "not ok"} {i} - {name}', flush=True)
        if not equal:
            for way in names:
                said, how = results[way]
                print(f'# {way}: {len(said)} bytes, {how}: {said[:60]!r}')
    return bad == 0


if len(sys.argv) >= 3 and sys.argv[1] == 'serve':
    serve(int(sys.argv[2]))
elif len(sys.argv) >= 4 and sys.argv[1] == 'try':
    sys.exit(0 if attempt(int(sys.argv[2]), int(sys.argv[3]), 'h2' in sys.argv[4:]) else 1)
else:
    sys.exit(__doc__)
