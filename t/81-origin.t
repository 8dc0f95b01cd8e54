# Behind trusted balancers: one notion of the client, which everything follows.
use strict;
use warnings;
use JSON::PP;
use lib 't/lib';
use PasGate;
use Test::More;

my $raw = PasGate::Scripted->new(reply => sub {
    my ($request) = @_;
    my ($fields) = $request =~ /^X-Say: ([^\r]*)/mi;
    return "HTTP/1.1 200 OK\r\n" . ($fields ? "$fields\r\n" : '') . "Content-Length: 2\r\n\r\nok";
});
my ($redirect, $standard) = (free_port(), free_port());
sub gate
{
    return PasGate->new(
        backends => [{ name => 'raw', port => $raw->{port} }], probe => '/', routes => '{ path = "/"; pool = "pas"; }',
        pool => 'sticky = "cookie";',
        listen => qq({ address = "127.0.0.1:$redirect"; redirect = "https"; },)
          . qq( { address = "127.0.0.1:$standard"; redirect = "https"; redirect_port = 443; }), @_);
}
my $gate = gate(global => 'trusted = [ "127.0.0.0/8", "10.0.0.0/8" ];');

my $asked = 0;

# What the backend was sent for a request: {lower-case name => value}, and the response.
sub sent
{
    my (@fields) = @_;
    my $id = 'n' . ++$asked;
    my $r = $gate->request('GET', "/$id", plain => 1, host => 'in.test', headers => \@fields);
    my ($bytes) = map { m{(GET /$id HTTP.*?\r\n\r\n)}s } $raw->seen;
    my %h = map { /^([^:]+): (.*)/ ? (lc $1 => $2) : () } split /\r\n/, $bytes // '';
    return (\%h, $r);
}

subtest 'the fields for the backend agree' => sub {
    my ($h) = sent(['X-Forwarded-For', '6.6.6.6, 192.0.2.1, 10.1.2.3'], ['X-Forwarded-Proto', 'https'],
        ['X-Forwarded-Host', 'shop.test'], ['Forwarded', 'for=7.7.7.7;proto=http;host=evil.test'], ['X-Real-IP', '7.7.7.7']);
    is $h->{'x-forwarded-for'}, '6.6.6.6, 192.0.2.1, 10.1.2.3, 127.0.0.1', 'X-Forwarded-For';
    is $h->{'x-forwarded-proto'}, 'https', 'X-Forwarded-Proto';
    is $h->{'x-forwarded-port'}, 443, 'X-Forwarded-Port';
    is $h->{forwarded}, 'for=6.6.6.6, for=192.0.2.1;host="shop.test";proto=https, for=10.1.2.3, for=127.0.0.1', 'Forwarded';
    is $h->{'x-real-ip'}, '192.0.2.1', 'X-Real-IP';
    is $h->{host}, 'in.test', 'Host stays';
    ($h) = sent(['X-Real-IP', '192.0.2.9']);
    is $h->{'x-forwarded-for'}, '192.0.2.9, 127.0.0.1', 'from X-Real-IP alone: X-Forwarded-For';
    like $h->{forwarded}, qr/^for=192\.0\.2\.9;.*, for=127\.0\.0\.1$/, 'Forwarded';
    is $h->{'x-real-ip'}, '192.0.2.9', 'X-Real-IP';
    ($h) = sent(['Forwarded', 'for="[2001:db8::1]";proto=https;host=shop.test, for=10.1.2.3']);
    is $h->{'x-forwarded-for'}, '2001:db8::1, 10.1.2.3, 127.0.0.1', 'from Forwarded alone: X-Forwarded-For';
    is $h->{'x-forwarded-proto'}, 'https', 'X-Forwarded-Proto';
    is $h->{'x-forwarded-host'}, 'shop.test', 'X-Forwarded-Host';
    is $h->{forwarded}, 'for="[2001:db8::1]";proto=https;host=shop.test, for=10.1.2.3, for=127.0.0.1', 'Forwarded';
};

