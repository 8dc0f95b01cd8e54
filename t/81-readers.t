# Slow readers: a response that fits is kept for them, and their backend is free; beyond that
# there is a minimum rate. What is kept has a bound.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use SlowClients;
use Test::More;
use Time::HiRes qw(time sleep);

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my $few = 'max_in_flight = 3; queue = { size = 100; timeout = "5s"; };';

sub gate { return PasGate->new(workers => 1, backends => \@pas, @_) }

# A client that reads nothing of a response of $n bytes, or only what it is told to.
sub reader
{
    my ($gate, $n, %opt) = @_;
    my $c = $gate->connect(plain => 1, rcvbuf => 32_768, %opt);
    $c->write($c->build('GET', "/pas/bytes?n=$n"));
    return $c;
}

for my $tls (0, 1) {
    subtest 'a response that fits is taken from its backend at once' . ($tls ? ', by TLS' : '') => sub {
        my $gate = gate(pool => $few, global => 'limits = { response_buffer = "8m"; }; timeouts = { send = "60s"; };');
        my @slow = map { reader($gate, 5_000_000, plain => !$tls) } 1 .. 8;
        ok wait_for { total($gate, 'exchanges_total') >= 9 && in_flight($gate) == 0 },
          'eight clients that do not read: nothing runs at a backend';
        is_deeply all_get($gate, 10), { 200 => 10 }, 'all others are served';
        ok wait_for { total($gate, 'response_bytes') > 1_000_000 }, 'what waits is shown';
        my %got;
        for my $c (@slow) {
            my $r = $c->response('GET', discard => 1);
            $got{"$r->{status} $r->{length}"}++;
        }
        is_deeply \%got, { '200 5000000' => 8 }, 'each reads it to its end';
        is $slow[0]->request('GET', '/pas/get')->{status}, 200, 'and its connection goes on';
        ok wait_for { total($gate, 'response_bytes') == 0 }, 'then nothing waits any more';
        my @lines = lines($gate, 8, sub { ($_->{bytes_out} // 0) >= 5_000_000 });
        is_deeply [map { "$_->{end} $_->{phase}" } @lines], [('done done') x 8], 'the access log has them as done';
        $gate->stop_ok;
    };
}

subtest 'a reader below the minimum rate' => sub {
    my $gate = gate(pool => $few,
        global => 'limits = { min_read_rate = "100k"; response_buffer = "64k"; }; timeouts = { send = "1s"; };');
    my @slow = map { reader($gate, 50_000_000) } 1 .. 6;
    my $end = time + DEADLINE;
    while (grep({ !$_->{eof} } @slow) && time < $end) {
        for my $c (@slow) {
            sysread $c->{sock}, my $bytes, 500;
            $c->{eof} ||= 'reset' if $!{ECONNRESET};
            $! = 0;
        }
        sleep 0.1;
    }
    is_deeply [map { $_->{eof} } @slow], [('reset') x 6], 'the connections are reset';
    is lines($gate, 6, sub { ($_->{detail} // '') =~ /min_read_rate|does not read/ && $_->{end} eq 'timeout' }), 6,
      'the access log says why';
    ok wait_for { total($gate, 'slow_readers') == 6 }, 'they are counted';
    is_deeply all_get($gate, 10), { 200 => 10 }, 'the places are free again';
    $gate->stop_ok;
};

subtest 'no more is buffered than may be' => sub {
    my $gate = gate(global => 'limits = { memory = "1m"; response_memory = "256k"; response_buffer = "128k"; };');
    my @slow = map { reader($gate, 9_000_000) } 1 .. 8;
    ok wait_for { total($gate, 'memory_refused') >= 4 }, 'beyond limits.response_memory none is kept';
    cmp_ok total($gate, 'response_bytes'), '<', 256 * 1024 + 9 * 128 * 1024, 'no more than that, and what was on its way';
    $gate->wait_log(qr/limits\.response_memory/);
    is $gate->get('/pas/get')->{status}, 200, 'others are served';
    $_->abort for @slow;
    my $refused = total($gate, 'memory_refused');
    my @c;
    for my $n (1 .. 90) {    # heads that are not finished: 16k each
        push @c, $gate->connect(plain => 1);
        $c[-1]->write("GET / HTTP/1.1\r\n");
    }
    ok wait_for { total($gate, 'memory_refused') > $refused }, 'beyond limits.memory';
    is $gate->get('/pas/get', plain => 1)->{status}, 503, 'new requests get 503';
    $_->abort for @c;
    ok wait_for { $gate->get('/pas/get', plain => 1)->{status} == 200 }, 'until there is room again';
    $gate->stop_ok;
};

# The head of its request stays for the access log: so many bytes, not a buffer of 16k for each.
subtest 'the head of a reader is all that is kept of its request' => sub {
    my $gate = gate(global => 'limits = { response_buffer = "1m"; }; timeouts = { send = "60s"; }; trusted = [ "127.0.0.0/8" ];');
    my ($n, $readers, @slow) = (400_000, 20);
    for my $i (1 .. $readers) {
        push @slow, my $c = $gate->connect(plain => 1, rcvbuf => 4096, mss => 536);
        my $next = $c->build('GET', "/pas/get?next$i");
        $c->write($c->build('GET', "/pas/bytes?n=$n&who=$i", headers => [['X-Request-Id', "reader-$i"], ['User-Agent', "Agent $i"]])
              . substr $next, 0, 30);
        $c->{rest} = substr $next, 30;
    }
    my ($all, $waits);
    ok wait_for {
        my $totals = $gate->status->{totals};
        ($all, $waits) = @$totals{qw(buffer_bytes response_bytes)};
        $waits > $readers * 10_000 && $all - $waits < $readers * 1000;
    }, 'little more than what waits' or diag("$all bytes, of which $waits wait");
    my %got;
    for my $c (@slow) {
        my $r = $c->response('GET', discard => 1);
        $c->write($c->{rest});
        $got{"$r->{status} $r->{length}, " . $c->response('GET')->{status}}++;
    }
    is_deeply \%got, { "200 $n, 200" => $readers }, 'each gets its response, and that to the request that came behind it';
    my %seen = map { ("$_->{target} $_->{id} $_->{user_agent} $_->{end}" => 1) }
      lines($gate, $readers, sub { ($_->{target} // '') =~ /who=/ });
    is_deeply [sort keys %seen], [sort map {"/pas/bytes?n=$n&who=$_ reader-$_ Agent $_ done"} 1 .. $readers],
      'the access log has each request as it was';
    $gate->stop_ok;
};

subtest 'what streams is passed on at once' => sub {
    my $gate = gate();
    my $c = $gate->connect;
    $c->write($c->build('GET', '/pas/sse?n=3&ms=500'));
    my ($from, @at) = time;
    ok wait_for { $c->fill(0.01); push @at, time while $c->{buf} =~ /^id: @{[ @at + 1 ]}$/m; @at == 3 }, 'three events';
    ok $at[2] - $at[0] > 0.5, 'came one after the other';
    $gate->stop_ok;
};

done_testing;
