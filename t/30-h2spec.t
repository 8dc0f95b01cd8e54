# HTTP/2: the conformance suite h2spec, in strict mode, finds no miss.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my ($h2spec) = grep { -x } map {"$_/h2spec"} PasGate::Rig::test_tools(), split /:/, $ENV{PATH};
plan skip_all => 'no h2spec: t/install-deps.sh check' if !$h2spec;

my $gate = PasGate->new(backends => [PasGate::StandIn->new('pas1')]);
# Its sections open connections by the dozen, and each miss waits for this long.
my ($code, $out) = run_cmd($h2spec, '-h', '127.0.0.1', '-p', $gate->{tls}, '-t', '-k', '-o', 10, '--strict');
is $code, 0, 'exit code';
my ($tests, $passed, $skipped, $failed) = $out =~ /^(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/m;
cmp_ok $tests // 0, '>=', 146, 'all of its tests ran';
is $passed, $tests, 'and passed' or diag $out =~ s/.*^Failures://smr;
is $gate->get('/pas/get')->{status}, 200, 'pasgate serves';
$gate->stop_ok;
done_testing;
