# Counters outlive workers: over reloads and kill -9 what status and metrics tell never falls,
# and in the end it is what was asked.
use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use JSON::PP;
use PasGate;
use Test::More;
use Time::HiRes qw(time);

use constant COUNTERS => qw(completed connects connect_errors resets timeouts cut gateway_errors
  server_errors retries bytes_in bytes_out);
use constant TOTALS => qw(connections_total exchanges_total bytes_in bytes_out handshakes bad_requests
  own_errors);

my @pas  = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my $gate = PasGate->new(workers => 2, backends => \@pas);

# All counters of a status, flat: "pas1.completed" => 7.
sub counters
{
    my ($s) = @_;
    my %all;
    for my $b (@{ $s->{backends} // [] }) {
        $all{"$b->{name}.$_"} = $b->{$_} for COUNTERS;
    }
    $all{$_} = $s->{totals}{$_} for TOTALS;
    $all{$_} = $s->{totals}{status}{$_} for keys %{ $s->{totals}{status} };
    return \%all;
}

sub completed
{
    my $sum = 0;
    $sum += $_->{completed} for @{ $gate->status->{backends} };
    return $sum;
}

# Looks again and again in a process of its own, until ->(); then the falls that it saw.
sub watch
{
    pipe(my $r, my $w) or die $!;
    my $pid = fork // die $!;
    if (!$pid) {
        my ($stop, $last, $looks, @falls) = (0, {}, 0);
        local $SIG{TERM} = sub { $stop = 1 };
        while (!$stop) {
            my $s = $gate->status;
            next unless $s->{totals};
            my $now = counters($s);
            push @falls, map { "$_: $last->{$_} -> $now->{$_}" } grep { $now->{$_} < ($last->{$_} // 0) } sort keys %$now;
            ($last, $looks) = ($now, $looks + 1);
        }
        print $w encode_json({ looks => $looks, falls => \@falls });
        close $w;
        POSIX::_exit(0);
    }
    close $w;
    return sub {
        kill 'TERM', $pid;
        local $/;
        my $text = <$r>;
        waitpid $pid, 0;
        return decode_json($text);
    };
}

sub never_fell
{
    my ($seen, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    cmp_ok $seen->{looks}, '>=', 3, "$name: was looked at ($seen->{looks})";
    is_deeply $seen->{falls}, [], "$name: nothing fell";
}

# Ends workers by kill -9 and waits for their successors.
sub kill_workers
{
    my @old = $gate->workers;
    kill 'KILL', @old;
    my %old = map { $_ => 1 } @old;
    return wait_for {
        my @new = grep { $_->{kind} eq 'worker' && $_->{state} eq 'running' && !$old{ $_->{pid} } }
          @{ $gate->status->{children} // [] };
        @new == 2;
    };
}

my $asked;

subtest 'in peace' => sub {
    my $before = completed();
    my @bad = grep { $_ != 200 } map { $gate->get('/pas/get')->{status} } 1 .. 25;
    is_deeply \@bad, [], 'requests';
    ok wait_for { completed() == $before + 25 }, 'each is counted';
    $asked = $before + 25;
    is +($gate->cli('reload'))[0], 0, 'reload';
    ok wait_for { PasGate::children($gate->{pid}) == 4 }, 'the old workers are gone';
    is completed(), $asked, 'a reload forgets none';
    ok kill_workers(), 'all workers are killed';
    is completed(), $asked, 'that forgets none, either';
    my $s = $gate->status;
    cmp_ok $s->{totals}{exchanges_total}, '>=', $asked, 'the totals have them';
    cmp_ok $s->{totals}{status}{'2xx'}, '>=', $asked, 'by status, too';
    cmp_ok $s->{totals}{handshakes}, '>=', $asked, 'and the handshakes';
    is $s->{totals}{connections}, 0, 'what was open is not open any more';
};

subtest 'reloads under load' => sub {
    my $watch = watch();
    my @load = (PasGate::Load->new($gate, clients => 2), PasGate::Load->new($gate, clients => 1, close => 1));
    my %codes;
    $codes{ ($gate->cli('reload'))[0] }++ for 1 .. 10;
    is_deeply \%codes, { 0 => 10 }, 'ten reloads';
    my $done = 0;
    $done += $_->stop_ok->{done} for @load;
    $asked += $done;
    ok wait_for { completed() == $asked }, "each of $done requests is counted once"
      or diag completed(), " are counted, $asked were asked";
    never_fell($watch->(), 'status');
};

subtest 'kill -9 under load' => sub {
    my $watch = watch();
    my $load = PasGate::Load->new($gate, clients => 4, close => 1);
    for (1 .. 3) {
        ok kill_workers(), 'all workers are killed';
        my $n = completed();
        wait_for { completed() > $n + 20 };
    }
    my $sum = $load->stop;
    my $lost = @{ $sum->{failures} } + $sum->{closed};
    my $got = completed() - $asked;
    never_fell($watch->(), 'status');
    # One that a worker was killed in may have been counted, or answered and not counted yet.
    cmp_ok $got, '>=', $sum->{done} - 12, "$sum->{done} were answered, $lost cut off, $got are counted";
    cmp_ok $got, '<=', $sum->{done} + $lost, 'and none twice';
};

subtest 'the pages' => sub {
    my $metrics = sub { $gate->get('/metrics', plain => 1, port => $gate->{status_port})->{body} };
    my $sum = sub {
        my $n = 0;
        $n += $_ for $metrics->() =~ /^pasgate_backend_requests_total\{[^}]*\} (\d+)$/mg;
        return $n;
    };
    is $sum->(), completed(), '/metrics tells the same';
    my ($count) = $metrics->() =~ /^pasgate_backend_first_byte_seconds_count\{[^}]*pas1[^}]*\} (\d+)$/m;
    my ($pas1) = grep { $_->{name} eq 'pas1' } @{ $gate->status->{backends} };
    cmp_ok $count, '>=', $pas1->{completed}, 'the histogram, too';
    like $gate->get('/', plain => 1, port => $gate->{status_port})->{body}, qr/pas1/, 'the page stands';
};

subtest 'another backend under the name' => sub {
    my $third = PasGate::StandIn->new('third');
    $gate->get('/pas/get') for 1 .. 10;
    my ($pas1) = grep { $_->{name} eq 'pas1' } @{ $gate->status->{backends} };
    cmp_ok $pas1->{completed}, '>', 0, 'pas1 has counted';
    my $config = slurp($gate->{conf});
    spew($gate->{conf}, $config =~ s/127\.0\.0\.1:$pas[1]{port}/127.0.0.1:$third->{port}/r);
    is +($gate->cli('reload'))[0], 0, 'pas2 is at another address';
    ok $gate->wait_health('pas2', 'up'), 'and up';
    my %b = map { $_->{name} => $_ } @{ $gate->status->{backends} };
    is $b{pas2}{completed}, 0, 'it counts from 0';
    is $b{pas1}{completed}, $pas1->{completed}, 'the other one goes on';
    ok wait_for { PasGate::children($gate->{pid}) == 4 }, 'the old workers are gone';
    %b = map { $_->{name} => $_ } @{ $gate->status->{backends} };
    is $b{pas2}{completed}, 0, 'and left nothing of what they had counted';
};

$gate->stop_ok;
done_testing;
