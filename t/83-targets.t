# What browsers, clients and RFCs allow is passed on, and nothing passes the shield by it: raw bytes
# in targets, encoded slashes, methods that pasgate does not know, and the limits of fields and
# targets. The parts that need no connection are in t/hostile/cases.txt.
use strict;
use warnings;
use utf8;
use JSON::PP;
use lib 't/lib';
use PasGate;
use Test::More;

my $pas = PasGate::StandIn->new('pas1');
my $raw = PasGate::Scripted->new(reply => sub {
    my ($request, $connection) = @_;
    my ($say) = $request =~ /^X-Say: ([^\r]*)/mi;
    return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" unless $say;
    return join '', map { "$_\r\n" } split(/ *\|\| */, $say), "X-Connection: $connection", '';
});
my ($strict, $redirect) = free_ports(2);
my $gate = PasGate->new(
    backends   => [$pas],
    pool       => 'sticky = "none";',
    more_pools => [qq(name = "raw"; sticky = "none"; check = { type = "tcp"; interval = "1h"; };
                      backends = ( { name = "raw"; address = "127.0.0.1:$raw->{port}"; } );)],
    routes => <<'END',
{ path = "/pas"; pool = "pas"; upstream_path = "/web"; },
{ path = "/raw"; pool = "raw"; upstream_path = "/web"; },
{ path = "/slash"; pool = "raw"; upstream_path = "/"; encoded_slash = "pass"; },
{ path = "/some"; pool = "raw"; methods = [ "GET", "PROPFIND" ]; },
{ host = "root.test"; path = "/"; pool = "raw"; },
{ host = "pass.test"; path = "/"; pool = "raw"; encoded_slash = "pass"; }
END
    listen => qq({ address = "127.0.0.1:$strict"; targets = "strict"; },
                 { address = "127.0.0.1:$redirect"; redirect = "https"; }));

# The first line that the scripted backend got for this request; else the status.
sub sent
{
    my ($method, $target, %opt) = @_;
    $raw->clear;
    my $r = $gate->request($method, $target, host => 'a.test', %opt);
    return $r->{status} if $r->{status} != 200;
    my $bytes;
    wait_for { ($bytes) = grep { /\r\n\r\n/ } $raw->seen } 5 or return 'nothing';
    return (split /\r\n/, $bytes)[0];
}

sub bytes { my ($text) = @_; utf8::encode($text); return $text }

