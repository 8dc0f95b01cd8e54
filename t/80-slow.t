# What a client can stretch holds nothing that is shared: slow bodies take no
# place at a backend from others, and tell nothing about a backend.
use strict;
use warnings;
use lib 't/lib';
use JSON::PP;
use PasGate;
use SlowClients;
use Test::More;
use Time::HiRes qw(time sleep);

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my $few = 'max_in_flight = 3; queue = { size = 100; timeout = "500ms"; };';

sub gate { return PasGate->new(workers => 1, backends => \@pas, @_) }

sub backend
{
    my ($gate, $name) = @_;
    return (grep { $_->{name} eq $name } @{ $gate->status->{backends} // [] })[0] // {};
}

# A request with a body of $n bytes, of which $first are sent.
sub upload
{
    my ($gate, $n, $first, %opt) = @_;
    my $c = $gate->connect(plain => 1);
    my @length = $opt{chunked} ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', $n];
    my $body = $opt{chunked} ? sprintf("%x\r\n", $n) . 'x' x $first : 'x' x $first;
    $c->write($c->build('POST', $opt{path} // '/pas/upload', headers => [@length, @{ $opt{headers} // [] }]) . $body);
    return $c;
}

subtest 'bodies that come slowly take no place at a backend' => sub {
    my $gate = gate(pool => $few);
    my @slow = map { upload($gate, 1000, 1, chunked => $_ % 2) } 1 .. 20;
    ok wait_for { ($gate->status->{totals}{connections} // 0) >= 20 }, 'twenty clients are sending';
    is_deeply all_get($gate, 20), { 200 => 20 }, 'all others are served';
    ok wait_for { in_flight($gate) == 0 }, 'and nothing runs at a backend';
    $_->write('x' x 998) for @slow;
    is_deeply all_get($gate, 5), { 200 => 5 }, 'so when all but one byte is there';
    my ($n, %got) = 0;
    for my $c (@slow) {
        $c->write($n++ % 2 ? 'x' : "x\r\n0\r\n\r\n");
        my $r = $c->response('POST');
        $got{"$r->{status} " . ($r->{status} == 200 ? decode_json($r->{body})->{length} : '')}++;
    }
    is_deeply \%got, { '200 1000' => 20 }, 'each of them is served when its body is whole';

    my $c = upload($gate, 500_000, 100_000);
    ok wait_for { in_flight($gate) == 1 }, 'a larger one takes its place when the buffer is full';
    $c->write('x' x 400_000);
    my $r = $c->response('POST');
    is decode_json($r->{body})->{length}, 500_000, 'and is passed on whole';

    $c = upload($gate, 1000, 1);
    ok wait_for { total($gate, 'exchanges') == 1 }, 'another one begins';
    $c->abort;
    is lines($gate, 1, sub { ($_->{end} // '') eq 'client' }), 1, 'one that goes away in its body';
    is_deeply all_get($gate, 2), { 200 => 2 }, 'leaves nothing behind';
    $gate->stop_ok;
};

subtest 'with request_buffer = "off" each piece is passed on at once' => sub {
    my $gate = gate(global => 'limits = { request_buffer = "off"; };');
    my $c = upload($gate, 10, 1);
    ok wait_for { in_flight($gate) == 1 }, 'the backend has the request';
    $c->write('x' x 9);
    is $c->response('POST')->{status}, 200, 'and responds';
    $gate->stop_ok;
};

# Three uploads at once of one session, for longer than healthd takes a silence for a hang.
subtest 'slow uploads say nothing about a backend' => sub {
    my $gate = gate(pool => 'eject = { window = "3s"; };');
    my $c = $gate->connect;
    my ($session) = ($c->request('GET', '/pas/session')->{h}{'set-cookie'} // '') =~ /^([^;]+)/;
    my $at = decode_json($c->request('GET', '/pas/get', headers => [['Cookie', $session]])->{body})->{instance}{id};
    ok $at, "a session at $at";
    my @up = map { upload($gate, 400_000, 100_000, headers => [['Cookie', $session]]) } 1 .. 3;
    ok wait_for { (backend($gate, $at)->{in_flight} // 0) == 3 }, 'three uploads of it run';
    my ($most, $end) = (0, time + 6);
    while (time < $end) {
        $_->write('x' x 1000) for @up;
        all_get($gate, 4);
        my $row = backend($gate, $at);
        $most = $row->{oldest_ms} if ($row->{oldest_ms} // 0) > $most;
        sleep 0.05;
    }
    is $most, 0, 'the backend owes nothing meanwhile';
    unlike $gate->log_text, qr/$at.*(?:without a response|ejected|probation)/, 'it was not suspected for that';
    my $body = decode_json($c->request('GET', '/pas/session', headers => [['Cookie', $session]])->{body});
    is $body->{instance}{id}, $at, 'it still serves its session';
    ok !$body->{new}, 'which is the same';
    $_->abort for @up;
    $gate->stop_ok;
};

subtest 'a body below the minimum rate' => sub {
    my $gate = gate(global => 'limits = { min_body_rate = 1000; request_buffer = "1k"; }; timeouts = { body = "1s"; };',
        pool => $few);
    for my $size (500, 100_000) {    # of the buffer, and beyond it
        my $c = upload($gate, $size, $size == 500 ? 1 : 2000);
                my $end = time + DEADLINE;
        while (time < $end) {        # never a second without a byte
            $c->write('x');
            last if $c->fill(0.2);
        }
        is $c->response('POST')->{status}, 408, "of $size bytes: 408";
        my $n = $size == 500 ? 1 : 2;
        is lines($gate, $n, sub { ($_->{detail} // '') =~ /too slowly/ }), $n, 'the access log says why';
    }
    my $c = upload($gate, 1000, 1);
    is $c->response('POST')->{status}, 408, 'one that stops: 408';
    ok wait_for { total($gate, 'slow_bodies') == 3 }, 'they are counted';
    ok wait_for { in_flight($gate) == 0 }, 'nothing runs at a backend';
    $gate->stop_ok;
};

done_testing;
