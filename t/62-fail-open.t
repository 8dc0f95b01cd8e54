# The whole pool is down, and known to be so (pools.fail_open).
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time);

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my $check = 'type = "http"; path = "/health"; interval = "300ms"; fast_interval = "100ms"; '
  . 'down_interval = "300ms"; timeout = "700ms"; rise = 1; fall = 2;';

sub gate
{
    my ($pool) = @_;
    return PasGate->new(workers => 2, backends => \@pas, pool => "$pool eject = { failures = 0; };", check => $check,
        routes => '{ path = "/pas"; pool = "pas"; upstream_path = "/web"; timeouts = { first_byte = "8s"; }; }');
}

sub all_of
{
    my ($gate, $what, $state) = @_;
    $_->ctl($what) for @pas;
    ok $gate->wait_health($_->{id}, $state), "$_->{id} is $state" for @pas;
}

# So many clients at once, each with one request: [status, seconds, Retry-After] of each.
sub crowd
{
    my ($gate, $n, %opt) = @_;
    return in_parallel(map { sub {
        my $start = time;
        my $r = $gate->get('/pas/get', plain => 1, timeout => 25, %opt);
        return [$r->{status}, time - $start, $r->{h}{'retry-after'} // ''];
    } } 1 .. $n);
}

subtest 'they hang: one waits, the others hear of it at once' => sub {
    my $gate = gate('');
    all_of($gate, 'mode=hang', 'down');
    my $line = $gate->wait_log(qr/warn.*pool pas: no backend is up and ready: one request at a time tries the most promising one, all others get 503$/);
    ok $line, 'the log says so when the verdict comes: ' . ($line // '');
    my $limit = sanitized() ? 7 : 5;
    my @r = crowd($gate, 12);
    my @quick = grep { $_->[1] < $limit } @r;
    cmp_ok scalar @quick, '>=', 11, 'at most one waited' or diag explain \@r;
    is scalar(grep { $_->[0] == 503 && $_->[2] } @quick), scalar @quick, '503, with Retry-After';
    # Each change of a child lets the workers look at all backends again.
    my ($acmed) = $gate->pids('acmed');
    kill 'KILL', $acmed;
    ok wait_for { (($gate->pids('acmed'))[0] // $acmed) != $acmed }, 'another acmed';
    my $from = length $gate->log_text;
    all_of($gate, 'mode=ok', 'up');
    ok $gate->wait_log(qr/info.*pool pas: a backend is up and ready again, after/, undef, $from), 'the log hears of the end, with no request';
    is $gate->get('/pas/get')->{status}, 200, 'it serves';
    my @lines = grep {/pool pas:/} split /\n/, $gate->log_text;
    is scalar @lines, 2, 'two lines in all: an outage that goes on is logged once' or diag join "\n", @lines;
    $gate->stop_ok;
};

subtest 'the checks are wrong: the one that tries opens it for all' => sub {
    my $gate = gate('');
    all_of($gate, 'health=0.1', 'down');
    is $gate->get('/pas/get')->{status}, 200, 'the first one is let in';
    # From then on its good responses speak for that backend, while they go on.
    my @load = map { PasGate::Load->new($gate, clients => 3, close => $_) } 0, 1;
    wait_for { (() = slurp($gate->{access}) =~ /"status":200/g) > 200 };
    my ($done, $failed) = (0, 0);
    for (@load) {
        my $sum = $_->stop;
        $done += $sum->{done};
        $failed += @{ $sum->{failures} };
    }
    # Some, where the machine stood still for so long that none was heard of.
    cmp_ok $failed, '<=', $done / 10, "$failed were refused, $done were not";
    $_->ctl('health=1') for @pas;
    $gate->stop_ok;
};

subtest 'a session whose backend is down, as all are' => sub {
    my $gate = gate('sticky = "cookie";');
    my $first = $gate->get('/pas/get');
    my ($cookie) = ($first->{h}{'set-cookie'} // '') =~ /^([^;]+)/;
    ok $cookie, 'it has a cookie';
    all_of($gate, 'mode=hang', 'down');
    my @r = crowd($gate, 8, headers => [['Cookie', $cookie]]);
    cmp_ok scalar(grep { $_->[0] == 503 && $_->[1] < (sanitized() ? 7 : 5) } @r), '>=', 7, 'one waits, the others do not' or diag explain \@r;
    all_of($gate, 'mode=ok', 'up');
    $gate->stop_ok;
};

# Each request of an outage fails at every backend. What comes after it would pay for that.
subtest 'nobody is ejected for what failed in an outage' => sub {
    my $gate = PasGate->new(workers => 2, backends => \@pas, check => $check, pool => 'eject = { window = "60s"; };',
        routes => '{ path = "/pas"; pool = "pas"; upstream_path = "/web"; }');
    ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up" for @pas;
    $_->kill('KILL') for @pas;
    ok $gate->wait_health($_->{id}, 'down'), "$_->{id} is down" for @pas;
    my %status;
    $status{ $gate->get('/pas/get')->{status} }++ for 1 .. 30;
    is_deeply [keys %status], [502], 'each request is tried in vain' or diag explain \%status;
    $_->start for @pas;
    ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up again" for @pas;
    is $gate->get('/pas/get')->{status}, 200, 'it serves' for 1 .. 10;
    # healthd looks at what workers counted once a second at least.
    my $probes = sub { $gate->status->{backends}[0]{check}{probes} };
    my $before = $probes->();
    ok wait_for { $probes->() >= $before + 6 }, 'two seconds of checks';
    unlike $gate->log_text, qr/ejected/, 'nobody is put aside';
    ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up" for @pas;
    $gate->stop_ok;
};

subtest 'off, and all' => sub {
    my $gate = gate('fail_open = "off";');
    all_of($gate, 'health=0.1', 'down');
    ok $gate->wait_log(qr/warn.*pool pas: no backend is up and ready: requests get 503$/), 'off: the log says what follows';
    is $gate->get('/pas/get')->{status}, 503, 'nobody is let in';
    $gate->write_config(pool => 'fail_open = "all"; eject = { failures = 0; };');
    is +($gate->cli('reload'))[0], 0, 'reloaded';
    ok $gate->wait_log(qr/warn.*pool pas: no backend is up and ready: requests go to the least bad one$/), 'all: the log says what follows';
    is join(' ', map { $_->[0] } crowd($gate, 6)), join(' ', (200) x 6), 'everybody is let in';
    $_->ctl('health=1') for @pas;
    $gate->stop_ok;
};

# A backend that is drained serves others' requests only while the drain runs, so a stream that goes on
# keeps it from ending.
subtest 'one that is being drained serves when the rest is down' => sub {
    my $gate = gate('');
    ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up" for @pas;
    my @streams;
    my $at = '';
    while (@streams < 20 && $at ne 'pas1') {
        push @streams, my $c = $gate->connect(plain => 1);
        $c->write($c->build('GET', '/pas/sse?n=1000&ms=300'));
        $c->fill until $c->{eof} || $c->{buf} =~ /\r\n\r\n/;
        ($at) = $c->{buf} =~ /^x-instance: (\w+)/mi;
    }
    is $at, 'pas1', 'a stream that does not end runs at pas1';
    is +($gate->cli('drain', 'pas1'))[0], 0, 'pas1 is being drained';
    $pas[1]->ctl('health=0.1');
    ok $gate->wait_log(qr/warn.*pool pas: no backend is up and ready: draining backends serve instead$/), 'the log says what follows';
    is_deeply [map { $_->[0] } crowd($gate, 6)], [(200) x 6], 'everybody is let in';
    $pas[1]->ctl('health=1');
    ok $gate->wait_log(qr/info.*pool pas: a backend is up and ready again, after/), 'and of the end';
    $_->abort for @streams;
    $gate->stop_ok;
};

done_testing;
