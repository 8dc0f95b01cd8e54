#!/usr/bin/perl
# soak.pl [-h HOURS] [-r PER-SECOND] [-s SEED]: pasgate under load over both protocols for hours
# (HOURS may be 0.05), while drills of t/lib/Drills.pm strike it at random moments. Prints a line an hour,
# or ten in all: requests, lost, the memory and the descriptors of each kind of process, objects in
# /dev/shm, lines of log. Memory is compared as it is just before a reload, when all processes are
# about as old. Exit code 0: no request was lost beyond what its drill may cost, and the last third of
# these is not more than a tenth above the first third. `make soak`.
use strict;
use warnings;
use lib 't/lib';
use Drills;
use Getopt::Std;
use JSON::PP;
use PasGate;
use Test::More;
use Time::HiRes qw(time sleep);

my %opt = (h => 1, r => 100, s => time);
getopts('h:r:s:', \%opt) or die "usage: soak.pl [-h HOURS] [-r PER-SECOND] [-s SEED]\n";
srand $opt{s};
my $end   = time + 3600 * $opt{h};
my $every = $opt{h} >= 10 ? 3600 : 360 * $opt{h};
# A drill in each of these spans, on average.
use constant { CALM => 20, RELOADS => 4 };    # seconds, and each of so many is a reload

my @pas  = map { PasGate::StandIn->new("pas$_") } 1 .. 3;
my $gate = PasGate->new(workers => 2, backends => \@pas);
my $run  = Drills->new($gate, backends => \@pas, in_hand => 8);
my $http1 = PasGate::OpenLoop->new($gate, rate => $opt{r} / 2, more => ['-t', 30000]);
my @http2 = map { Drills::Http2->new($gate, $opt{r} / 4, $_) } '/pas/get', '/pas/bytes?n=20000';
my @names = grep { $_ ne 'reload' } Drills::names();
my ($drills, $may, @wrong, %samples) = (0, 0);

printf "seed %s; %.2f hours, %d requests a second; a line every %d s\n", $opt{s}, $opt{h}, $opt{r}, $every;
printf "%8s %9s %6s %6s %10s %10s %10s %10s %5s %8s\n",
  qw(minutes requests lost may supervisor workers healthd acmed fds log-MB);

# Kilobytes that each kind of process has for itself, and all descriptors.
sub sample
{
    my %now = (supervisor => private_kb($gate->{pid}), fds => fds($gate->{pid}));
    for (grep { $_->{pid} } @{ $gate->status->{children} // [] }) {
        $now{ $_->{kind} } += private_kb($_->{pid});
        $now{fds} += fds($_->{pid});
    }
    return \%now;
}

sub private_kb
{
    my $sum = 0;
    $sum += $_ for slurp("/proc/$_[0]/smaps_rollup") =~ /^Private_\w+:\s+(\d+)/mg;
    return $sum;
}

sub fds { my @all = glob "/proc/$_[0]/fd/*"; return scalar @all }

sub total_lost { my $n = $http1->now->{failed} // 0; $n += $_->failed for @http2; return $n }

my ($line_at, $next) = (time + $every, time + CALM);
while (time < $end) {
    if (time >= $next) {
        my $name = ++$drills % RELOADS == 0 ? 'reload' : $names[rand @names];
        if ($name eq 'reload') { my $s = sample(); push @{ $samples{$_} }, $s->{$_} for keys %$s }
        my $before = total_lost();
        my ($allowed, $wrong) = $run->run($name);
        sleep 2;
        my $cost = total_lost() - $before;
        $may += 2 * $allowed;
        push @wrong, sprintf '%.0f s: %s: %s', 3600 * $opt{h} - ($end - time), $name, $_
          for grep { $_ } $wrong, $cost > 2 * $allowed ? "$cost requests lost, " . 2 * $allowed . ' allowed' : '';
        $next = time + rand(2 * CALM);
    }
    if (time >= $line_at) {
        my $s = sample();
        my $n = $http1->now->{requests} // 0;
        $n += $_->lines for @http2;
        printf "%8.1f %9d %6d %6d %10d %10d %10d %10d %5d %8.1f\n", 60 * $opt{h} - ($end - time) / 60, $n, total_lost(), $may,
          @$s{qw(supervisor worker healthd acmed fds)}, (-s $gate->{log}) / 1e6;
        $line_at += $every;
    }
    sleep 0.2;
}

my $sum = $http1->stop;
my @two = map { [$_->stop] } @http2;
is "@{[map { qq(\n  $_) } @wrong]}", '', 'each drill cost no more than it may, and left nothing behind';
cmp_ok $_->[0], '>', 0, "$_->[0] requests over HTTP/2, $_->[1] lost" for @two;
cmp_ok $sum->{requests}, '>', 0, "$sum->{requests} over HTTP/1.1, $sum->{failed} lost";
diag join "\n", @{ $sum->{first_errors} // [] };
for my $kind (sort keys %samples) {
    my @all   = @{ $samples{$kind} };
    my $third = int(@all / 3) or next;
    my $mean  = sub { my $s = 0; $s += $_ for @_; $s / @_ };
    my ($first, $last) = ($mean->(@all[0 .. $third - 1]), $mean->(@all[-$third .. -1]));
    cmp_ok $last, '<=', 1.1 * $first + 8, sprintf '%s: %.0f in the first third of %d samples, %.0f in the last', $kind, $first, scalar @all, $last;
}
$gate->stop_ok;
done_testing;
