# One client must not take what all share: records that only cause alerts, and bytes that are
# read to be thrown away.
use strict;
use warnings;
use Time::HiRes qw(time);
use lib 't/lib';
use PasGate;
use Test::More;

my $pas  = PasGate::StandIn->new('pas1');
my $gate = PasGate->new(backends => [$pas]);
my ($worker) = $gate->workers;

# A client that asks for renegotiation again and again and reads nothing: each asks for an alert,
# which would wait in our memory.
subtest 'alerts that nobody reads' => sub {
    ok $worker, 'the worker';
    my $before = rss_kb($worker);
    my ($code, $out) = run_cmd(tool('t/tools/tls-flood'), $gate->{tls}, 60 * 1024 * 1024);
    is $code, 0, 'the flood' or diag $out;
    like $out, qr/^sent \d+ end closed$/, 'the connection ends';
    my ($sent) = $out =~ /^sent (\d+)/;
    cmp_ok $sent // 1e9, '<', 20e6, 'before long';
    cmp_ok rss_kb($worker, 'peak') - $before, '<', sanitized() ? 40_000 : 8_000, 'and took no memory';
    is $gate->get('/pas/get')->{status}, 200, 'others are served';
};

# Clients that do so again and again, on new connections. What others wait for is measured by what
# of the flood was taken meanwhile: it is bounded for each request, however fast the machine is.
subtest 'records without plaintext' => sub {
    my $stop  = tmp('stop');
    my $flood = sub {
        my ($sent, $n, $ends) = (0, 0, '');
        until (-e $stop && $n) {
            my ($code, $out) = run_cmd(tool('t/tools/tls-flood'), $gate->{tls}, 30 * 1000 * 1000);
            my ($bytes, $end) = $out =~ /^sent (\d+) end (\w+)$/ or return { died => $out };
            $sent += $bytes;
            $n++;
            spew("$stop.$$.$n", '');
            $ends .= " $end" if $end ne 'closed';
        }
        return { sent => $sent, n => $n, ends => $ends };
    };
    my @done = in_parallel(($flood) x 2, sub {
        my @status;
        my $end = time + DEADLINE;
        # Until there were some of them, and for more than what stands in the sockets of one.
        while ((@status < 100 || (() = glob "$stop.*") < 6) && time < $end) {
            push @status, (eval { $gate->get('/pas/get', plain => 1) } // {})->{status} // 0;
        }
        spew($stop, '');
        return \@status;
    });
    my @status = @{ pop @done };
    my ($sent, $floods) = (0, 0);
    for (@done) {
        is $_->{ends} // $_->{died}, '', 'each flood is ended';
        $sent += $_->{sent} // 0;
        $floods += $_->{n} // 0;
    }
    is scalar(grep { $_ == 200 } @status), scalar @status, 'all others are served';
    cmp_ok $floods, '>=', 6, "beside $floods floods";
    cmp_ok $sent / @status, '<', 1024 * 1024, sprintf 'and for %d bytes of them each', $sent / @status;
};

# Sends on and on after a request that was refused, for so many seconds. Several processes write,
# so that there is always something to read.
sub flood
{
    my ($seconds) = @_;
    my ($end, $block) = (time + $seconds, 'x' x (1024 * 1024));
    while (time < $end) {
        my $c = $gate->connect(plain => 1);
        $c->write("GET / HTTP/1.1\r\nnonsense\r\n\r\n");
        $c->{sock}->blocking(1);
        in_parallel((sub {
            local $SIG{ALRM} = sub { die "time is over\n" };
            alarm $seconds;
            1 while syswrite $c->{sock}, $block;
            return 1;
        }) x 4);
    }
    return 1;
}

subtest 'bytes that are thrown away' => sub {
    my @done = in_parallel((sub { flood(6) }) x 2, sub {
        my $end = time + 5;
        my ($ok, $bad, $late) = (0, 0, 0);
        while (time < $end) {
            my $from = time;
            my $r = eval { $gate->get('/pas/get', plain => 1) };
            ($r->{status} // 0) == 200 ? $ok++ : $bad++;
            $late++ if time - $from > 0.4;
        }
        return [$ok, $bad, $late];
    });
    my ($served, $failed, $late) = @{ pop @done };
    note "served $served, late $late";
    # Where a flood is read without end each of them waits for a second or two.
    cmp_ok 3 * $late, '<=', $served, 'few wait until a flood ends';
    cmp_ok $served, '>=', 8, 'others have their turn';
    is $failed, 0, 'always';
};

$gate->stop_ok;
done_testing;
