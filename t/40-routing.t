# Where requests go, and how they and their answers are rewritten on the way.
use strict;
use warnings;
use JSON::PP;
use lib 't/lib';
use PasGate;
use Test::More;

my $pas = PasGate::StandIn->new('pas1');
my $answer = "Content-Length: 2\r\n\r\nok";
my $raw = PasGate::Scripted->new(reply => sub {
    my ($request) = @_;
    my ($fields) = $request =~ /^X-Say: ([^\r]*)/mi;
    return "HTTP/1.1 200 OK\r\n" . ($fields ? join('', map { "$_\r\n" } split / *\|\| */, $fields) : '') . $answer;
});
my $redirect = free_port();
my $gate = PasGate->new(
    backends   => [$pas],
    more_pools => [qq(name = "raw"; check = { type = "tcp"; }; backends = ( { name = "raw"; address = "127.0.0.1:$raw->{port}"; } );)],
    routes => <<'END',
{ path = "/pas"; pool = "pas"; upstream_path = "/web"; },
{ path = "/pas/deep"; pool = "raw"; upstream_path = "/inner"; },
{ path = "/raw"; pool = "raw"; upstream_path = "/web"; },
{ path = "/apsv"; pool = "pas"; },
{ host = "other.test"; path = "/"; pool = "raw"; },
{ host = "*.wild.test"; path = "/x"; pool = "raw"; }
END
    listen => qq({ address = "127.0.0.1:$redirect"; redirect = "https"; }));

# What the scripted backend was sent for this request: (first line, {lower-case name => value}).
sub sent
{
    my ($method, $target, %opt) = @_;
    $raw->clear;
    my $r = $gate->request($method, $target, %opt);
    my $bytes;
    wait_for { ($bytes) = grep { /\r\n\r\n/ } $raw->seen } 5 or return ($r->{status}, {});
    my ($first, @lines) = split /\r\n/, $bytes;
    my %h;
    for (@lines) {
        my ($name, $value) = /^([^:]+): ?(.*)$/ or last;
        $h{ lc $name } = exists $h{ lc $name } ? "$h{lc $name} && $value" : $value;
    }
    return ($first, \%h);
}

# The fields of an answer for which the backend said these.
sub said
{
    my (@fields) = @_;
    my $r = $gate->request('GET', '/raw/x', headers => [['X-Say', join ' || ', @fields]], host => 'www.test');
    return $r->{h};
}

