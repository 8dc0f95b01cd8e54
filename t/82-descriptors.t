# Clients take all connections that there may be, where the host gives few descriptors: they are
# still served by backends, and who looks whether all is well is answered.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time);

my $pas  = PasGate::StandIn->new('pas');
my $gate = PasGate->new(workers => 1, backends => [$pas], start => 0, global => 'limits = { min_body_rate = "off"; }; timeouts = { body = "300s"; };');
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

# Enough for the supervisor, too few for its children.
subtest 'too few for a worker' => sub {
    my $few = PasGate->new(workers => 2, backends => [$pas], start => 0);
    my ($said, $nofile);
    for ($nofile = 80; $nofile < 128 && !$said; $nofile += 2) {
        my $from = length $few->log_text;
        my $pid = PasGate::spawn($few->{log}, 'prlimit', "--nofile=$nofile:$nofile", PasGate::binary(), 'run', '-c', $few->{conf});
        wait_for { substr($few->log_text, $from) =~ /error|ready: / };
        ($said) = substr($few->log_text, $from) =~ /(error .*cannot start \w+ ?\d*[: (].*)/;
        undef $said if ($said // '') =~ /cannot start: /;
        kill 'KILL', $pid;
        PasGate::reap($pid, DEADLINE);
    }
    like $said // '', qr/too few descriptors: the limit is \d+; pasgate needs some 128.*LimitNOFILE/, 'the log tells what to raise' or diag $few->log_text;
};

subtest 'too little address space' => sub {
    my $few = PasGate->new(workers => 1, backends => [$pas], start => 0);
    my $status = PasGate::reap(PasGate::spawn($few->{log}, 'prlimit', '--as=200000000', PasGate::binary(), 'run', '-c', $few->{conf}), DEADLINE);
    is $status >> 8, 1, 'exit code';
    like $few->log_text, qr/error .*address space is too low; raise it .*LimitAS/, 'the log tells what to raise';

    # Too little even for the configuration, which is good: not 78, with which systemd gives up.
    for my $verb ('run', 'check') {
        my ($code, $out) = run_cmd('prlimit', '--as=100000000', PasGate::binary(), $verb, '-c', $few->{conf});
        is $code, 1, "$verb: exit code";
        like $out, qr/out of memory: .*LimitAS/, "$verb: what to raise";
    }
} if !sanitized();

my $early = $gate->connect;
is $early->request('GET', '/pas/get')->{status}, 200, 'a client that comes before';
# Each has sent a whole head, so that it makes no room for others; the last byte of its body is due.
my @busy = map { my $c = $gate->connect(plain => 1); $c->write($c->build('POST', "/pas/upload?n=$_", headers => [['Content-Length', 1]])); $c } 1 .. $most + 20;
my $goes_on = sub { my $c = shift @busy; $c->write('x'); my $r = $c->response('POST'); $c->close; return $r->{status} };
ok wait_for { $gate->wait_log(qr/accepting paused: the limit of descriptors is reached/) },
  'others take all connections';
ok wait_for { $early->closed }, 'it waits for nothing, and has made room';
ok wait_for { ($gate->status->{health}{text} // '') =~ /^new clients wait: all connections are in use/ }, 'the status tells';
is $gate->status->{health}{tone}, 'warn', 'in a tone of warning';
is $goes_on->(), 200, "request $_ of the others" for 1 .. 3;
$pas->kill;
$pas->start;
ok wait_for { $goes_on->() == 200 }, 'over a fresh connection to the backend';
for my $path ('/metrics', '/healthz', '/status.json') {
    my $r = eval { $gate->get($path, plain => 1, port => $gate->{status_port}, timeout => DEADLINE) } // {};
    is $r->{status}, 200, "$path meanwhile";
}
rename $gate->{access}, "$gate->{access}.1" or die $!;
$gate->signal('USR1');
ok $gate->wait_log(qr/log files reopened/), 'the logs are rotated';
ok wait_for { $goes_on->(); slurp($gate->{access}) =~ m{/pas/upload} }, 'and written anew';
my $metrics = $gate->get('/metrics', plain => 1, port => $gate->{status_port})->{body};
like $metrics, qr/^pasgate_connections_limit $most$/m, 'the limit is a metric';
$_->close for splice @busy, 0, 40;
ok wait_for { (eval { $gate->get('/pas/get')->{status} } // 0) == 200 }, 'new clients come when others have gone';
$_->close for @busy;

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
