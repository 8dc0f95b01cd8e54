#!/usr/bin/perl
# 66-drills.t: what happens to processes on a bad day, done to a service under load: each drill has
# its count of requests that it may cost, and in the end nothing is left of it. `make soak` does
# the same for hours.
use strict;
use warnings;
use lib 't/lib';
use Drills;
use PasGate;
use Test::More;

# Those of backends are t/71-faults.t's.
my @drills = ('healthd killed', 'acmed killed', 'worker killed', 'killed at a write', 'no new process', 'no descriptors',
    'accept fails', 'storm of signals', 'two stand still');

my @pas  = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my $gate = PasGate->new(workers => 2, backends => \@pas);
my $run  = Drills->new($gate);

sub descriptors { my @all = glob "/proc/$_[0]/fd/*"; return scalar @all }

# The table's object in /dev/shm, and those whose names begin like its.
my ($name) = map { m{^/dev/shm/([^/ ]+)} ? $1 : () } map { readlink($_) // () } glob "/proc/$gate->{pid}/fd/*";
sub objects { my @all = glob "/dev/shm/$name*"; return "@all" }

my $load    = PasGate::OpenLoop->new($gate, rate => 40, more => ['-t', 20000]);
my $http2   = Drills::Http2->new($gate, 15);
my @before  = (descriptors($gate->{pid}), objects());
is $before[1], "/dev/shm/$name", 'its table';
my $settled = wait_for { ($load->now->{ok} // 0) > 40 };
ok $settled, 'requests are served';

for my $name (@drills) {
    subtest $name => sub {
        my ($failed, $failed2) = ($load->now->{failed} // 0, $http2->failed);
        my $ok = $load->now->{ok};
        my ($may, $wrong) = $run->run($name);
        is $wrong, '', 'it ends, and all is as before';
        ok wait_for { $load->now->{ok} > $ok + 80 }, 'requests are served on';
        cmp_ok $load->now->{failed} - $failed, '<=', $may, "of those over HTTP/1.1 at most $may are lost"
          or diag explain $load->now->{first_errors};
        cmp_ok $http2->failed - $failed2, '<=', $may, "and of those over HTTP/2" or diag $http2->errors;
    };
}

my $sum = $load->stop;
cmp_ok $sum->{ok}, '>', 0, "$sum->{ok} of $sum->{requests} requests were served, $sum->{failed} lost";
my ($done, $lost) = $http2->stop;
cmp_ok $done, '>', 0, "over HTTP/2 $done, $lost lost";
is objects(), $before[1], 'no object is left behind in /dev/shm';
cmp_ok descriptors($gate->{pid}), '<=', $before[0] + 2, 'and no descriptor in the supervisor';
is $gate->complaints, '', 'nobody complains';

# Its end without a word: who serves ends what it has begun, and the next start takes over.
subtest 'the supervisor is killed' => sub {
    my @kids = PasGate::children($gate->{pid});
    my $busy = $gate->connect;
    $busy->write($busy->build('GET', '/pas/delay?ms=1500'));
    wait_for { ($gate->status->{totals}{exchanges} // 0) >= 1 } 3;
    PasGate::forget($gate);
    kill 'KILL', $gate->{pid};
    PasGate::reap(delete $gate->{pid}, 20);
    is $busy->response('GET')->{status}, 200, 'a request that runs is served to its end';
    ok wait_for(sub { !grep { -e "/proc/$_" && slurp("/proc/$_/stat") !~ /\) Z/ } @kids }, 40), 'then no child is left';
    $gate->start;
    is $gate->get('/pas/get')->{status}, 200, 'another one takes over';
    is objects(), $before[1], 'with nothing left of the first in /dev/shm';
};

$gate->stop_ok;
done_testing;