subtest 'the map of paths' => sub {
    is decode_json($gate->get('/pas/get')->{body})->{url} =~ s{^http://[^/]+}{}r, '/web/get', '/pas/get is /web/get';
    is $gate->get('/pas')->{status}, 200, '/pas is /web';
    is $gate->get('/pasta')->{status}, 404, 'not /pasta: segments count';
    is $gate->get('/nowhere')->{status}, 404, 'no route, no service';
    is +(sent('GET', '/pas/deep/er?a=%20b'))[0], 'GET /inner/er?a=%20b HTTP/1.1', 'the longest path wins, the query stays';
    is +(sent('GET', '/pas/deep'))[0], 'GET /inner HTTP/1.1', 'without a slash';
    is +(sent('GET', '/pas/../raw/y'))[0], 'GET /web/y HTTP/1.1', 'dots are resolved before, and the same is forwarded';
    is +(sent('GET', '/pas/%64eep/z'))[0], 'GET /inner/z HTTP/1.1', 'so are escapes of plain letters';
    is +(sent('GET', '/anything', host => 'other.test'))[0], 'GET /anything HTTP/1.1', 'by host';
    is +(sent('GET', '/x/1', host => 'a.wild.test:8443'))[0], 'GET /x/1 HTTP/1.1', 'by wildcard, the port does not matter';
    is $gate->get('/x/1', host => 'wild.test')->{status}, 404, 'which needs a label';
};

subtest 'forwarded fields' => sub {
    my ($line, $h) = sent('GET', '/raw/f', host => 'www.test:8443', headers => [
        ['X-Forwarded-For', '6.6.6.6'], ['X-Forwarded-Proto', 'gopher'], ['X-Forwarded-Host', 'evil'],
        ['Forwarded', 'for=6.6.6.6'], ['X-Real-IP', '6.6.6.6'], ['X_Forwarded_For', '6.6.6.6'], ['X-Request-Id', "a b"]]);
    is $h->{'x-forwarded-for'}, '127.0.0.1', 'who asks: not what he says';
    is $h->{'x-forwarded-proto'}, 'https', 'how';
    is $h->{'x-forwarded-host'}, 'www.test:8443', 'whom';
    ok $h->{'x-forwarded-port'}, 'where';
    like $h->{forwarded}, qr/^for=127\.0\.0\.1;/, 'RFC 7239';
    is $h->{host}, 'www.test:8443', 'the host stays';
    like $h->{'x-request-id'}, qr/^\S{8,}$/, 'an id';
    is $h->{'x-real-ip'} // '127.0.0.1', '127.0.0.1', 'no lies about the address';
    is $h->{x_forwarded_for}, undef, 'nor with an underscore';
    ($line, $h) = sent('GET', '/raw/f', plain => 1);
    is $h->{'x-forwarded-proto'}, 'http', 'http is told, too';
};

subtest 'a trusted proxy before us is believed' => sub {
    my $trusting = PasGate->new(
        backends => [{ name => 'raw', port => $raw->{port} }], probe => '/', routes => '{ path = "/"; pool = "pas"; }',
        global => 'trusted = [ "127.0.0.0/8" ];');
    $raw->clear;
    $trusting->get('/t', headers => [['X-Forwarded-For', '6.6.6.6'], ['X-Forwarded-Proto', 'https']]);
    my ($bytes) = wait_for { my @s = grep { m{GET /t} } $raw->seen; @s ? \@s : 0 } ? grep { m{GET /t} } $raw->seen : '';
    like $bytes, qr/^X-Forwarded-For: 6\.6\.6\.6, 127\.0\.0\.1\r$/mi, 'its word, and its address';
    $trusting->stop_ok;
};

subtest 'hop by hop' => sub {
    my ($line, $h) = sent('GET', '/raw/h', headers => [['Connection', 'X-Mine, Host, Cookie'], ['X-Mine', 1],
        ['Cookie', 'a=b'], ['Keep-Alive', 'x'], ['Proxy-Connection', 'x'], ['TE', 'trailers'], ['Upgrade', 'h2c'],
        ['HTTP2-Settings', 'AAMAAABkAAQAoAAAAAIAAAAA'], ['Proxy-Authorization', 'x'], ['Proxy', 'x'], ['X-Other', 'kept']]);
    is $h->{$_}, undef, "$_ ends here" for qw(x-mine keep-alive proxy-connection te upgrade http2-settings proxy-authorization proxy);
    is $h->{cookie}, 'a=b', 'a cookie cannot be struck out';
    is $h->{'x-other'}, 'kept', 'others pass';
    my $f = said('Connection: X-Theirs', 'X-Theirs: 1', 'Keep-Alive: timeout=5', 'X-Kept: 1');
    is $f->{'x-theirs'}, undef, 'in answers, too';
    is $f->{'keep-alive'}, undef, 'Keep-Alive';
    is $f->{'x-kept'}, 1, 'the rest passes';
};

subtest 'Location and Set-Cookie are turned round' => sub {
    my %location = (
        '/web/get'                                  => '/raw/get',
        'http://www.test/web/get'                   => 'https://www.test/raw/get',
        "http://127.0.0.1:$raw->{port}/web/get?x=1" => 'https://www.test/raw/get?x=1',
        'https://elsewhere.test/web/get'            => 'https://elsewhere.test/web/get',
        '/website'                                  => '/website',
        'get'                                       => 'get',
    );
    for (sort keys %location) {
        is said("Location: $_")->{location} =~ s{^(https://www\.test)(?::\d+)?/}{$1/}r, $location{$_}, "Location: $_";
    }
    is said('Content-Location: /web/x')->{'content-location'}, '/raw/x', 'Content-Location';
    my %cookie = (
        'a=b; Path=/web'                      => qr{^a=b; Path=/raw$},
        'a=b; Path=/web/x; HttpOnly'          => qr{^a=b; Path=/raw/x; HttpOnly},
        'a=b; Path=/'                         => qr{^a=b; Path=/},
        'a=b; Domain=127.0.0.1; Path=/web'    => qr{^a=b; (?!.*127\.0\.0\.1).*Path=/raw},
        'a="; Path=/web"; Path=/web/y'        => qr{^a="; Path=/web"; Path=/raw/y},
    );
    for (sort keys %cookie) {
        like said("Set-Cookie: $_")->{'set-cookie'}, $cookie{$_}, "Set-Cookie: $_";
    }
    my $r = $gate->get('/pas/cookie', host => 'localhost');
    like $r->{h}{'set-cookie'}, qr{^test=succeeded; .*Path=/pas/cookie}, 'that of pas-httpbin';
};

subtest 'http goes to https' => sub {
    my $ask = sub { my ($method, $target, %opt) = @_; $gate->request($method, $target, plain => 1, port => $redirect, %opt) };
    my $r = $ask->('GET', '/pas/get?a=b', host => 'www.test');
    is $r->{status}, 301, 'GET';
    is $r->{h}{location}, "https://www.test:$gate->{tls}/pas/get?a=b", 'where to';
    is $ask->('HEAD', '/pas/get')->{status}, 301, 'HEAD';
    is $ask->('POST', '/pas/post', body => 'x')->{status}, 308, 'POST keeps its method';
    is $ask->('GET', '/.well-known/acme-challenge/none')->{status}, 404, 'not a challenge';
    is $ask->('GET',  '/apsv')->{status}, 403, 'not APSV';
    is $ask->('POST', '/apsv', body => 'x')->{status}, 403, 'nor its POST';
    ok $gate->wait_log(qr/apsv/i), 'and the log tells';
};

subtest 'errors of the proxy and of the backend' => sub {
    my $r = $gate->get('/nowhere');
    like $r->{h}{'proxy-status'} // '', qr/pasgate; *error=/, 'ours has Proxy-Status';
    $r = $gate->get('/pas/status?code=503');
    is $r->{status}, 503, "the backend's";
    unlike $r->{h}{'proxy-status'} // '', qr/error=/, 'has none';
};

$gate->stop_ok;
done_testing;
