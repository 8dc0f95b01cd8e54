#!/usr/bin/perl
# coverage.pl BUILD: runs the unit tests and the fuzzers' corpora of a build with --coverage, and
# prints which share of the lines of each parser they reach (gcov). Exit code 1 if one of them is
# below LEAST percent, or a corpus fails. Use "make coverage".
#
# A line "NAME 100.0 % of N" for each file; with V=1 also the lines that nothing reaches.
use strict;
use warnings;
use JSON::PP;
use Cwd 'abs_path';

use constant LEAST => 90;

# Files that parse what a client, a backend, a CA, a name server or an operator sends or writes.
my @parsers = map { glob } qw(
    worker/http/h1*.c worker/http/http.c worker/http/uri.c worker/http/affinity.c worker/http/origin.c
    worker/http/forward.c worker/http/headers.c worker/http/public_names.c worker/http/redirect.c
    worker/http/route.c worker/log/access_format.c
    base/conf/value.c base/conf/networks.c base/conf/expand.c base/conf/type*.c base/escape.c
    acmed/net/acme_json.c acmed/net/caa.c acmed/net/dns_read.c acmed/net/ipc.c
    healthd/check/http_check.c healthd/restarter/diagnostics.c healthd/restarter/docker.c
    healthd/restarter/tail.c
);

my $build = shift // die "usage: t/coverage.pl BUILD\n";
$build = abs_path($build) // die "no such build\n";
unlink glob "$build/*/*.gcda $build/*/*/*.gcda $build/*/*/*/*.gcda";

# Whether the tests pass is shown by "make unit"; -m: their log lines are not shown.
my $bad = 0;
system qw(prove -Q -m -j), $ENV{JOBS} // 2, glob "$build/unit/*";
mkdir "$build/fuzz";
system('perl', 't/fuzz/seed.pl', "$build/fuzz") == 0 or $bad = 1;
for my $replay (glob "$build/replay/*") {
    my ($name) = $replay =~ m{([^/]+)$};
    next if !-x $replay || -d $replay;
    my @files = grep { -f } glob "t/fuzz/seeds/$name/* $build/fuzz/$name.corpus/*";
    while (my @some = splice @files, 0, 500) {
        system($replay, @some) == 0 or do { print "replay/$name failed\n"; $bad = 1 };
    }
}

my ($lines, $reached) = (0, 0);
for my $file (@parsers) {
    my ($object) = map { "$build/$_" } $file =~ s/\.c$/.o/r;
    my ($n, $hit, @missing) = count($file, $object);
    if (!$n) {
        printf "     %-36s has no line that runs\n", $file;
        next;
    }
    my $percent = 100 * $hit / $n;
    printf "%-4s %-36s %5.1f %% of %d\n", $percent < LEAST ? 'LOW' : 'ok', $file, $percent, $n;
    print "     not reached: @missing\n" if $ENV{V} && @missing;
    $bad = 1 if $percent < LEAST;
    $lines += $n;
    $reached += $hit;
}
printf "     %-36s %5.1f %% of %d\n", 'all', 100 * $reached / $lines, $lines if $lines;
exit $bad;

# How many lines of a file run, how many of these were reached, and those that were not.
sub count
{
    my ($file, $object) = @_;
    open my $gcov, '-|', 'gcov', '--json-format', '--stdout', $object or die "gcov: $!\n";
    my $json = do { local $/; <$gcov> };
    close $gcov;
    my ($n, $hit, @missing) = (0, 0);
    my %count;
    for my $of (map { @{ $_->{files} } } map { decode_json($_) } grep { /^\{/ } split /\n/, $json // '') {
        next if $of->{file} ne $file;
        $count{ $_->{line_number} } += $_->{count} for @{ $of->{lines} };
    }
    for (sort { $a <=> $b } keys %count) {
        $n++;
        if ($count{$_}) { $hit++ } else { push @missing, $_ }
    }
    return ($n, $hit, @missing);
}
