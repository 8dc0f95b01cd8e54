#!/usr/bin/perl
# slowhttptest.t: a thousand slow clients of slowhttptest, with slow heads, slow bodies and slow
# reading. The service is available to others throughout, and the slow ones are ended.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my ($tool) = grep { -x } map { "$_/slowhttptest" } split /:/, $ENV{PATH};
plan skip_all => 'no slowhttptest here (t/install-deps.sh suites)' unless $tool;

use constant { CLIENTS => 1000, SECONDS => 45 };

my @pas  = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my $gate = PasGate->new(workers => 2, backends => \@pas);
my $url  = "https://127.0.0.1:$gate->{tls}/pas";
my %mode = (
    'slow heads'   => ['-H', '-u', "$url/get"],
    'slow bodies'  => ['-B', '-s', 65536, '-u', "$url/upload"],
    'slow reading' => ['-X', '-w', 512, '-y', 1024, '-n', 5, '-z', 32, '-k', 3, '-u', "$url/bytes?n=2000000"],
);

for my $name (sort keys %mode) {
    subtest $name => sub {
        my ($asked, $bad, $slowest) = (0, 0, 0);
        my $load = PasGate::Load->new($gate, clients => 2, close => 1, pause => 0.05);
        my ($code, $out) = run_cmd($tool, '-c', CLIENTS, '-r', 200, '-i', 10, '-l', SECONDS, '-p', 5, @{ $mode{$name} });
        $out =~ s/\e\[[\d;]*m//g;
        my @available = $out =~ /service available:\s+(\w+)/g;
        cmp_ok scalar @available, '>', 0, 'it ran' or diag $out;
        is scalar(grep { $_ ne 'YES' } @available), 0, 'the service was available throughout (' . @available . ' looks)';
        my ($error, $closed) = map { $_ // 0 } ($out =~ /error:\s+(\d+)/g)[-1], ($out =~ /closed:\s+(\d+)/g)[-1];
        cmp_ok $closed, '>=', CLIENTS / 2, "the slow ones are ended ($closed of " . CLIENTS . ')' if $name ne 'slow reading';
        $load->stop_ok('and others are served');
    };
}

$gate->stop_ok;
done_testing;
