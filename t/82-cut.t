# A response that is cut looks cut: who does not read it in time gets a reset, as a FIN would make
# an HTTP/1.0 client take it for whole. And limits hold from the first byte. What has only begun
# does not hold up the end.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my $pas = PasGate::StandIn->new('pas1');
my $raw = PasGate::Scripted->new(reply => sub { ("HTTP/1.0 200 OK\r\n\r\n", ('x' x 1_000_000) x 40, undef) });
my $routes = '{ path = "/pas"; pool = "pas"; upstream_path = "/web"; body = 10; },'
  . ' { path = "/quick"; pool = "raw"; timeouts = { send = "1s"; }; }, { path = "/raw"; pool = "raw"; }';
my $more = qq(name = "raw"; backends = ( { name = "raw"; address = "127.0.0.1:$raw->{port}"; } );)
  . ' check = { type = "tcp"; interval = "30s"; };';

sub slow_reader
{
    my ($gate, $path, @way) = @_;
    my $c = $gate->connect(rcvbuf => 8192, @way);
    $c->write("GET $path HTTP/1.0\r\nHost: localhost\r\n\r\n");
    ok $c->fill, "@way: a response begins";
    ok wait_for { grep { ($_->{target} // '') eq $path && $_->{end} ne 'done' } $gate->access },
        "it is given up in time" or diag explain [$gate->access];
    1 while $c->fill;
    is $c->{eof}, 'reset', 'and does not look whole';
}

subtest 'the deadline of the route' => sub {
    my $gate = PasGate->new(backends => [$pas], more_pools => [$more], routes => $routes,
        global => 'timeouts = { send = "120s"; };');
    slow_reader($gate, '/quick/one', plain => 1);
    slow_reader($gate, '/quick/two');
    $gate->stop_ok;
};

subtest 'the global one' => sub {
    my $gate = PasGate->new(backends => [$pas], more_pools => [$more], routes => $routes,
        global => 'timeouts = { send = "1s"; };');
    slow_reader($gate, '/raw/one', plain => 1);

    # The head and a whole body that is too long, in one piece.
    my $c = $gate->connect(plain => 1);
    is $c->request('POST', '/pas/upload', chunked => ['x' x 10])->{status}, 200, 'ten bytes may come in chunks';
    is $c->request('POST', '/pas/upload', chunked => ['x' x 11])->{status}, 413, 'not eleven';
    $c = $gate->connect(plain => 1);
    is $c->request('POST', '/pas/upload', chunked => [('x') x 11])->{status}, 413, 'nor eleven chunks';
    is $gate->request('POST', '/pas/upload', body => 'x' x 11)->{status}, 413, 'nor eleven by length';
    $gate->stop_ok;
};

subtest 'the end of pasgate' => sub {
    my $gate = PasGate->new(backends => [$pas], more_pools => [$more], routes => $routes,
        global => 'stop_timeout = "1s";');
    my $c = $gate->connect(plain => 1, rcvbuf => 8192);
    $c->write("GET /raw HTTP/1.0\r\nHost: localhost\r\n\r\n");
    ok $c->fill, 'a response has begun';
    $gate->stop_ok('pasgate ends');
    1 while $c->fill;
    is $c->{eof}, 'reset', 'and what it cut does not look whole';
    my ($line) = grep { $_->{target} eq '/raw' } $gate->access;
    is "$line->{end}: $line->{detail}", 'proxy: pasgate stops', 'the log says who ended it';
};

# A client that does not come to the end of its head, or of its handshake, holds up neither a stop
# nor the old worker of a reload. One that does is served.
sub half_begun
{
    my ($gate) = @_;
    my %c = (plain => $gate->connect(plain => 1), tls => $gate->connect, whole => $gate->connect,
        hello => $gate->connect(plain => 1, port => $gate->{tls}), silent => $gate->connect(plain => 1, port => $gate->{tls}));
    $c{$_}->write("GET /pas/get HTTP/1.1\r\nHost: localhost\r\n") for qw(plain tls whole);
    $c{hello}->write("\x16\x03\x01\x02\x00\x01");
    ok wait_for { ($gate->status->{totals}{connections} // 0) == 5 }, 'five clients have begun';
    return %c;
}

sub half_ended
{
    my (%c) = @_;
    is $c{whole}->response('GET')->{status}, 200, 'the one that came to its end is served';
    is $c{$_}->response('GET')->{status}, 408, "$_: 408" for qw(plain tls);
    $_->rest for values %c;
    is_deeply [grep { !$c{$_}{eof} } sort keys %c], [], 'all are closed';
}

subtest 'half a head and the end' => sub {
    my $gate = PasGate->new(backends => [$pas], global => 'stop_timeout = "60s"; timeouts = { header = "60s"; handshake = "60s"; };');
    my %c = half_begun($gate);
    $gate->signal('TERM');
    $c{whole}->write("\r\n");
    half_ended(%c);
    my $pid = delete $gate->{pid};
    PasGate::forget($gate);
    is PasGate::reap($pid, DEADLINE), 0, 'pasgate ends';
    my @lines = grep { ($_->{detail} // '') eq 'the request was not complete when its worker had to end' } $gate->access;
    is @lines, 2, 'the access log says why';
};

subtest 'half a head and a reload' => sub {
    my $gate = PasGate->new(backends => [$pas], global => 'stop_timeout = "60s"; timeouts = { header = "60s"; handshake = "60s"; };');
    my %c = half_begun($gate);
    my ($old) = $gate->workers;
    is +($gate->cli('reload'))[0], 0, 'reloaded';
    $c{whole}->write("\r\n");
    half_ended(%c);
    ok wait_for { !-e "/proc/$old" }, 'the old worker ends';
    $gate->stop_ok;
};

done_testing;
