# Idle clients take all connections that there may be, where the host gives few descriptors: who
# asks is still served by backends, and who looks whether all is well is answered.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time);

my $pas  = PasGate::StandIn->new('pas');
my $gate = PasGate->new(workers => 1, backends => [$pas], start => 0);
$gate->{pid} = PasGate::spawn($gate->{log}, 'prlimit', '--nofile=320:320', PasGate::binary(), 'run', '-c', $gate->{conf});
PasGate::remember($gate);
ok wait_for { $gate->serving && %{ $gate->status } }, 'it starts with few descriptors';
my $line = $gate->wait_log(qr/warn .*limits\.connections is 16384, but .* only 320 descriptors/);
ok $line, 'and says that there are few';
my ($most) = ($line // '') =~ /enough for (\d+) clients/;
cmp_ok $most // 0, '>', 50, 'how many clients there may be';
is $gate->status->{totals}{connections_limit}, $most, 'the status tells, too';

subtest 'too few to start' => sub {
    my $few = PasGate->new(workers => 1, backends => [$pas], start => 0);
    my $status = PasGate::reap(PasGate::spawn($few->{log}, 'prlimit', '--nofile=64:64', PasGate::binary(), 'run', '-c', $few->{conf}), DEADLINE);
    is $status >> 8, 1, 'exit code';
    like $few->log_text, qr/error .*too few descriptors: the limit is 64; pasgate needs some 128.*LimitNOFILE/, 'the log tells what to raise';
};

subtest 'too little address space' => sub {
    my $few = PasGate->new(workers => 1, backends => [$pas], start => 0);
    my $status = PasGate::reap(PasGate::spawn($few->{log}, 'prlimit', '--as=200000000', PasGate::binary(), 'run', '-c', $few->{conf}), DEADLINE);
    is $status >> 8, 1, 'exit code';
    like $few->log_text, qr/error .*address space is too low; raise it .*LimitAS/, 'the log tells what to raise';
} if !sanitized();

my $early = $gate->connect;
is $early->request('GET', '/pas/get')->{status}, 200, 'a client that comes before';
my @idle = map { $gate->connect(plain => 1) } 1 .. $most + 20;
ok wait_for { $gate->wait_log(qr/accepting paused: the limit of descriptors is reached/) },
  'others take all connections';
ok wait_for { $early->closed }, 'it waits for nothing, and has made room';
ok wait_for { ($gate->status->{health}{text} // '') =~ /^new clients wait: all connections are in use/ }, 'the status tells';
is $gate->status->{health}{tone}, 'warn', 'in a tone of warning';
is((shift @idle)->request('GET', "/pas/get?n=$_")->{status}, 200, "request $_ of the others") for 1 .. 3;
$pas->kill;
$pas->start;
ok wait_for { (shift @idle)->request('GET', '/pas/get')->{status} == 200 }, 'over a fresh connection to the backend';
for my $path ('/metrics', '/healthz', '/status.json') {
    my $r = eval { $gate->get($path, plain => 1, port => $gate->{status_port}, timeout => DEADLINE) } // {};
    is $r->{status}, 200, "$path meanwhile";
}
rename $gate->{access}, "$gate->{access}.1" or die $!;
$gate->signal('USR1');
ok $gate->wait_log(qr/log files reopened/), 'the logs are rotated';
ok wait_for { (shift @idle)->request('GET', '/pas/get?rotated'); slurp($gate->{access}) =~ /rotated/ }, 'and written anew';
my $metrics = $gate->get('/metrics', plain => 1, port => $gate->{status_port})->{body};
like $metrics, qr/^pasgate_connections_limit $most$/m, 'the limit is a metric';
$_->close for splice @idle, 0, 40;
ok wait_for { (eval { $gate->get('/pas/get')->{status} } // 0) == 200 }, 'new clients come when others have gone';
$_->close for @idle;

ok wait_for { ($gate->status->{health}{text} // '') eq 'all well' }, 'all is well then';
ok wait_for { $gate->status->{totals}{connections} == 0 }, 'with nobody there';
my $reused = sub { $gate->status->{totals}{connections_reused} };
my $before = $reused->();
my @kept = map { my $c = $gate->connect(plain => 1); is $c->request('GET', '/pas/get')->{status}, 200, "client $_"; $c } 1 .. $most + 5;
ok $kept[$_]->closed, "for more than there may be, the one idle for longest goes: $_" for 0 .. 4;
is $kept[5]->request('GET', '/pas/get')->{status}, 200, 'no other';
is $reused->() - $before, 5, 'they are counted';
ok $gate->wait_log(qr/idle client connections closed to make room for others: the limit of descriptors/), 'and told';
$_->close for @kept;
$gate->stop_ok;

done_testing;