subtest 'https before us is https' => sub {
    my @https = (['X-Forwarded-Proto', 'https'], ['X-Forwarded-Host', 'shop.test']);
    my %ask = (plain => 1, port => $redirect, host => 'in.test');
    is $gate->request('GET', '/x', %ask, headers => \@https)->{status}, 200, 'the redirect does not loop';
    is $gate->request('GET', '/x', %ask, headers => [['Forwarded', 'for=192.0.2.1;proto=https']])->{status}, 200, 'nor with Forwarded';
    my $r = $gate->request('GET', '/x?y', %ask, port => $standard,
        headers => [['X-Forwarded-Proto', 'http'], ['X-Forwarded-Host', 'shop.test:80']]);
    is $r->{status}, 301, 'http is redirected';
    is $r->{h}{location}, 'https://shop.test/x?y', 'to the host that the client named';
    my $say = sub { my ($h, $r) = sent(@https, ['X-Say', $_[0]]); return $r->{h} };
    is $say->('Location: http://shop.test/a')->{location}, 'https://shop.test/a', 'Location by the public name';
    is $say->('Location: http://in.test/a')->{location}, 'https://shop.test/a', 'by the one that we got';
    is $say->("Location: http://127.0.0.1:$raw->{port}/a")->{location}, 'https://shop.test/a', "by the backend's";
    is $say->('Location: http://elsewhere.test/a')->{location}, 'http://elsewhere.test/a', 'others stay';
    like $say->('X-Y: z')->{'set-cookie'}, qr/; Secure/, 'our cookie is for https only';
    is $say->('X-Y: z')->{'strict-transport-security'}, undef, 'HSTS is said by who speaks TLS';
    (undef, $r) = sent(['X-Forwarded-Proto', 'http'], ['X-Say', 'X-Y: z']);
    unlike $r->{h}{'set-cookie'}, qr/Secure/, 'for http it is not';
};

subtest 'the log' => sub {
    my ($h, $r) = sent(['X-Forwarded-For', '192.0.2.44:1234, 10.1.2.3'], ['X-Request-Id', 'theirs']);
    is $h->{'x-request-id'}, 'theirs', 'the id of the balancer: to the backend';
    is $r->{h}{'x-request-id'}, 'theirs', 'and in the response';
    my $line = wait_for { (grep { /"192\.0\.2\.44"/ } split /\n/, PasGate::slurp($gate->{access}))[0] };
    $line = decode_json($line // '{}');
    is $line->{client}, '192.0.2.44', 'has the client';
    is $line->{port}, 1234, 'with its port';
    is $line->{peer}, '127.0.0.1', 'who told of it';
    is $line->{id}, 'theirs', 'and the id';
};

subtest 'a redirect needs a host' => sub {
    for my $port ($redirect, $standard) {
        my $c = $gate->connect(plain => 1, port => $port);
        $c->write("GET /x HTTP/1.0\r\n\r\n");
        my $r = $c->response('GET');
        is $r->{status}, 400, 'without one: 400';
        is $r->{h}{location}, undef, 'and no Location';
        $c->close;
    }
};

$gate->stop_ok;

# Raw bytes are encoded for the Location, which keeps segments that the path loses.
subtest 'a redirect needs room' => sub {
    my $long = gate(global => 'limits = { target_bytes = "32k"; };');
    my %ask = (plain => 1, port => $redirect, host => 'in.test');
    my $r = $long->request('GET', '/' . '{' x 3000 . '/../x', %ask);
    is $r->{status}, 301, 'raw bytes are redirected';
    is $r->{h}{location}, "https://in.test:$long->{tls}/" . '%7B' x 3000 . '/../x', 'encoded';
    $r = $long->request('GET', ('/' . '{' x 3000 . '/..') x 5 . '/x', %ask);
    is $r->{status}, 414, 'too many of them are too long';
    is $r->{h}{location}, undef, 'without a Location';
    ok wait_for { grep { ($_->{detail} // '') eq 'target too long to redirect once it is percent-encoded' } $long->access },
      'as the log tells';
    $long->stop_ok;
};

subtest 'nobody else is believed' => sub {
    my $stranger = gate();
    my %ask = (plain => 1, port => $redirect, host => 'in.test');
    is $stranger->request('GET', '/x', %ask, headers => [['X-Forwarded-Proto', 'https']])->{status}, 301, 'http stays http';
    my $r = $stranger->request('GET', '/x', %ask, headers => [['X-Forwarded-Host', 'evil.test']]);
    unlike $r->{h}{location}, qr/evil/, 'the host is the one asked for';
    $stranger->stop_ok;
};

done_testing;
