# A supervisor that stands still is seen, and commands to it end.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my $pas  = PasGate::StandIn->new('pas1');
my $gate = PasGate->new(backends => [$pas]);
is +($gate->cli('status'))[0], 0, 'all is well';
kill 'STOP', $gate->{pid};
ok wait_for { ($gate->cli('status'))[0] == 1 }, 'status: exit code 1';
like +($gate->cli('status'))[1], qr/supervisor has not responded for \d+ s/, 'and why';
is $gate->get('/pas/get')->{status}, 200, 'requests are served';
cmp_ok $gate->status->{supervisor_age_ms}, '>', 9000, 'the age of the heartbeat is in status.json';
like $gate->get('/metrics', plain => 1, port => $gate->{status_port})->{body}, qr/^pasgate_heartbeat_age_seconds\{process="supervisor"\} \d/m, 'and in the metrics';
for my $words ('drain pas1', 'reload', 'restart pas1', 'drain pas1 --wait', 'cert rollback 1') {
    my ($code, $out) = run_cmd('timeout', 60, PasGate::binary(), split(/ /, $words), '-c', $gate->{conf});
    is $code, 1, "$words ends";
    like $out, qr/the request takes effect/, 'and says that it stands';
}
kill 'CONT', $gate->{pid};
ok wait_for { my ($b) = grep { $_->{name} eq 'pas1' } @{ $gate->status->{backends} // [] }; JSON::PP->new->encode($b // {}) =~ /"drain"/ }, 'the drain takes effect';
ok $gate->wait_log(qr/generation 2 is live/), 'so does the reload';
ok wait_for { ($gate->cli('status'))[1] !~ /not been heard/ }, 'and the status is well again';
$gate->stop_ok;
done_testing;
