# Workers that die again and again, or hang: their sockets are served by others meanwhile.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time);

my $pas  = PasGate::StandIn->new('pas1');
my $gate = PasGate->new(workers => 2, backends => [$pas]);

# Kills the running worker of a slot so many times, with fresh connections all the while:
# (longest wait, failures).
sub fresh_while_killed
{
    my ($slot, $times) = @_;
    my ($longest, $killed, $n, @failed) = (0, 0, 0);
    my $end = time + 3 * DEADLINE;
    while ($killed < $times && time < $end) {
        if ($n++ % 4 == 0) {
            my ($one) = grep { $_->{kind} eq 'worker' && $_->{slot} == $slot && $_->{pid} && $_->{state} eq 'running' }
              @{ $gate->status->{children} // [] };
            $killed += kill 'KILL', $one->{pid} if $one;
        }
        my $start = time;
        my $r = eval { $gate->get('/pas/get', plain => 1, timeout => 15) } // { status => 0, why => $@ };
        my $took = time - $start;
        $longest = $took if $took > $longest;
        push @failed, $r->{why} // $r->{status} if $r->{status} != 200;
    }
    is $killed, $times, "killed $times times";
    return ($longest, @failed);
}

subtest 'a worker in a crash loop' => sub {
    my ($longest, @failed) = fresh_while_killed(1, 7);
    cmp_ok $longest, '<', sanitized() ? 8 : 2.5, sprintf 'no connection waited for its next start: %.2f s at most', $longest;
    cmp_ok scalar @failed, '<=', 7, 'only what it had in hand failed' or diag join "\n", @failed;
};

subtest 'a worker that hangs' => sub {
    my ($row) = wait_for { (grep { $_->{kind} eq 'worker' && $_->{slot} == 0 && $_->{state} eq 'running' } @{ $gate->status->{children} // [] })[0] };
    kill 'STOP', $row->{pid};
    ok $gate->wait_log(qr/worker 1 also serves the sockets of worker 0/), 'its sockets are lent before it is killed';
    is join(' ', map { $gate->get('/pas/get', plain => 1, timeout => 3)->{status} } 1 .. 20), join(' ', (200) x 20), 'all are served';
    kill 'CONT', $row->{pid};
};

subtest 'the last worker' => sub {
    $gate->stop_ok;
    $gate->write_config(workers => 1);
    $gate->start;
    my ($longest) = fresh_while_killed(0, 7);
    cmp_ok $longest, '<', sanitized() ? 8 : 2.5, sprintf 'is not left in backoff: %.2f s', $longest;
};

$gate->stop_ok;
done_testing;
