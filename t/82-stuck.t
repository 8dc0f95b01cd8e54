# A child that SIGKILL does not end, because it hangs in the kernel, does not keep the service from
# ending. (Here it does end, but the service does not hear of it.)
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my $pas = PasGate::StandIn->new('pas1');
sub stuck
{
    my ($what, $kind, @signals) = @_;
    subtest $what => sub {
        my $unheard = tmp("unheard-$kind");
        my $gate = preloaded('unheard', { TEST_UNHEARD => $unheard },
            sub { PasGate->new(backends => [$pas], global => 'stop_timeout = "1s";') });
        my ($pid) = $gate->pids($kind);
        spew($unheard, $pid);
        my $c = $gate->connect(plain => 1);
        $c->write($c->build('GET', '/pas/delay?ms=60000'));
        ok wait_for { ($gate->status->{totals}{connections} // 0) == 1 }, 'a request runs';
        my @kids = PasGate::children($gate->{pid});
        my $service = delete $gate->{pid};
        PasGate::forget($gate);
        for my $signal (@signals) {
            my $from = length $gate->log_text;
            kill $signal, $service;
            ok $gate->wait_log(qr/signal $signal/, undef, $from), $signal;
        }
        is PasGate::reap($service, 3 * DEADLINE), 0, 'the service ends';
        like $gate->log_text, qr/error supervisor.*: $kind .*pid $pid\) was killed 5 s ago and has not ended.*the service ends without it/,
          'the log says without whom';
        is scalar(() = $gate->log_text =~ /has not ended/g), 1, 'once';
        ok wait_for { !grep { -e "/proc/$_" && slurp("/proc/$_/stat") !~ /\) Z/ } @kids }, 'no process is left';
        is $gate->complaints, '', 'nothing is wrong';
    };
}

stuck('a worker, at a stop that waits', 'worker', 'TERM');
stuck('acmed, at a stop that does not', 'acmed', 'INT');
done_testing;