subtest 'what browsers send raw is passed on percent-encoded' => sub {
    my $query = q(?q={a|b}^`"[1]\\);
    my $said = decode_json($gate->get("/pas/get$query")->{body});
    is $said->{args}{q}, q({a|b}^`"[1]\\), 'a backend gets what was meant';
    unlike $said->{url}, qr/[{}|^`"\[\]\\]/, 'and nothing raw';
    is sent('GET', "/raw/x$query"), 'GET /web/x?q=%7Ba%7Cb%7D%5E%60%22%5B1%5D%5C HTTP/1.1', 'the query';
    is sent('GET', q(/raw/a[1]/{b}|^`")), 'GET /web/a%5B1%5D/%7Bb%7D%7C%5E%60%22 HTTP/1.1', 'the path';
    is sent('GET', bytes('/raw/café?q=€')), 'GET /web/caf%C3%A9?q=%E2%82%AC HTTP/1.1', 'UTF-8';
    is sent('GET', '/raw/%7b%5B?q=%22'), 'GET /web/%7B%5B?q=%22 HTTP/1.1', 'what came encoded stays so';
    is sent('GET', "/raw/\xe9"), 400, 'Latin-1 is not UTF-8';
    is sent('GET', '/raw/a\\b'), 400, 'a backslash is no part of a path';
    is sent('GET', '/raw/a<b>'), 400, 'no browser sends these raw';
    ok wait_for { grep { ($_->{target} // '') =~ m(/\{b\}\|) } $gate->access }, 'the log has the target as it came';
};

subtest 'targets = "strict" refuses them' => sub {
    is sent('GET', $_, plain => 1, port => $strict), 400, "GET $_"
        for '/raw/{a}', '/raw/a|b', '/raw/?a="', '/raw/a[1]', bytes('/raw/é'), '/raw/?a\\b';
    is sent('GET', '/raw/a%7C', plain => 1, port => $strict), 'GET /web/a%7C HTTP/1.1', 'encoded they are fine';
};

subtest 'a redirect says them encoded' => sub {
    my $r = $gate->request('GET', bytes('/a{b}/é%2f?q="'), plain => 1, port => $redirect, host => 'a.test');
    is $r->{status}, 301, 'it is one';
    like $r->{h}{location}, qr{^https://a\.test(?::\d+)?/a%7Bb%7D/%C3%A9%2f\?q=%22$}, 'to an URI';
};

subtest 'encoded slashes' => sub {
    is sent('GET', '/raw/a%2fb'), 400, 'are refused';
    is sent('GET', '/slash/a%2fb'), 'GET /a%2Fb HTTP/1.1', 'pass where the route says so, and stay encoded';
    is sent('GET', '/slash/a%252fb'), 'GET /a%252fb HTTP/1.1', 'and are never decoded twice';
    is sent('GET', '/slash%2fa'), 400, 'are no border of a route';
    is sent('GET', $_), 400, "GET $_"
        for '/slash/..%2fa', '/slash/a%2f..', '/slash/a%2f..%2fb', '/slash/a%2F.%2fb', '/slash/a%2f%2e%2e',
        '/slash/a%2f..;x', '/slash/a%2f..%3bx/b', '/slash/a%5cb';
    is $gate->request('GET', '/a%2fb', plain => 1, port => $gate->{status_port})->{status}, 400,
        'the status page knows none';
};

# Ways to spell management paths, of which none may reach a backend.
my @paths = (
    '/oemanager', '/oemanager/applications', '/OEMANAGER/x', '/manager/html', '/host-manager', '/health',
    '/web/_oeping', '/a/_oepingService/_oeping', '/%6femanager', '//oemanager', '/x/../oemanager',
    '/oemanager%2fx', '/oemanager%2Fapplications', '/%2foemanager', '/%2f%2foemanager/x', '/a%2f..%2foemanager',
    '/..%2foemanager', '/.%2foemanager', '/oemanager;x', '/oemanager;{x}', '/oemanager;%2fx', '/;x%2foemanager',
    '/x%2f..%2f/oemanager', '/x%2f../oemanager', '/web%2f_oeping', '/web/_oeping%2fx', '/[/../oemanager',
    '/{}/../oemanager', '/x/..%2Foemanager', '/"/../oemanager', bytes('/é/../oemanager'), '/oemanager/[x]',
    '/oemanager/{x}', '/oemanager/?"', bytes('/oemanager/é'), '/oemanager%2f..%2fx', '/%2e%2foemanager',
    '/x;a="b"/../oemanager', '/oemanager;"', '/oemanager;x=%2f..%2f', '/web%2f_oepingService%2f_oeping',
);

subtest 'the shield holds' => sub {
    for my $path (@paths) {
        for my $host ('root.test', 'pass.test') {
            like sent('GET', $path, host => $host), qr/^40[04]$/, "$host$path";
        }
        like sent('GET', "/slash$path"), qr/^40[04]$/, "/slash$path";
        like sent('GET', "/slash;" . $path =~ s{^/}{%2f}r), qr/^40[04]$/, "/slash; and $path encoded";
        like sent('PROPFIND', "http://pass.test$path", host => 'pass.test'), qr/^40[04]$/, "absolute, $path";
    }
    # Names that merely look like them are somebody else's.
    is sent('GET', $_->[0], host => 'pass.test'), "GET $_->[1] HTTP/1.1", "but not $_->[0]"
        for ['/oemanager{x}', '/oemanager%7Bx%7D'], ['/"oemanager"', '/%22oemanager%22'], ['/[oemanager]', '/%5Boemanager%5D'],
        ['/x%2foemanager', '/x%2Foemanager'], [bytes('/oemanageré'), '/oemanager%C3%A9'];
};

subtest 'methods' => sub {
    is sent('PROPFIND', '/raw/x', body => '<propfind/>'), 'PROPFIND /web/x HTTP/1.1', 'PROPFIND is passed on';
    is sent('QUERY', '/raw/x', body => 'q'), 'QUERY /web/x HTTP/1.1', 'QUERY';
    is sent('PURGE', '/raw/x'), 'PURGE /web/x HTTP/1.1', 'PURGE';
    is sent('VERSION-CONTROL', '/raw/x'), 'VERSION-CONTROL /web/x HTTP/1.1', 'VERSION-CONTROL';
    for my $method ('TRACE', 'CONNECT') {
        is sent($method, '/raw/x'), 405, "$method is refused";
        like $gate->request($method, '/raw/x', host => 'a.test')->{h}{allow} // '', qr/^GET, HEAD, POST, .*OPTIONS$/,
            'with the methods that are not';
        is $gate->request($method, '/', plain => 1, port => $gate->{status_port})->{h}{allow}, 'GET, HEAD', 'at the status, too';
    }
    is sent($_, '/raw/x'), 501, "$_ is no GET" for 'get', 'Head', 'connect';
    is sent('PROPFIND', '/some/x'), 'PROPFIND /some/x HTTP/1.1', 'a route that has it';
    is sent('HEAD', '/some/x'), 'HEAD /some/x HTTP/1.1', 'HEAD goes with GET';
    my $r = $gate->request('PUT', '/some/x', host => 'a.test', body => 'x');
    is "$r->{status} $r->{h}{allow}", '405 GET, HEAD, PROPFIND', 'one that it has not: 405 and which';
    is $gate->request('QUERY', '/some/x', host => 'a.test')->{status}, 405, 'an unknown one too';
    ok wait_for { grep { ($_->{method} // '') eq 'VERSION-CONTROL' && $_->{status} == 200 } $gate->access },
        'the access log names it';
};

# A 204 has no body, whatever it says; the connection may have one, and serves nobody else.
subtest 'a 204 that tells a length' => sub {
    my $c = $gate->connect;
    my $ask = sub {
        my ($say) = @_;
        return $c->request('GET', '/raw/x', host => 'a.test', headers => [['X-Say', $say]]);
    };
    my $plain = 'HTTP/1.1 204 No Content';
    for my $field ('Transfer-Encoding: chunked', 'Content-Length: 5') {
        my $first = $ask->("$plain || $field");
        is $first->{status}, 204, "$field: passed on";
        is $first->{h}{'transfer-encoding'} // $first->{h}{'content-length'}, undef, 'without it';
        my $second = $ask->($plain);
        is $second->{status}, 204, 'the next one is served';
        isnt $second->{h}{'x-connection'}, $first->{h}{'x-connection'}, 'over another connection';
        is $ask->($plain)->{h}{'x-connection'}, $second->{h}{'x-connection'}, 'which is kept';
    }
    my $r = $ask->('HTTP/1.1 304 Not Modified || Content-Length: 5');
    is "$r->{status} $r->{h}{'content-length'}", '304 5', 'a 304 with a length is right';
    $c->close;
};

subtest 'the limits of fields and targets are settings' => sub {
    my $token = [['Authorization', 'Negotiate ' . 'k' x 20_000]];
    my $long = '/raw/' . 'a' x 12_000;
    is sent('GET', '/raw/x', headers => $token), 431, 'by default a field of 20 kB is too long';
    is sent('GET', $long), 414, 'and a target of 12 kB';
    my $wide = PasGate->new(
        backends => [$raw], check => 'type = "tcp"; interval = "1h";', routes => '{ path = "/"; pool = "pas"; }',
        pool => 'sticky = "none";', global => 'limits = { field_bytes = "32k"; target_bytes = "32k"; };');
    is $wide->request('GET', '/x', headers => $token)->{status}, 200, 'with field_bytes = "32k" it is not';
    is $wide->get($long)->{status}, 200, 'with target_bytes = "32k" neither is the target';
    is $wide->get('/?' . 'a' x 32_764)->{status}, 200, 'up to it';
    is $wide->get('/?' . '|' x 12_000)->{status}, 414, 'as it is passed on';
    is $wide->get('/{' . 'a' x 32_766)->{status}, 414, 'the path too';
    is $wide->get('/' . 'b' x 40_000)->{status}, 414, 'no more than that';
    $wide->stop_ok;
};

$gate->stop_ok;
done_testing;
