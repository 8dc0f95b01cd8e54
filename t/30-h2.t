# HTTP/2 with clients: requests and responses, and what is refused; a backend sees HTTP/1.1.
use strict;
use warnings;
use JSON::PP;
use lib 't/lib';
use H2;
use PasGate;
use Test::More;

my $pas  = PasGate::StandIn->new('pas1');
my $gate = PasGate->new(backends => [$pas]);
my $url  = "https://localhost:$gate->{tls}";
my @curl = ('curl', '-sS', '--http2', '--cacert', tmp('ca.pem'), '--max-time', 60);

sub curl { my ($code, $out) = run_cmd(@curl, @_); return $out }
sub json { my $text = curl(@_); return eval { decode_json($text) } // { said => $text } }

subtest 'requests' => sub {
    is curl('-o', '/dev/null', '-w', '%{http_version} %{http_code}', "$url/pas/get"), '2 200', 'by HTTP/2';
    my $got = json("$url/pas/get?a=b", '-H', 'X-Mine: 1', '-H', 'Cookie: a=1; b=2', '-H', 'TE: trailers');
    is $got->{headers}{'X-Mine'} // $got->{headers}{'x-mine'}, '1', 'fields arrive';
    is $got->{headers}{Cookie}, 'a=1; b=2', 'and cookies';
    is $got->{headers}{Via}, '2.0 pasgate', 'and how it came';
    is_deeply $got->{args}, { a => 'b' }, 'and the query';
    like curl('-I', "$url/pas/get"), qr/^HTTP\/2 200 .*content-length: \d+/s, 'HEAD';
    my $head = curl('-D', '-', '-o', '/dev/null', "$url/pas/get");
    unlike $head, qr/^(?:connection|keep-alive|transfer-encoding):/mi, 'no fields of the connection';
    unlike $head =~ s/^HTTP.*\n//r, qr/^[^:\n]*[A-Z][^:\n]*:/m, 'names are in lower case';
    like $head, qr/^strict-transport-security: max-age=/m, 'HSTS';
    like $head, qr/^date: /m, 'Date';
    is curl('-o', '/dev/null', '-w', '%{http_version} %{http_code}', '-X', 'OPTIONS', '--request-target', '*', "$url/"), '2 204', 'OPTIONS *';
    my $line;
    wait_for { ($line) = grep { ($_->{target} // '') eq '/pas/get?a=b' } $gate->access };
    is $line->{version}, 'HTTP/2.0', 'the access log tells the version';
    is $line->{stream}, 1, 'and the stream';
};

subtest 'bodies' => sub {
    my $file = spew(tmp('body'), join '', map { chr(rand 256) } 1 .. 300_000);
    my $sum = `sha256sum $file` =~ s/ .*//sr;
    for my $with ([], ['-H', 'Transfer-Encoding: chunked'], ['-H', 'Expect: 100-continue']) {
        my $got = json('-T', $file, @$with, "$url/pas/upload");
        is $got->{length}, 300_000, "up: @$with";
        is $got->{sha256} // $sum, $sum, 'unchanged';
    }
    for my $how ('', '&chunked=1000') {
        is curl('-o', tmp('down'), '-w', '%{http_code} %{size_download}', "$url/pas/bytes?n=3000000$how"), '200 3000000', "down $how";
    }
    is curl('-o', '/dev/null', '-w', '%{http_code} %{size_download}', '--limit-rate', '3M', "$url/pas/bytes?n=4000000"),
      '200 4000000', 'to a slow reader';
    is curl('-o', '/dev/null', '-w', '%{http_code}', "$url/pas/status?code=204"), '204', 'none';
};

subtest 'many streams at once' => sub {
    my $c = H2->new($gate);
    $c->get(1 + 2 * $_, "/pas/bytes?n=" . (20_000 + $_)) for 0 .. 9;
    $c->send(H2::WINDOW_UPDATE, 0, 0, pack 'N', 10_000_000);
    my %end;
    while (keys %end < 10) {
        my $f = $c->frame(sub { $_->{type} == H2::DATA && $_->{flags} & H2::END_STREAM }) or last;
        $end{ $f->{stream} } = length $c->{seen}{ $f->{stream} }{data};
    }
    is_deeply \%end, { map { 1 + 2 * $_ => 20_000 + $_ } 0 .. 9 }, 'each gets its own';
    $c->close;
};

# Status of one request on a new connection.
sub one
{
    my ($fields, %opt) = @_;
    my $c = H2->new($gate);
    $c->headers(1, $fields, end => !defined $opt{data});
    $c->send(H2::DATA, H2::END_STREAM, 1, $opt{data}) if defined $opt{data};
    my $status = $c->status(1);
    $c->close;
    return $status;
}

subtest 'refused' => sub {
    my $r = sub { return H2::request('/pas/get', fields => [@_]) };
    my @reset = (
        ['CR LF in a value', $r->(['x', "a\r\nb: c"])], ['NUL', $r->(['x', "a\0b"])],
        ['a space at the end', $r->(['x', 'a '])],      ['capitals', $r->(['X-A', 'b'])],
        ['an empty name', $r->(['', 'b'])],             ['a colon', $r->(['a:b', 'c'])],
        ['connection', $r->(['connection', 'close'])],  ['transfer-encoding', $r->(['transfer-encoding', 'chunked'])],
        ['TE', $r->(['te', 'gzip'])],                   ['a late pseudo-header', $r->(['x', 'y'], [':path', '/'])],
        ['an unknown one', $r->([':x', 'y'])],          ['another host', $r->(['host', 'other'])],
        ['no path', [[':method', 'GET'], [':scheme', 'https'], [':authority', 'localhost']]],
        ['an absolute path', H2::request('https://localhost/')],
        ['a method with a space', H2::request('/', method => 'GET / HTTP/1.1')],
        ['length without a body', $r->(['content-length', '5'])],
    );
    is one($_->[1]), 'R' . H2::PROTOCOL_ERROR, $_->[0] for @reset;
    is one($r->(['content-length', '5']), data => 'abcdef'), 'R' . H2::PROTOCOL_ERROR, 'DATA over content-length';
    is one($r->(['content-length', '5']), data => 'abcd'), 'R' . H2::PROTOCOL_ERROR, 'DATA below it';
    is one(H2::request('/', host => 'u@localhost')), 400, 'a host with a user';
    is one([[':method', 'GET'], [':scheme', 'https'], [':path', '/']]), 400, 'no host';
    is one(H2::request('/a b')), 400, 'a space in the path';
    is one(H2::request('/' . 'a' x 9000)), 414, 'a long target';
    is one($r->(['x', 'a' x 15_000], map { ["x$_", 'a' x 15_000] } 1 .. 5)), 'G' . H2::FRAME_SIZE_ERROR, 'a frame that is too long';
    is one($r->(map { ["x$_", 'y'] } 1 .. 110)), 431, 'too many fields';
    is one($r->(map { ['cookie', 'y'] } 1 .. 300)), 431, 'too many crumbs';
    is one($r->(map { ['cookie', "a$_=y"] } 1 .. 150)), 200, 'but not a few';
    is one([[':method', 'CONNECT'], [':authority', 'localhost:1']]), 405, 'CONNECT';
    is one(H2::request('/', method => 'TRACE')), 405, 'TRACE';
    is one(H2::request('/', method => 'get')), 501, 'a method in small letters';
    is one($r->(['expect', 'much'])), 417, 'another Expect';
    is one(H2::request('/nowhere/..%2f')), 400, 'an encoded slash';
    is one($r->()), 200, 'and a good one';
};

$gate->stop_ok;
done_testing;
