# The PROXY protocol from load balancers in front: the client that it names is the client of the
# connection for everything; who is not such a balancer, or sends something else, is not believed.
use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use IO::Socket::SSL;
use PasGate;
use Test::More;

my $raw = PasGate::Scripted->new(reply => sub { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" });
my ($plain, $tls) = free_ports(2);
my $from = 'proxy_protocol = [ "127.0.0.1", "127.0.5.0/24" ]; clients = [ "deny 192.0.2.66" ];';
my $gate = PasGate->new(
    backends => [{ name => 'raw', port => $raw->{port} }], probe => '/', routes => '{ path = "/"; pool = "pas"; }',
    global => 'trusted = [ "198.51.100.0/24" ]; timeouts = { handshake = "2s"; };',
    listen => qq({ address = "127.0.0.1:$plain"; $from }, { address = "127.0.0.1:$tls"; tls = true; $from }));
my $v2 = "\r\n\r\n\0\r\nQUIT\n";

# Sends these pieces, then a request; the status, 0: closed. With TLS after the header.
my $asked = 0;
sub ask
{
    my ($address, $port, $pieces, @fields) = @_;
    my $sock = IO::Socket::INET->new(LocalAddr => $address, PeerAddr => '127.0.0.1', PeerPort => $port,
        Timeout => DEADLINE) or return -1;
    $sock->sockopt(Socket::TCP_NODELAY(), 1);
    local $SIG{PIPE} = 'IGNORE';
    for (@$pieces) { syswrite $sock, $_; select undef, undef, undef, 0.01 if @$pieces > 1 }
    if ($port == $tls) {
        IO::Socket::SSL->start_SSL($sock, SSL_verify_mode => SSL_VERIFY_NONE, Timeout => DEADLINE) or return 0;
    }
    my $id = 'n' . ++$asked;
    print {$sock} join "\r\n", "GET /$id HTTP/1.1", 'Host: localhost', 'Connection: close', @fields, '', '';
    my $all = '';
    1 while sysread $sock, $all, 65536, length $all;
    return $all =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0;
}

# The fields of the last request that a backend got.
sub got
{
    my ($bytes) = map { m{(GET /n$asked HTTP.*?\r\n\r\n)}s } $raw->seen;
    return { map { /^([^:]+): (.*)/ ? (lc $1 => $2) : () } split /\r\n/, $bytes // '' };
}
sub errors { return $gate->status->{totals}{proxy_header_errors} }

my $four = "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n";
subtest 'the client that it names' => sub {
    for my $port ($plain, $tls) {
        my $with = $port == $tls ? 'before TLS' : 'plain';
        is ask('127.0.0.1', $port, [$four]), 200, "version 1, $with";
        is got->{'x-forwarded-for'}, '192.0.2.1', 'the backend sees it';
        my ($line) = wait_for { (grep { $_->{target} eq "/n$asked" } $gate->access)[0] };
        is $line->{client}, '192.0.2.1', 'and the access log';
        is ask('127.0.5.7', $port, [$v2 . "\x21\x21\0\x24" . Socket::inet_pton(Socket::AF_INET6(), '2001:db8::7')
              . "\0" x 16 . "\x12\x67\1\xbb"]), 200, "version 2, IPv6, $with";
        is got->{'x-forwarded-for'}, '2001:db8::7', 'the backend sees it';
        is ask('127.0.0.1', $port, [$v2 . "\x21\x11\0\x12\xc0\0\2\3\0\0\0\0\0\1\0\2\4\0\3abc"]), 200, 'with a TLV';
        is got->{'x-forwarded-for'}, '192.0.2.3', 'the backend sees it';
        is ask('127.0.0.1', $port, [split //, $four]), 200, 'byte by byte';
        is got->{'x-forwarded-for'}, '192.0.2.1', 'the backend sees it';
    }
    is ask('127.0.0.1', $plain, [$four], 'X-Forwarded-For: 6.6.6.6'), 200, 'what its client writes';
    is got->{'x-forwarded-for'}, '192.0.2.1', 'is not believed';
    is ask('127.0.0.1', $plain, ["PROXY TCP4 198.51.100.1 192.0.2.2 1 2\r\n"], 'X-Forwarded-For: 192.0.2.9'), 200,
      'unless it is a trusted balancer itself';
    is got->{'x-forwarded-for'}, '192.0.2.9, 198.51.100.1', 'of another kind';
};

subtest 'no client is named' => sub {
    for ("PROXY UNKNOWN\r\n", "$v2\x20\0\0\0", "$v2\x21\0\0\0", "$v2\x20\x11\0\x0c" . 'x' x 12) {
        is ask('127.0.0.1', $plain, [$_]), 200, 'it is served';
        is got->{'x-forwarded-for'}, '127.0.0.1', 'as the balancer itself';
    }
};

subtest 'who may come in' => sub {
    my $denied = $gate->status->{totals}{connections_denied};
    is ask('127.0.0.1', $plain, ["PROXY TCP4 192.0.2.66 192.0.2.2 1 2\r\n"]), 0, 'a client that is denied: closed';
    ok wait_for { $gate->status->{totals}{connections_denied} == $denied + 1 }, 'and counted';
};

subtest 'others' => sub {
    my $before = errors();
    is ask('127.0.0.2', $plain, []), 200, 'a client of its own needs no header';
    is got->{'x-forwarded-for'}, '127.0.0.2', 'it is the client';
    is ask('127.0.0.2', $plain, [$four]), 400, 'its header is no request';
    is ask('127.0.0.2', $tls, []), 200, 'with TLS';
    is ask('127.0.0.2', $tls, [$four]), 0, 'its header is no TLS';
    is errors(), $before, 'these are no errors of a balancer';
};

subtest 'malformed' => sub {
    my $before = errors();
    my @bad = ('GET / HTTP/1.1', "PROXY TCP4 1.2.3.4\r\n", "PROXY UNKNOWN" . ' ' x 100, "$v2\x21\x11\0\1x",
        "$v2\x31\0\0\0", "$v2\x21\x11\xff\xff");
    for my $port ($plain, $tls) { is ask('127.0.0.1', $port, [$_]), 0, 'closed' for @bad }
    ok wait_for { errors() == $before + 2 * @bad }, 'and counted';
    ok $gate->wait_log(qr/warn .*connection from 127\.0\.0\.1 to 127\.0\.0\.1:\d+ closed: it does not begin with a PROXY header/), 'logged';
    is +(() = $gate->log_text =~ /does not begin with a PROXY header/g), 1, 'once';
    $before = errors();
    my $half = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $plain) or die;
    syswrite $half, 'PROXY TCP4 ';
    my $byte;
    ok !sysread($half, $byte, 1), 'half a header is closed, after timeouts.handshake';
    is errors(), $before + 1, 'and counted';
    $half = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $plain) or die;
    syswrite $half, 'PROXY TCP4 ';
    shutdown $half, 1;
    ok !sysread($half, $byte, 1), 'at once when no more comes';
    close $half;
    my $probe = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $plain) or die;
    close $probe;
    is ask('127.0.0.1', $plain, [$four]), 200, 'it serves on';
    is errors(), $before + 2, 'a connection without a byte is no error';
    like $gate->get('/metrics', plain => 1, port => $gate->{status_port})->{body},
      qr/^pasgate_proxy_header_errors_total [1-9]/m, 'the metric';
};

$gate->stop_ok;
done_testing;
