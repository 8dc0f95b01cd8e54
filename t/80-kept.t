# Kept connections to backends: what came before a request is not its response, and one that a
# backend has authenticated for a client serves nobody else.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

# The first response fills the worker's read to the byte, so that what follows is in the socket
# when the next request, which is there already, takes the connection.
my $full = 65536;
my $bait = PasGate::Scripted->new(reply => sub {
    my ($request, $connection, $n) = @_;
    return "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown" if $request !~ m{ /full};
    my $size = $full;
    my $head = "HTTP/1.1 200 OK\r\nContent-Length: 00000\r\n\r\n";
    my $body = 'x' x ($size - length $head);
    my $length = sprintf '%05d', length $body;
    return ($head =~ s/00000/$length/r) . $body . "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
});

# Who has authenticated a connection is known by name on it. 'c', 'n': which one, which request.
my $login = sub {
    my ($id) = @_;
    my $user = 'nobody';
    return sub {
        my ($request, $connection, $n) = @_;
        my ($scheme, $token) = $request =~ /^Authorization: (\w+) ?(\S*)/mi;
        my $path = $request =~ m{^\S+ (\S+)} ? $1 : '';
        $user = $1 if ($token // '') =~ /^THIRD(\w+)/;
        $user = $1 if ($scheme // '') eq 'Negotiate' && ($token // '') =~ /^KRB(\w+)/;
        my $text = "$user at $id, connection $connection";
        my $status = '200 OK';
        my $more = '';
        if (($token // '') eq 'FIRST') {
            ($status, $more) = ('401 Unauthorized', "WWW-Authenticate: NTLM SECOND\r\n");
        } elsif ($path =~ /secret/ && $user eq 'nobody') {
            ($status, $more) = ('401 Unauthorized', qq(WWW-Authenticate: Basic realm="x", Negotiate\r\nWWW-Authenticate: NTLM\r\n));
        }
        return "HTTP/1.1 $status\r\n${more}Content-Length: " . length($text) . "\r\n\r\n$text";
    };
};
my @login = map { PasGate::Scripted->new(id => "login$_", reply => $login->("login$_")) } 1 .. 2;

my $kept = 'timeouts = { upstream_idle = "10m"; };';    # no slow machine closes what is to be kept
my $gate = PasGate->new(
    backends   => [$bait],
    global     => $kept,
    probe      => '/probe',
    pool       => 'sticky = "none"; retries = 0;',
    more_pools => ['name = "login"; sticky = "none"; balance = "roundrobin"; check = { type = "tcp"; }; backends = ( '
          . join(', ', map { qq({ name = "$_->{id}"; address = "127.0.0.1:$_->{port}"; }) } @login) . ' );'],
    routes => '{ path = "/login"; pool = "login"; }, { path = "/"; pool = "pas"; }');

subtest 'bytes that came before a request' => sub {
    for my $method (qw(GET HEAD POST)) {
        my $c = $gate->connect;
        my $ask = $c->build($method, '/own', $method eq 'POST' ? (body => 'x') : ());
        $c->write($c->build('GET', '/full') . $ask);
        my $first = $c->response('GET');
        is length $first->{body}, $first->{h}{'content-length'}, "$method behind a response with a surplus";
        my $second = $c->response($method);
        is $second->{status}, 200, 'is answered';
        is $second->{h}{'content-length'}, 3, 'with what belongs to it';
        is $second->{body}, 'own', 'and nothing else' if $method ne 'HEAD';
        $c->close;
    }
    is $gate->get('/own')->{body}, 'own', 'nor does anybody else get it';
};

# A handshake of NTLM over one client's connection.
sub ntlm
{
    my ($c, $user) = @_;
    my @r = ($c->request('GET', '/login/secret'),
        $c->request('GET', '/login/secret', headers => [['Authorization', 'NTLM FIRST']]),
        $c->request('GET', '/login/secret', headers => [['Authorization', "NTLM THIRD$user"]]));
    my ($at, @same) = map { $_->{body} =~ /at (.*)/ } @r;
    is join(' ', map { $_->{status} } @r), '401 401 200', "$user logs in";
    is $_, $at, 'over one connection' for @same;
    like $r[2]{body}, qr/^$user at/, "as $user";
    return $at;
}

subtest 'a connection that NTLM authenticated is one client\'s' => sub {
    my ($alice, $bob) = map { $gate->connect } 1 .. 2;
    my $at = ntlm($alice, 'alice');
    for (1 .. 6) {
        like $gate->get("/login/page$_")->{body}, qr/^nobody at/, 'others are nobody';
        like $bob->request('GET', "/login/page$_")->{body}, qr/^nobody at/, 'on a connection of theirs, too';
    }
    is $alice->request('GET', '/login/page')->{body}, "alice at $at", 'alice is alice, at the same place' for 1 .. 3;
    is $alice->request('POST', '/login/page', body => 'x')->{body}, "alice at $at", 'also for a POST';
    is $alice->request('GET', '/own')->{body}, 'own', 'other pools know nothing of it';
    is $alice->request('GET', '/login/page')->{body}, "alice at $at", 'nor change it';
    isnt ntlm($bob, 'bob'), $at, 'bob has another connection';
    is $alice->request('GET', '/login/page')->{body}, "alice at $at", 'and alice has hers';
    $alice->close;
    for (1 .. 6) {
        like $gate->get('/login/page')->{body}, qr/^nobody at/, 'nobody inherits it';
    }
    $bob->close;
};

subtest 'so is one that carried Negotiate' => sub {
    my $carol = $gate->connect;
    my $r = $carol->request('GET', '/login/page', headers => [['Authorization', 'Negotiate KRBcarol']]);
    like $r->{body}, qr/^carol at/, 'at once';
    for (1 .. 6) {
        like $gate->get('/login/page')->{body}, qr/^nobody at/, 'others are nobody';
    }
    is $carol->request('GET', '/login/page')->{body}, $r->{body}, 'carol is carol';
    $carol->close;
};

subtest 'Basic and Bearer share connections as ever' => sub {
    my %at;
    for my $scheme ('Basic YWxpY2U6eA==', 'Bearer abc') {
        my $c = $gate->connect;
        my $r = $c->request('GET', '/login/page', headers => [['Authorization', $scheme]]);
        $at{ $1 // '' }++ while $r->{body} =~ /(connection \d+)/g;
        $c->close;
        for (1 .. 4) {
            $r = $gate->get('/login/page');
            $at{$1}++ if $r->{body} =~ /at (.*)/;
        }
    }
    cmp_ok scalar(keys %at), '<=', 6, 'few connections for all of them';
};

subtest 'what it may cost is bounded' => sub {
    my $short = PasGate->new(backends => [$login[0]], probe => '/probe', pool => 'sticky = "none";',
        global => "$kept limits = { upstream_pinned = 1; };", routes => '{ path = "/"; pool = "pas"; }');
    my ($dave, $erin) = map { $short->connect } 1 .. 2;
    my @log_in = ('GET', '/page', headers => [['Authorization', 'Negotiate KRBdave']]);
    like $dave->request(@log_in)->{body}, qr/^dave/, 'one has a place';
    like $erin->request(@log_in)->{body}, qr/^dave/, 'a second one is served';
    like $erin->request('GET', '/page')->{body}, qr/^nobody/, 'and its connection is closed';
    like $dave->request('GET', '/page')->{body}, qr/^dave/, 'the first one is kept';
    $dave->close;
    ok wait_for { $erin->request(@log_in); $erin->request('GET', '/page')->{body} =~ /^dave/ }, 'which ends with its client';
    $_->close for $erin;
    $short->stop_ok;
};

$gate->stop_ok;
done_testing;
