# HTTP/2: the life of connections. Reload and drain, WebSocket, hosts of other certificates,
# authentication of connections, resets while a backend works, trailers, interim responses.
use strict;
use warnings;
use lib 't/lib';
use H2;
use PasGate;
use Test::More;

my $pas = PasGate::StandIn->new('pas1');
my $script = PasGate::Scripted->new(
    reply => sub {
        my ($path) = $_[0] =~ m{^\S+ (\S+)};
        return "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n" if $path =~ /ntlm/;
        return ("HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", undef) if $path =~ /cut/;
        return ($path =~ /hints/ ? "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" : '')
          . "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    });
my ($chain_a, $key_a) = make_cert('a', 'localhost');
my ($chain_b, $key_b) = make_cert('b', 'other.test');
my $gate = PasGate->new(
    backends   => [$pas],
    certs      => qq({ names = [ "localhost" ]; chain = "$chain_a"; key = "$key_a"; },) . qq( { names = [ "other.test" ]; chain = "$chain_b"; key = "$key_b"; }),
    more_pools => [qq(name = "script"; check = { type = "tcp"; }; backends = ( { name = "script"; address = "127.0.0.1:$script->{port}"; } );)],
    routes     => '{ path = "/pas"; pool = "pas"; upstream_path = "/web"; }, { path = "/script"; pool = "script"; }, { path = "/"; pool = "pas"; }',
);

subtest 'WebSocket' => sub {
    my $c = H2->new($gate);
    my @ask = ([':method', 'CONNECT'], [':protocol', 'websocket'], [':scheme', 'https'], [':path', '/pas/ws'],
        [':authority', 'localhost'], ['sec-websocket-version', '13']);
    $c->headers(1, \@ask, end => 0);
    is $c->status(1), 200, 'the tunnel opens';
    $c->send(H2::DATA, 0, 1, "\x81\x85\0\0\0\0hello");
    my $f = $c->frame(sub { $_->{type} == H2::DATA && length $_->{payload} });
    is $f && $f->{payload}, "\x81\x05hello", 'an echo comes back';
    $c->get(3, '/pas/get');
    is $c->status(3), 200, 'other streams go on';
    $c->send(H2::DATA, H2::END_STREAM, 1, "\x88\x80\0\0\0\0");
    ok $c->frame(sub { $_->{stream} == 1 && ($_->{flags} & H2::END_STREAM || $_->{type} == H2::RST_STREAM) }), 'and it ends';
    pop @ask;
    $c->headers(5, \@ask, end => 0);
    is $c->status(5), 400, 'without its version it is refused';
    $c->close;
};

subtest 'hosts' => sub {
    my $c = H2->new($gate);
    $c->get(1, '/pas/get', host => 'other.test');
    is $c->status(1), 421, 'of another certificate';
    $c->get(3, '/pas/get');
    is $c->status(3), 200, 'the own one';
    $c->close;
    $c = H2->new($gate);
    $c->get(1, '/pas/get', host => 'unknown.test');
    is $c->status(1), 200, 'an unknown one, by the certificate for unknown ones';
    $c->close;
};

subtest 'responses' => sub {
    my $c = H2->new($gate);
    $c->get(1, '/script/ntlm');
    is $c->status(1), 'R' . H2::HTTP_1_1_REQUIRED, 'NTLM needs HTTP/1.1';
    $c->get(3, '/script/hints');
    is $c->status(3), 103, 'an interim response';
    is $c->status(3), 200, 'and the final one';
    is $c->body(3), 'hello', 'with its body';
    $c->get(5, '/script/x', fields => [['te', 'trailers']]);
    is $c->status(5), 200, 'with trailers';
    my $f = $c->frame(sub { $_->{stream} == 5 && $_->{flags} & H2::END_STREAM });
    is $f && $f->{type}, H2::HEADERS, 'for those who ask';
    $c->get(7, '/script/x');
    $f = $c->frame(sub { $_->{stream} == 7 && $_->{flags} & H2::END_STREAM });
    is $f && $f->{type}, H2::DATA, 'and for nobody else';
    $c->get(9, '/script/cut');
    is $c->body(9), 'cut', 'one that is cut is reset';
    $c->close;
};

subtest 'a reset while a backend works' => sub {
    my $c = H2->new($gate);
    $c->get(1, '/pas/delay?ms=1500');
    ok wait_for { grep { ($_->{in_flight} // 0) == 1 } @{ $gate->status->{backends} // [] } }, 'a request is at work';
    $c->send(H2::RST_STREAM, 0, 1, pack 'N', H2::CANCEL);
    $c->get(3, '/pas/get');
    is $c->status(3), 200, 'the next one is served';
    my $line;
    ok wait_for { ($line) = grep { ($_->{target} // '') =~ /delay/ } $gate->access; $line }, 'its slot is held until the backend is done';
    cmp_ok $line->{total_us}, '>=', 1_400_000, 'as long as that works';
    $c->close;
};

subtest 'reload' => sub {
    my $c = H2->new($gate);
    $c->get(1, '/pas/delay?ms=2500');
    $gate->signal('HUP');
    my $f = $c->frame(sub { $_->{type} == H2::GOAWAY });
    is $f && unpack('N', $f->{payload}), 0x7fffffff, 'first a warning';
    my $ping = $c->frame(sub { $_->{type} == H2::PING });
    $c->get(3, '/pas/get');
    is $c->status(3), 200, 'what comes meanwhile is served';
    $c->send(H2::PING, H2::ACK, 0, $ping->{payload});
    $f = $c->frame(sub { $_->{type} == H2::GOAWAY });
    is $f && join(' ', unpack 'NN', $f->{payload}), '3 0', 'then the last stream';
    $c->get(5, '/pas/get');
    is $c->status(1), 200, 'which are all served';
    ok $c->closed, 'then it ends';
    is scalar(grep { $_->{stream} == 5 } @{ $c->{frames} }), 0, 'the late one was not';
};

$gate->stop_ok;
$script->end;
done_testing;
