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

# Starts it, and returns how long that took: between it and 'serves' there is nothing but work.
my @ordinary;

sub timed_start
{
    my $start = time;
    $gate->start;
    return time - $start;
}

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
    push @ordinary, timed_start();
    my $busy = $gate->connect;
    $busy->write($busy->build('GET', '/pas/delay?ms=1500'));
    wait_for { $pas->ctl('') =~ /"open":[1-9]/ };
    $gate->signal('TERM');
    # When both workers have closed their sockets, nobody is let in, while a request runs yet. Who
    # comes as the first one closes its own is refused, the next one goes to the other.
    ok wait_for { !grep { eval { $gate->connect(plain => 1)->close; 1 } } 1 .. 5 }, 'refused';
    is scalar(grep { eval { $gate->connect(plain => 1)->close; 1 } } 1 .. 50), 0, 'none is let in';
    is $busy->response('GET')->{status}, 200, 'what runs ends well';
    $gate->stop_ok;
};

subtest 'a reload drops a listener' => sub {
    $gate->write_config(listen => qq({ address = "127.0.0.1:$extra"; }));
    push @ordinary, timed_start();
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

subtest 'the supervisor is killed while a client downloads' => sub {
    my $size = 64 << 20;    # more than sockets and buffers take: it runs until the client reads
    my $busy = $gate->connect(plain => 1);
    $busy->write($busy->build('GET', "/pas/bytes?n=$size"));
    wait_for { $pas->ctl('') =~ /"open":[1-9]/ };
    my ($pids, @c) = queue_clients(8);
    my $alive = sub { return grep { -e "/proc/$_" && slurp("/proc/$_/stat") !~ /\) Z/ } @_ };
    my @kids;
    my $killed = sub {
        my $pid = delete $gate->{pid};
        push @kids, PasGate::children($pid);
        PasGate::forget($gate);
        kill 'KILL', $pid;
        PasGate::reap($pid, 5);
    };
    # A moment in which the machine did something else may lengthen one start, not all of them.
    my $most = 3 * (sort { $a <=> $b } @ordinary)[-1];
    my @took;
    for (1 .. 4) {
        $killed->();
        kill 'CONT', @$pids;
        push @took, timed_start();    # beside the old workers
        last if $took[-1] <= $most;
    }
    ok scalar($alive->(@$pids)), 'an old worker runs on';
    cmp_ok $took[-1], '<=', $most, 'a new service starts beside it as it does alone'
      or diag "seconds: @took; alone: @ordinary";
    is $gate->get('/pas/get')->{status}, 200, 'it serves';
    is statuses(@c), join(' ', (200) x 8), 'who waited was served by the old workers';
    ok scalar($alive->(@$pids)), 'of which one runs yet';
    is length($busy->response('GET')->{body}), $size, 'until its client has all';
    ok wait_for { !$alive->(@kids) }, 'then they are gone';
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
