# Outliers: a backend whose checks are well, or that has only just fallen ill, and
# what its requests tell about it.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time);

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 4;
my $gate;
my $OUT = qr/-> (?:ejected|down)/;

sub status_of
{
    my ($name) = @_;
    my ($row) = grep { $_->{name} eq $name } @{ $gate->status->{backends} // [] };
    return $row // {};
}

# The transitions of a backend as `pasgate why` tells them, "from -> to  reason" each.
sub history { return map { /healthd\s+(.*)/ ? $1 =~ s/\s+/ /gr : () } split /\n/, ($gate->cli('why', $_[0]))[1] }

# Waits for one more transition that matches; $from: how many there were before.
sub turns
{
    my ($name, $re, $from, $seconds) = @_;
    my @h;
    my $found = wait_for { @h = history($name); (grep { $_ =~ $re } @h[ $from .. $#h ])[0] } $seconds;
    diag join "\n", "$name:", @h if !$found;
    return $found;
}

sub completed { return status_of($_[0])->{completed} // 0 }

use constant QUICK => 'type = "pasoe"; interval = "300ms"; fast_interval = "100ms"; down_interval = "200ms"; '
  . 'timeout = "700ms"; rise = 2; fall = 2; jitter = 0;';

sub gate
{
    my ($check, $pool, @backends) = @_;
    $gate = PasGate->new(workers => 2, backends => \@backends, check => $check,
        pool => ($pool =~ /balance/ ? '' : 'balance = "roundrobin"; ') . "sticky = \"none\"; slow_start = \"off\"; $pool");
    ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up" for @backends;
}

subtest 'with the usual settings: probes and workers agree' => sub {
    gate('type = "pasoe";', '', @pas);
    my $load = PasGate::Load->new($gate, clients => 8, pause => 0.01);
    ok wait_for { completed('pas1') > 20 }, 'all is well';
    $pas[0]->ctl('mode=hang');
    kill 'STOP', $pas[1]{pid};
    $pas[2]->kill;
    my $began = time;
    like turns('pas3', qr/-> down/, 1), qr/connection refused.*requests fail too|\d checks failed/, 'killed: down';
    for (['pas1', 'it hangs'], ['pas2', 'it is frozen']) {
        my ($name, $what) = @$_;
        like turns($name, qr/-> suspect/, 1), qr/\d+ requests wait without a response for 1\.\d s|no response/,
          "$what: suspected";
        like turns($name, qr/-> down/, 1), qr/no response within 2000 ms, and \d+ waiting requests got no response for 3\.\d s/,
          "$what: down after one check, since the requests tell the same";
    }
    cmp_ok time - $began, '<', 7, 'in about three seconds, not after all three checks';
    kill 'CONT', $pas[1]{pid};
    $pas[0]->ctl('mode=ok');
    $pas[2]->start;
    ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up again" for @pas;

    # What only takes its time is no illness: pas4 was never down, so its history begins here.
    $pas[3]->ctl('mode=slow&ms=2500');
    like turns('pas4', qr/-> degraded/, 1, 15), qr/no response within 2000 ms, but requests complete/,
      'each request takes 2.5 s, the ping too: degraded';
    # what it is slow to serve is also sent elsewhere
    my $served = sub { my $row = status_of('pas4'); ($row->{completed} // 0) + ($row->{overtaken} // 0) };
    my $n = $served->();
    ok wait_for { $served->() > $n + 5 }, 'it goes on serving';
    $pas[3]->ctl('mode=ok');
    is_deeply [grep { /$OUT/ } history('pas4')], [], 'it was never taken out';
    $load->stop_ok;
    $gate->stop_ok;
};

subtest 'cut responses while the ping is well' => sub {
    gate(QUICK, 'eject = { time = "1s"; max_time = "2s"; };', @pas[0 .. 2]);
    my $load = PasGate::Load->new($gate, clients => 6, pause => 0.005);
    ok wait_for { completed('pas1') > 20 }, 'all is well';
    $pas[0]->ctl('mode=cut&ping=ok');
    like turns('pas1', qr/-> ejected/, 1), qr/ejected for 1 s: (?:\d+ requests failed in a row|\d+ of \d+ requests failed within 5 s|a request failed on probation)/,
      'ejected';
    my $row = status_of('pas1');
    is $row->{state}, 'ejected', 'status tells';
    ok $row->{check}{ok}, 'although the check passes';
    like +($gate->cli('status'))[1], qr/ejected for \d s/, 'and why';

    my $on_probation = turns('pas1', qr/ejected -> probation/, 2);
    like $on_probation, qr/the ejection is over: single requests try it/, 'then it is tried';
    like turns('pas1', qr/-> ejected ejected for 2 s/, 3), qr/ejected for 2 s: a request failed on probation/,
      'and fails: for twice as long';
    my @before = history('pas1');
    like turns('pas1', qr/-> ejected ejected/, scalar @before), qr/ejected for 2 s/, 'never longer than max_time';

    my $was = @{ [history('pas1')] };
    $pas[0]->ctl('mode=ok');
    like turns('pas1', qr/-> up/, $was), qr/\d requests succeeded on probation/, 'well again: up after a few single requests';
    is status_of('pas1')->{health}, 'up', 'the probation is over';
    my $n = completed('pas1');
    ok wait_for { completed('pas1') > $n + 20 }, 'and it serves';
    is status_of('pas2')->{health}, 'up', 'the others never noticed';

    $pas[2]->ctl('mode=slowping');
    like turns('pas3', qr/-> degraded/, 1), qr/no response within 700 ms, but requests complete/, 'a slow ping: degraded';
    $row = status_of('pas3');
    ok wait_for { status_of('pas3')->{check}{failures} > $row->{check}{failures} + 3 }, 'for as long as that lasts';
    is status_of('pas3')->{health}, 'degraded', 'and never more than that';
    $pas[2]->ctl('mode=ok');
    $load->stop_ok('no request failed meanwhile');

    # Five hundreds and 408 are the business of the application.
    $load = PasGate::Load->new($gate, clients => 6, pause => 0.005, path => '/pas/get');
    $n = @{ [history('pas2')] };
    $pas[1]->ctl('mode=500&ping=ok');
    ok wait_for { status_of('pas2')->{server_errors} > 60 }, 'an instance answers 500 to everything';
    my @h = history('pas2');
    is_deeply [grep { !/^up -> degraded \d+ of \d+ requests answered with 5xx/ } @h[$n .. $#h]], [],
      'it is degraded, as the others do not do that; not suspected, and it stays';
    $pas[1]->ctl('mode=ok');
    $load->stop;

    # All of them alike.
    $load = PasGate::Load->new($gate, clients => 6, pause => 0.005);
    ok wait_for { completed('pas3') > 20 }, 'all is well';
    my %from = map { $_->{id} => scalar(my @a = history($_->{id})) } @pas[0 .. 2];
    $_->ctl('mode=cut&ping=ok') for @pas[0 .. 2];
    my $line = $gate->wait_log(qr/backend pas\d not ejected, because (?:other backends of the pool fail too|no other backend of the pool is healthy)/);
    ok $line, 'all fail: it is said, and nobody ejected' or diag map { "$_\n" } map { history($_->{id}) } @pas;
    my @out = grep { my $name = $_; grep { /$OUT/ } splice(@{ [history($name)] }, $from{$name}) } sort keys %from;
    cmp_ok scalar @out, '<', 2, "at most one was taken out before the others showed: @out";
    $_->ctl('mode=ok') for @pas[0 .. 2];
    ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up again" for @pas[0 .. 2];
    $load->stop;
    $gate->stop_ok;
};

subtest 'reset, empty; and min_healthy' => sub {
    gate(QUICK, 'eject = { time = "1s"; max_time = "2s"; }; min_healthy = 1;', @pas[0 .. 1]);
    my $load = PasGate::Load->new($gate, clients => 4, pause => 0.005);
    for my $mode (qw(reset empty)) {
        my $n = @{ [history('pas1')] };
        $pas[0]->ctl("mode=$mode&ping=ok");
        ok turns('pas1', qr/-> ejected ejected/, $n), "$mode: ejected";
        $pas[0]->ctl('mode=ok');
        ok $gate->wait_health('pas1', 'up'), "$mode: up again";
    }
    $load->stop_ok;
    $gate->stop_ok;
    gate(QUICK, 'eject = { time = "1s"; max_time = "2s"; }; min_healthy = 2;', @pas[0 .. 1]);
    $load = PasGate::Load->new($gate, clients => 4, pause => 0.005);
    $pas[0]->ctl('mode=reset&ping=ok');
    ok $gate->wait_log(qr/backend pas1 not ejected, because only \d others? (?:is|are) healthy \(min_healthy 2\): (?:\d requests? failed in a row|a request failed on probation)/),
      'min_healthy = 2: of two nobody is ejected';
    is status_of('pas1')->{health}, 'suspect', 'but suspected';
    like status_of('pas1')->{reason}, qr/not ejected/, 'and it is told why';
    $pas[0]->ctl('mode=ok');
    $load->stop_ok;
    $gate->stop_ok;
};

subtest 'gateway errors, where they mean illness' => sub {
    gate(QUICK, 'eject = { time = "1s"; gateway_percent = 50; };', @pas[0 .. 1]);
    my $load = PasGate::Load->new($gate, clients => 4, pause => 0.005);
    ok wait_for { completed('pas1') > 20 }, 'all is well';
    $pas[0]->ctl('mode=500&ping=ok');
    my $n = status_of('pas1')->{server_errors};
    ok wait_for { status_of('pas1')->{server_errors} > $n + 40 }, 'a 500 is none';
    is status_of('pas1')->{health}, 'degraded', 'it stays, degraded';
    $pas[0]->ctl('mode=500&code=503&ping=ok');
    like turns('pas1', qr/-> ejected/, 1), qr/ejected for 1 s: \d+ of \d+ responses within 5 s: 502, 503 or 504/, '503 to most of them: ejected';
    $pas[0]->ctl('mode=ok');
    ok $gate->wait_health('pas1', 'up'), 'up again';
    $load->stop;
    $gate->stop_ok;
};

subtest 'the ping is well and the application hangs' => sub {
    gate(QUICK, 'eject = { time = "1s"; max_time = "2s"; };', @pas[0 .. 2]);
    my $load = PasGate::Load->new($gate, clients => 12, pause => 0.002);
    # The more is known of the pool, the fewer silent ones are needed.
    ok wait_for { completed('pas1') > 1000 }, 'the pool is known to be quick';
    my $report = $gate->connect;
    $report->write($report->build('GET', '/pas/delay?ms=6000'));
    $pas[0]->ctl('mode=hangapp');
    like turns('pas1', qr/-> ejected/, 1), qr/ejected for 1 s: (?:\d+ requests wait without a response for [34]\.\d s|on probation it gave no response where others did)/, 'ejected';
    $pas[0]->ctl('mode=ok');
    ok $gate->wait_health('pas1', 'up'), 'up again';
    is_deeply [grep { /$OUT/ } map { history($_) } 'pas2', 'pas3'], [], 'a long report elsewhere harms nobody';
    is $report->response('GET')->{status}, 200, 'and is answered';
    $load->stop_ok;
    $gate->stop_ok;
};

# Where long requests are usual, one that waits says nothing; what the others answer does.
subtest 'the same in a pool that is often slow' => sub {
    gate(QUICK, 'balance = "leastconn"; eject = { time = "2s"; max_time = "4s"; };', @pas[0 .. 2]);
    my @load = map { PasGate::OpenLoop->new($gate, @$_) } [rate => 20], [rate => 2, path => '/pas/delay?ms=2400', more => ['-t', 20000]];
    ok wait_for { completed('pas1') > 30 }, 'one request in eleven is a report';
    my %from = map { $_->{id} => scalar(my @h = history($_->{id})) } @pas[0 .. 2];
    my $began = time;
    $pas[0]->ctl('mode=hangapp');
    like turns('pas1', qr/-> ejected/, $from{pas1}), qr/ejected for 2 s: on probation it gave no response/, 'ejected';
    diag sprintf 'after %.1f s', time - $began;
    cmp_ok status_of('pas1')->{mute}, '>=', 2, 'requests that others answered tell it';
    like turns('pas1', qr/-> ejected ejected for 4 s/, $from{pas1} + 1), qr/on probation it gave no response/, 'it is tried again, in vain';
    $pas[0]->ctl('mode=ok');
    ok $gate->wait_health('pas1', 'up'), 'up again';
    is_deeply [grep { /$OUT/ } map { my @h = history($_); @h[ $from{$_} .. $#h ] } 'pas2', 'pas3'], [], 'the others were left alone';
    my ($get) = map { $_->stop_ok } @load;
    cmp_ok $get->{max_ms}, '<', 9000, "who waited there was helped before the verdict: $get->{max_ms} ms at most";

    # Longer than is waited before it is tried, with a ping that is well: it passes its probation.
    my $slow = PasGate::OpenLoop->new($gate, rate => 5);
    $from{pas2} = @{ [history('pas2')] };
    $pas[1]->ctl('mode=slow&ms=3600&ping=ok');
    my $n = completed('pas2');
    ok wait_for(sub { completed('pas2') > $n + 8 }, 180), 'slow, and serves';
    is_deeply [grep { /$OUT/ } do { my @h = history('pas2'); @h[ $from{pas2} .. $#h ] }], [], 'it is not taken for one that hangs';
    $pas[1]->ctl('mode=ok');
    $slow->stop_ok;
    $gate->stop_ok;
};

done_testing;
