# The benchmark works: every proxy serves every case. No figure is judged here.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my $n = 0;
for my $line (split /\n/, (run_cmd('t/bench/bench.pl', '--quick'))[1]) {
    diag $line if $line !~ /^(?:\||idle|\d)/;
    next unless $line =~ /^\|.*\d/;
    $n++;
    my @cell = split / *\| */, $line;
    like $cell[$_], qr/^-?[\d.]+$/, "$cell[1] $cell[2], column $_: $cell[$_]" for 3 .. 6;
}
is $n, 16, 'all rows of the table';
done_testing;
