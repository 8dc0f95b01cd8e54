# What a proxy owes a message (RFC 9110): Date, Via, Max-Forwards, trailers for who asks.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my %trailers = (
    good   => "X-Checksum: 77\r\nServer-Timing: db;dur=5\r\nContent-Digest: sha-256=:x:\r\n",
    mixed  => "Content-Length: 3\r\nX-Sum: 1\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\nAuthorization: x\r\n"
      . "Host: evil.test\r\nWWW-Authenticate: NTLM\r\nLocation: /evil\r\nCache-Control: public\r\nConnection: close\r\n"
      . "Content-Type: text/html\r\nContent-Range: bytes 0-1/2\r\nTrailer: x\r\nX-Forwarded-For: 6.6.6.6\r\n"
      . "Access-Control-Allow-Origin: *\r\nX-More: 2\r\n",
    broken => "X-Sum: 1\r\n folded\r\n",
    huge   => 'X-Sum: ' . ('x' x 9000) . "\r\n",
);
my $raw = PasGate::Scripted->new(reply => sub {
    my ($request) = @_;
    my ($fields) = $request =~ /^X-Say: ([^\r]*)/mi;
    my ($kind) = $request =~ m{ /trailers/(\w+)};
    return ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nfirst\r\n", 0.05,
        "6\r\nsecond\r\n0\r\n" . substr($trailers{$kind}, 0, 7), 0.05, substr($trailers{$kind}, 7) . "\r\n") if $kind;
    my $version = $request =~ m{ /old} ? '1.0' : '1.1';
    return "HTTP/$version 200 OK\r\n" . ($fields ? "$fields\r\n" : '') . "Content-Length: 2\r\n\r\nok";
});
my $gate = PasGate->new(backends => [{ name => 'raw', port => $raw->{port} }], probe => '/', routes => '{ path = "/"; pool = "pas"; }, { path = "/some"; pool = "pas"; methods = [ "GET", "POST" ]; }');

my $asked = 0;
sub sent
{
    my ($method, $path, @fields) = @_;
    my $id = 'n' . ++$asked;
    my $r = $gate->request($method, "$path/$id", headers => \@fields);
    my ($bytes) = map { m{(\w+ \S*/$id HTTP.*?\r\n\r\n)}s } $raw->seen;
    return ($bytes // '', $r);
}

subtest 'Date' => sub {
    my ($bytes, $r) = sent('GET', '/date');
    like $r->{h}{date}, qr/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/, 'a response without one gets it';
    (undef, $r) = sent('GET', '/date', ['X-Say', 'Date: Sun, 06 Nov 1994 08:49:37 GMT']);
    is $r->{h}{date}, 'Sun, 06 Nov 1994 08:49:37 GMT', "the backend's stays";
};

subtest 'Via' => sub {
    my ($bytes, $r) = sent('GET', '/via', ['Via', '1.1 edge']);
    like $bytes, qr/^Via: 1\.1 edge\r\n(?:.*\r\n)*?Via: 1\.1 pasgate\r$/m, 'the backend sees whom it came through';
    is $r->{h}{via}, '1.1 pasgate', 'so does the client';
    (undef, $r) = sent('GET', '/old');
    is $r->{h}{via}, '1.0 pasgate', 'with the version that the backend speaks';
    is $gate->get('/.well-known/acme-challenge/../../..')->{h}{via}, undef, 'what is ours went through nobody';
};

subtest 'Max-Forwards' => sub {
    my ($bytes, $r) = sent('OPTIONS', '/o', ['Max-Forwards', 0]);
    is $bytes, '', 'OPTIONS with none left goes no further';
    is $r->{status}, 204, 'and is answered';
    like $r->{h}{allow}, qr/\bOPTIONS\b/, 'with what there is';
    (undef, $r) = sent('OPTIONS', '/some', ['Max-Forwards', 0]);
    unlike $r->{h}{allow}, qr/OPTIONS|PUT/, 'only that of a route';
    like $r->{h}{allow}, qr/\bGET\b.*\bPOST\b/, 'all of it';
    ($bytes, $r) = sent('OPTIONS', '/o', ['Max-Forwards', 7]);
    like $bytes, qr/^Max-Forwards: 6\r$/m, 'one less for the next';
    is $r->{body}, 'ok', 'whose answer it is';
    ($bytes) = sent('OPTIONS', '/o', ['Max-Forwards', '0' x 300 . 7]);
    like $bytes, qr/^Max-Forwards: 6\r$/m, 'with zeros, too';
    ($bytes) = sent('OPTIONS', '/o', ['Max-Forwards', '9' x 300]);
    like $bytes, qr/^Max-Forwards: 99999999\r$/m, 'of more than we count, what we count';
    ($bytes, $r) = sent('OPTIONS', '/o', ['Max-Forwards', '0' x 300]);
    is "$bytes$r->{status}", '204', 'many zeros are none';
    ($bytes) = sent('OPTIONS', '/o', ['Max-Forwards', 'many']);
    like $bytes, qr/^Max-Forwards: many\r$/m, 'what is no number is not ours to mend';
    ($bytes) = sent('GET', '/o', ['Max-Forwards', 3]);
    like $bytes, qr/^Max-Forwards: 3\r$/m, 'it means nothing for a GET';
};

subtest 'trailers' => sub {
    my $ask = sub { my ($kind, %opt) = @_; return $gate->request('GET', "/trailers/$kind", headers => [['TE', $opt{te} // 'trailers']], %opt) };
    my $r = $ask->('good');
    is $r->{body}, 'firstsecond', 'the body';
    is_deeply $r->{trailers}, ['X-Checksum: 77', 'Server-Timing: db;dur=5', 'Content-Digest: sha-256=:x:'], 'with its trailers';
    is $ask->('good', te => 'gzip;q=0.5')->{trailers}, undef, 'for who asks only';
    is_deeply $ask->('good', te => 'gzip;q=0.5, Trailers')->{trailers}, $r->{trailers}, 'in a list, too';
    is_deeply $ask->('mixed')->{trailers}, ['X-Sum: 1', 'X-More: 2'], 'none that frame, route, or authenticate';
    is $ask->('good', version => 'HTTP/1.0')->{body}, 'firstsecond', 'HTTP/1.0 has none';
    my $c = $gate->connect;
    for my $kind (qw(good mixed good)) {
        my $r = $c->request('GET', "/trailers/$kind", headers => [['TE', 'trailers']]);
        is "$r->{body} " . scalar(@{ $r->{trailers} }), 'firstsecond ' . ($kind eq 'good' ? 3 : 2), 'the connection goes on';
    }
    for my $kind (qw(broken huge)) {
        my $r = $ask->($kind);
        ok !$r->{complete} && !$r->{trailers}, "$kind: the response is cut";
    }
    $c->close;
};

$gate->stop_ok;
done_testing;
