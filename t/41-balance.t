# Balancing over the sum of all workers: shares, the exact cap, the queue, retries.
use strict;
use warnings;
use JSON::PP;
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time);

use constant WORKERS => 3;

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 3;

sub gate
{
    my (%opt) = @_;
    my $gate = PasGate->new(workers => WORKERS, backends => \@pas, %opt);
    ok $gate->wait_health($_->{id} // $_->{name}, 'up'), ($_->{id} // $_->{name}) . ' is up' for @{ $gate->{backends} };
    return $gate;
}

# Sends all at once, each on a connection of its own; returns the answers.
sub at_once
{
    my ($gate, $n, $target) = @_;
    my @conn = map { $gate->connect(timeout => 60) } 1 .. $n;
    $_->write($_->build('GET', $target, close => 1)) for @conn;
    return map { $_->response('GET') } @conn;
}

# How many each instance has served: { pas1 => 10, ... }.
sub shares
{
    my %by;
    $by{ $_->{h}{'x-instance'} // "status $_->{status}" }++ for @_;
    return \%by;
}

subtest 'round robin' => sub {
    my $gate = gate(workers => 1, pool => 'balance = "roundrobin"; sticky = "none";');
    is_deeply shares(map { $gate->get('/pas/get') } 1 .. 30), { pas1 => 10, pas2 => 10, pas3 => 10 }, 'in turn';
    $gate->stop_ok;
};

subtest 'weights' => sub {
    my $n = 0;
    my $gate = gate(workers => 1, pool => 'balance = "roundrobin"; sticky = "none";',
        backends => [map { +{ name => $_->{id}, port => $_->{port}, weight => (3, 2, 1)[$n++] } } @pas]);
    my @answers = map { $gate->get('/pas/get') } 1 .. 36;
    is_deeply shares(@answers), { pas1 => 18, pas2 => 12, pas3 => 6 }, 'three to two to one';
    my $runs = join '', map { substr $_->{h}{'x-instance'}, -1 } @answers;
    unlike $runs, qr/111/, 'well mixed';
    $gate->stop_ok;
};

subtest 'least in flight, over all workers' => sub {
    my $gate = gate(pool => 'balance = "leastconn"; sticky = "none";');
    # Nine, one after the other, each seen in flight before the next; so long that all are at once.
    my @busy;
    for my $i (1 .. 9) {
        my $c = $gate->connect;
        $c->write($c->build('GET', '/pas/delay?ms=8000'));
        push @busy, $c;
        wait_for { in_flight($gate) >= $i };
    }
    is_deeply shares(map { $_->response('GET') } @busy), { pas1 => 3, pas2 => 3, pas3 => 3 }, 'spread evenly';
    $gate->stop_ok;
};

sub in_flight
{
    my ($gate) = @_;
    my $sum = 0;
    $sum += $_->{in_flight} // 0 for @{ $gate->status->{backends} // [] };
    return $sum;
}

subtest 'max_in_flight is exact, as the backend sees it' => sub {
    my $counter = tmp('counter');
    spew($counter, '');
    my $raw = PasGate::Scripted->new(id => 'raw', reply => sub {
        open my $f, '>>', $counter;
        $f->autoflush(1);
        print $f "+";
        select undef, undef, undef, 0.03;
        print $f "-";
        return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    });
    my $gate = gate(backends => [$raw], probe => '/', pool => 'sticky = "none"; max_in_flight = 5; queue = { size = 200; timeout = "60s"; };');
    my @r = at_once($gate, 90, '/pas/x');
    my %by;
    $by{ "$_->{status} " . ($_->{why} // '') }++ for @r;
    is scalar(grep { $_->{status} == 200 } @r), 90, 'ninety requests over ' . WORKERS . ' workers are served'
      or diag explain \%by;
    my ($now, $most) = (0, 0);
    for (split //, slurp($counter)) {
        $now += $_ eq '+' ? 1 : -1;
        $most = $now if $now > $most;
    }
    is $most, 5, 'never more than five at a time, and five';
    $gate->stop_ok;
};

subtest 'a full queue, and one that waits too long' => sub {
    my $gate = gate(backends => [$pas[0]], pool => 'sticky = "none"; max_in_flight = 1; queue = { size = 3; timeout = "500ms"; };');
    my @conn = map { $gate->connect(timeout => 30) } 1 .. 10;
    $_->write($_->build('GET', '/pas/delay?ms=3000', close => 1)) for @conn;
    my @r = map { $_->response('GET') } @conn;
    is scalar(grep { $_->{status} == 200 } @r), 1, 'one is served';
    my @no = grep { $_->{status} == 503 } @r;
    is scalar @no, 9, 'the others get 503';
    is scalar(grep { ($_->{h}{'retry-after'} // '') =~ /^\d+$/ } @no), 9, 'with Retry-After';
    is $gate->get('/pas/get')->{status}, 200, 'and it goes on';
    $gate->stop_ok;
};

# Of the two, only the session's request waits for one backend first, and then for any.
subtest 'the queue timeout ends every request alike' => sub {
    my $mute = PasGate::Scripted->new(reply => sub { return (20) });
    my $gate = PasGate->new(workers => 1, backends => [{ name => 'b1', port => $mute->{port} }], no_probe => 1,
        check => 'type = "http"; path = "/"; interval = "30s"; timeout = "20s";',
        pool  => 'sticky = "route"; queue = { size = 9; timeout = "700ms"; };');
    is $gate->get('/pas/x', headers => [@$_])->{status}, 503, 'no verdict in time: 503' for [], [['Cookie', 'JSESSIONID=1.b1']];
    is_deeply [map { "$_->{end} $_->{phase} $_->{detail}" } $gate->access(2)],
      [('timeout queue timed out waiting for a free backend slot') x 2], 'and the log tells the same of both';
    $gate->stop_ok;
};

subtest 'one that left the queue leaves its place' => sub {
    my $gate = gate(backends => [$pas[0]], pool => 'sticky = "none"; max_in_flight = 1; queue = { size = 2; timeout = "30s"; };');
    my $busy = $gate->connect;
    $busy->write($busy->build('GET', '/pas/delay?ms=1000'));
    wait_for { in_flight($gate) == 1 };
    my @gone = map { my $c = $gate->connect; $c->write($c->build('GET', '/pas/get')); $c } 1 .. 2;
    wait_for { my $q = 0; $q += $_->{queued} // 0 for @{ $gate->status->{pools} // [] }; $q == 2 };
    $_->abort for @gone;
    ok +(wait_for { $gate->get('/pas/get')->{status} == 200 } 10), 'their places are free';
    is $busy->response('GET')->{status}, 200, 'the first is served';
    $gate->stop_ok;
};

subtest 'retries' => sub {
    my ($dead) = free_ports(1);
    my $gate = PasGate->new(workers => 1, backends => [@pas[0, 1], { name => 'dead', port => $dead }],
        pool => 'balance = "roundrobin"; sticky = "none"; retries = 2;',
        check => 'type = "tcp"; interval = "1h"; down_interval = "1h"; fast_interval = "1h"; rise = 1; fall = 100;');
    is_deeply [grep { $_->{status} != 200 } map { $gate->get('/pas/get') } 1 .. 12], [], 'GET goes to another one';
    is_deeply [grep { $_->{status} != 200 } map { $gate->request('POST', '/pas/upload', body => 'x') } 1 .. 12], [],
      'so does a POST of which nothing was sent';
    $gate->stop_ok;

    my $cuts = PasGate::Scripted->new(id => 'cuts', reply => sub { return undef });
    $gate = PasGate->new(workers => 1, backends => [$cuts], probe => '/', no_probe => 1,
        pool => 'balance = "roundrobin"; sticky = "none"; retries = 3;');
    wait_for { ($gate->get('/pas/get')->{status}) == 502 };
    $cuts->clear;
    is $gate->request('POST', '/pas/x', body => 'once')->{status}, 502, 'a POST that was sent is not repeated';
    is scalar(grep { /once/ } $cuts->seen), 1, 'the backend saw it once';
    $gate->stop_ok;
};

done_testing;
