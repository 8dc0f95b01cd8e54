#!/usr/bin/perl
# 42-slowstart.t: who comes back, or is new, gets a tenth of its share, and more with time; the
# only instance of a pool is never slowed.
use strict;
use warnings;
use lib 't/lib';
use JSON::PP;
use PasGate;
use Test::More;
use Time::HiRes qw(time sleep);

use constant SLOW => 8;    # seconds: slow_start

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 4;

sub calls
{
    my ($pas) = @_;
    my $c = PasGate::Conn->new($pas->{ctl}, timeout => 5);
    return decode_json($c->request('GET', '/ctl', close => 1)->{body})->{calls};
}

# The share of the last of these instances in what they are asked within some time.
sub share
{
    my ($seconds, @of) = @_;
    my @from = map { calls($_) } @of;
    sleep $seconds;
    my @n = map { calls($of[$_]) - $from[$_] } 0 .. $#of;
    my $all = 0;
    $all += $_ for @n;
    return $all ? $n[-1] / $all : 0;
}

sub status_of
{
    my ($gate, $name) = @_;
    my ($row) = grep { $_->{name} eq $name } @{ $gate->status->{backends} };
    return $row;
}

for my $balance (qw(leastconn roundrobin)) {
    subtest $balance => sub {
        my $gate = PasGate->new(workers => 2, backends => [@pas[0 .. 2]],
            pool => "balance = \"$balance\"; slow_start = \"${\SLOW}s\";");
        ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up" for @pas[0 .. 2];
        my $load = PasGate::Load->new($gate, clients => 4, pause => 0.002);
        my $even = share(1, @pas[0 .. 2]);
        cmp_ok $even, '>', 0.2, sprintf 'at the start of the service nobody is slowed: %.2f', $even;

        $pas[2]->ctl('mode=refuse');
        ok $gate->wait_health('pas3', 'down'), 'one goes down';
        $pas[2]->ctl('mode=ok');
        ok $gate->wait_health('pas3', 'up'), 'and comes back';
        my $up = time;
        my $first = share(1, @pas[0 .. 2]);
        cmp_ok $first, '>', 0, 'it gets some at once';
        cmp_ok $first, '<', 0.16, sprintf 'but less than half of a third: %.2f', $first;
        like +($gate->cli('status'))[1], qr/slow start \d+ %/, 'status tells how far it is';
        sleep $up + SLOW + 0.5 - time;
        my $last = share(1, @pas[0 .. 2]);
        cmp_ok $last, '>', 0.2, sprintf 'in the end its full share: %.2f', $last;

        $gate->write_config(backends => [@pas]);
        is +($gate->cli('reload'))[0], 0, 'one more, by a reload';
        ok $gate->wait_health('pas4', 'up'), 'it is up';
        my $new = share(1, @pas);
        cmp_ok $new, '<', 0.12, sprintf 'and begins with less than half of a quarter: %.2f', $new;
        $load->stop_ok;
        $gate->stop_ok;
    };
}

subtest 'the only one' => sub {
    my $gate = PasGate->new(backends => [$pas[0]], pool => 'slow_start = "60s"; max_in_flight = 4;');
    ok $gate->wait_health('pas1', 'up'), 'up';
    $pas[0]->ctl('mode=refuse');
    ok $gate->wait_health('pas1', 'down'), 'down';
    $pas[0]->ctl('mode=ok');
    ok $gate->wait_health('pas1', 'up'), 'up again';
    my $load = PasGate::Load->new($gate, clients => 4);
    my $from = calls($pas[0]);
    ok wait_for { calls($pas[0]) > $from + 400 }, 'it has all that comes';
    $load->stop_ok;
    $gate->stop_ok;
};

done_testing;
