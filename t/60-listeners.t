# Listening sockets: no client waits in one that nobody serves.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time);

my $pas   = PasGate::StandIn->new('pas1');
my $extra = free_port;
my $gate  = PasGate->new(workers => 2, backends => [$pas], global => 'stop_timeout = "20s"; '
      . qq(acme = { store = "@{[tmp('store')]}"; };));

sub workers { return map { $_->{pid} } grep { $_->{kind} eq 'worker' && $_->{state} eq 'running' } @{ $gate->status->{children} // [] } }

sub stopped { return slurp("/proc/$_[0]/stat") =~ /\) T/ }

# Clients that connect, and ask, while the workers stand still: they wait in the sockets.
sub queue_clients
{
    my ($n, @opt) = @_;
    my @pids = workers();
    kill 'STOP', @pids;
    wait_for { !grep { !stopped($_) } @pids } or die 'they do not stop';
    my @c = map { $gate->connect(plain => 1, @opt) } 1 .. $n;
    $_->write($_->build('GET', '/pas/get')) for @c;
    return (\@pids, @c);
}

sub statuses { return join ' ', map { $_->response('GET')->{status} } @_ }

subtest 'TERM: who waits in a socket is served' => sub {
    my ($pids, @c) = queue_clients(8);
    my $from = length $gate->log_text;
    $gate->signal('TERM');
    $gate->wait_log(qr/stops gracefully/, undef, $from);
    kill 'CONT', @$pids;
    is statuses(@c), join(' ', (200) x 8), 'all of them';
    ok wait_for { !eval { $gate->connect(plain => 1)->close; 1 } }, 'new ones are refused';
    $gate->stop_ok;
};

subtest 'TERM: nobody connects in vain' => sub {
    $gate->start;
    my $busy = $gate->connect;
    $busy->write($busy->build('GET', '/pas/delay?ms=1500'));
    wait_for { $pas->ctl('') =~ /"open":[1-9]/ };
    $gate->signal('TERM');
    # From the first one that is refused on, all are, while a request runs yet.
    ok wait_for { !eval { $gate->connect(plain => 1)->close; 1 } }, 'refused';
    is scalar(grep { eval { $gate->connect(plain => 1)->close; 1 } } 1 .. 50), 0, 'none is let in';
    is $busy->response('GET')->{status}, 200, 'what runs ends well';
    $gate->stop_ok;
};

subtest 'a reload drops a listener' => sub {
    $gate->write_config(listen => qq({ address = "127.0.0.1:$extra"; }));
    $gate->start;
    my $busy = $gate->connect(plain => 1, port => $extra);
    $busy->write($busy->build('GET', '/pas/delay?ms=4000'));
    wait_for { $pas->ctl('') =~ /"open":[1-9]/ };
    my ($pids, @c) = queue_clients(8, plain => 1, port => $extra);
    $gate->write_config(listen => '');
    my $from = length $gate->log_text;
    $gate->signal('HUP');
    ok $gate->wait_log(qr/generation 2 is live/, undef, $from), 'reloaded';
    kill 'CONT', @$pids;
    is statuses(@c), join(' ', (200) x 8), 'who waited there is served';
    ok wait_for { !eval { $gate->connect(plain => 1, port => $extra)->close; 1 } }, 'new ones are refused';
    is scalar(grep { eval { $gate->connect(plain => 1, port => $extra)->close; 1 } } 1 .. 20), 0, 'all of them';
    $gate->write_config(listen => qq({ address = "127.0.0.1:$extra"; }));
    is +($gate->cli('reload'))[0], 0, 'it comes back';
    is $gate->request('GET', '/pas/get', plain => 1, port => $extra)->{status}, 200, 'and serves, beside those that drain';
    is $busy->response('GET')->{status}, 200, 'what ran ended well';
};

subtest 'the supervisor is killed while a request runs' => sub {
    my $busy = $gate->connect;
    $busy->write($busy->build('GET', '/pas/delay?ms=4000'));
    wait_for { $pas->ctl('') =~ /"open":[1-9]/ };
    my ($pids, @c) = queue_clients(8);
    my $pid  = delete $gate->{pid};
    my @kids = PasGate::children($pid);
    PasGate::forget($gate);
    kill 'KILL', $pid;
    PasGate::reap($pid, 5);
    kill 'CONT', @$pids;
    my $start = time;
    $gate->start;    # beside the old workers
    my $took = time - $start;
    cmp_ok $took, '<', sanitized() ? 15 : 10, sprintf 'a new service serves after %.1f s', $took;
    is $gate->get('/pas/get')->{status}, 200, 'it does';
    is statuses(@c), join(' ', (200) x 8), 'who waited was served by the old workers';
    is $busy->response('GET')->{status}, 200, 'and what ran ended well';
    ok wait_for { !grep { -e "/proc/$_" && slurp("/proc/$_/stat") !~ /\) Z/ } @kids }, 'they are gone';
};

$gate->stop_ok;

subtest 'whom the kernel ends first' => sub {
    $gate->start;
    my ($own) = slurp('/proc/self/oom_score_adj') =~ /(-?\d+)/;
    my %adj = map { $_->{kind} => slurp("/proc/$_->{pid}/oom_score_adj") + 0 } grep { $_->{pid} } @{ $gate->status->{children} };
    my $supervisor = slurp("/proc/$gate->{pid}/oom_score_adj") + 0;
    cmp_ok $supervisor, '<=', $own, "the supervisor: $supervisor";
    cmp_ok $adj{$_}, '>', $supervisor, "$_ before it: $adj{$_}" for qw(worker healthd acmed);
    $gate->stop_ok;
};

done_testing;
