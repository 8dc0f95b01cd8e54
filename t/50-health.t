# Health: what makes an instance ill, what pasgate says about it, and how it comes back.
use strict;
use warnings;
use JSON::PP;
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time);

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 3;

use constant QUICK => 'interval = "300ms"; fast_interval = "100ms"; down_interval = "200ms"; timeout = "700ms"; '
  . 'rise = 2; fall = 2; jitter = 0;';

sub gate
{
    my ($check, %opt) = @_;
    my $gate = PasGate->new(workers => 2, backends => \@pas, check => $check . QUICK, %opt);
    ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up" for @pas;
    return $gate;
}

sub reason
{
    my ($row) = @_;
    return $row ? $row->{reason} // (ref $row->{health} ? $row->{health}{reason} : '') // '' : '';
}

# The instances that n requests reach.
sub reached
{
    my ($gate, $n) = @_;
    my %by;
    $by{ $gate->get('/pas/get')->{h}{'x-instance'} // 'none' }++ for 1 .. $n;
    return join ' ', sort keys %by;
}

subtest 'killed and started' => sub {
    my $gate = gate('type = "tcp";');
    my $load = PasGate::Load->new($gate, clients => 4);
    $pas[1]->kill;
    my $row = $gate->wait_health('pas2', 'down');
    ok $row, 'it is down';
    like reason($row), qr/connect|refus/i, 'the reason: ' . reason($row);
    is reached($gate, 20), 'pas1 pas3', 'no worker asks it';
    $load->stop_ok;
    like +($gate->cli('status'))[1], qr/pas2.*down/i, 'status tells';
    $pas[1]->start;
    ok $gate->wait_health('pas2', 'up'), 'up again';
    ok wait_for { reached($gate, 9) =~ /pas2/ }, 'and it serves';
    $gate->stop_ok;
};

subtest 'every illness, seen by http' => sub {
    my $gate = gate('type = "http"; path = "/web/get";');
    my %word = (refuse => qr/connect|refus/i, hang => qr/time|response/i, reset => qr/reset|clos|connection/i,
        500 => qr/500|status/i, empty => qr/clos|empty|response|reply/i, cut => qr/short|cut|clos|incomplete|partial|end/i,
        garbage => qr/http|garbage|response|malformed|protocol/i);
    for my $mode (sort keys %word) {
        $pas[0]->ctl("mode=$mode");
        my $row = $gate->wait_health('pas1', 'down');
        ok $row, "$mode: down";
        like reason($row), $word{$mode}, "$mode: " . reason($row);
        is reached($gate, 8) =~ /pas1/, '', "$mode: left out";
        $pas[0]->ctl('mode=ok');
        ok $gate->wait_health('pas1', 'up'), "$mode: up again";
    }
    $pas[0]->ctl('mode=slow&ms=5000');
    ok $gate->wait_health('pas1', 'down|degraded|suspect'), 'slow: noticed';
    $pas[0]->ctl('mode=ok');
    ok $gate->wait_health('pas1', 'up'), 'slow: up again';
    $gate->stop_ok;
};

subtest 'http: status, body' => sub {
    my $gate = gate('type = "http"; path = "/health"; status = [ "200" ]; body = "health";');
    $pas[2]->ctl('health=0.1');
    my $row = $gate->wait_health('pas3', 'down');
    like reason($row), qr/500/, 'a bad score is a 500: ' . reason($row);
    $pas[2]->ctl('health=0.9');
    ok $gate->wait_health('pas3', 'up'), 'a good one';
    $pas[2]->ctl('health=0.6');
    $row = $gate->wait_health('pas3', 'degraded');
    like reason($row), qr/health 0\.60/, 'one between: less traffic: ' . reason($row);
    $pas[2]->ctl('health=0.75');
    ok wait_for { (grep { $_->{name} eq 'pas3' } @{ $gate->status->{backends} })[0]{check}{score} == 0.75 }, 'a little better';
    is $gate->wait_health('pas3', 'degraded|up')->{health}, 'degraded', 'is not enough';
    $pas[2]->ctl('health=1');
    ok $gate->wait_health('pas3', 'up'), 'but well is';
    $gate->stop_ok;
    $gate = PasGate->new(backends => \@pas, check => 'type = "http"; path = "/health"; body = "nowhere in it";' . QUICK, no_probe => 1);
    $row = $gate->wait_health('pas1', 'down');
    ok $row, 'a body without the text';
    like reason($row), qr/body|text/i, 'told so: ' . reason($row);
    $gate->stop_ok;
};

subtest 'pasoe: the ping runs ABL' => sub {
    my $gate = gate('type = "pasoe"; path = "/rest/_oepingService/_oeping";');
    $pas[0]->ctl('mode=pingfail');
    my $row = $gate->wait_health('pas1', 'down');
    ok $row, '_retVal is not empty: down';
    like reason($row), qr/database is not connected|ping|_retVal/i, 'what the ping said: ' . reason($row);
    $pas[0]->ctl('mode=ok');
    ok $gate->wait_health('pas1', 'up'), 'up again';
    $pas[0]->ctl('mode=pingfail&code=408');
    ok $gate->wait_health('pas1', 'down'), 'a STOP condition: down';
    $pas[0]->ctl('mode=ok');
    ok $gate->wait_health('pas1', 'up'), 'up again';
    $gate->stop_ok;
};

subtest 'workers see what probes do not' => sub {
    my $gate = gate('type = "tcp";');
    $pas[0]->ctl('mode=empty');    # connects well, answers nothing
    reached($gate, 30);
    # by the log: the next probe, which connects well, may forgive it before status is asked
    my $line = $gate->wait_log(qr/backend pas1 \S+ -> (?:suspect|down)/, 10);
    ok $line, 'it is suspected: ' . ($line // '');
    $pas[0]->ctl('mode=ok');
    ok wait_for(sub { $gate->get('/pas/get'); my ($r) = grep { $_->{name} eq 'pas1' } @{ $gate->status->{backends} // [] }; PasGate::health_of($r) eq 'up' }, 60), 'and forgiven';
    $gate->stop_ok;
};

subtest 'all of them down' => sub {
    my $gate = gate('type = "http"; path = "/health";');
    $_->ctl('health=0.1') for @pas;
    ok $gate->wait_health($_->{id}, 'down'), "$_->{id} is down" for @pas;
    is $gate->get('/pas/get')->{status}, 200, 'traffic goes to the least bad rather than nowhere';
    ok $gate->wait_log(qr/fail.?open|nothing.*up|no .*up|least bad|all .*down/i), 'and the log says so';
    $_->ctl('health=1') for @pas;
    ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up" for @pas;
    $gate->stop_ok;
};

subtest 'no traffic before the first verdict' => sub {
    my $gone = { name => 'gone', port => free_port() };
    my $gate = PasGate->new(workers => 1, backends => [$pas[0], $gone], check => 'type = "tcp";' . QUICK);
    my %status;
    $status{ $gate->get('/pas/get')->{status} }++ for 1 .. 10;
    is_deeply \%status, { 200 => 10 }, 'the one that is well serves from the start';
    ok $gate->wait_health('gone', 'down'), 'the other is down';
    $gate->stop_ok;
};

done_testing;
