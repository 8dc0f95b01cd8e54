# The supervisor: children that are killed, reloads, signals, the end.
use strict;
use warnings;
use lib 't/lib';
use JSON::PP;
use PasGate;
use Test::More;
use Time::HiRes qw(time);

my @pas  = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my $gate = PasGate->new(workers => 3, backends => \@pas);

sub child
{
    my ($kind, $slot) = @_;
    my ($row) = grep { $_->{kind} eq $kind && ($_->{slot} // 0) == $slot && ($_->{state} // '') eq 'running' }
      @{ $gate->status->{children} // [] };
    return $row ? $row->{pid} : 0;
}

# Kills a child and waits for its successor; the seconds that took, or undef.
sub kill_child
{
    my ($kind, $slot) = @_;
    my $pid = wait_for { child($kind, $slot) } or return undef;
    my $start = time;
    kill 'KILL', $pid;
    return wait_for { my $new = child($kind, $slot); $new && $new != $pid } ? time - $start : undef;
}

subtest 'what runs' => sub {
    is slurp($gate->{pidfile}) + 0, $gate->{pid}, 'the pidfile';
    my %kinds;
    $kinds{ $_->{kind} }++ for grep { $_->{pid} } @{ $gate->status->{children} };
    is "$kinds{worker} $kinds{healthd} $kinds{acmed}", '3 1 1', 'three workers, healthd, acmed';
    like +($gate->cli('status'))[1], qr/pas1.*pas2/s, 'status for people';
};

subtest 'a second one refuses' => sub {
    my ($code, $out) = run_cmd('timeout', 10, PasGate::binary(), 'run', '-c', $gate->{conf});
    isnt $code, 0, 'by its exit code';
    isnt $code, 124, 'at once';
    is $gate->get('/pas/get')->{status}, 200, 'and the first serves on';
};

subtest 'a worker is killed' => sub {
    my @conn = map { $gate->connect } 1 .. 36;
    my $n = 0;
    $_->request('GET', '/pas/get?conn=' . $n++) for @conn;
    my %slot;
    wait_for {
        for ($gate->access) {
            $slot{$1} = $_->{worker} if ($_->{target} // $_->{path} // '') =~ /conn=(\d+)/;
        }
        keys %slot == @conn;
    };
    is scalar keys %slot, scalar @conn, 'the log tells the worker of each connection';
    my $load = PasGate::Load->new($gate, clients => 4, close => 1);
    my $took = kill_child('worker', 1);
    ok defined $took, sprintf 'it is back after %.1f s', $took // 0;
    cmp_ok $took // 99, '<', sanitized() ? 10 : 2, 'which is soon';
    my (@lost, @kept);
    for my $i (0 .. $#conn) {
        my $r = $conn[$i]->request('GET', '/pas/get');
        push @{ ($slot{$i} // -1) == 1 ? \@lost : \@kept }, $r->{status};
    }
    is_deeply [grep { $_ != 200 } @kept], [], 'no connection of another worker is lost (' . @kept . ')';
    my $sum = $load->stop;
    cmp_ok scalar @{ $sum->{failures} }, '<=', 4, "of $sum->{done} requests, those that it had in hand";
    diag explain $sum->{failures} if @{ $sum->{failures} } > 4;
};

subtest 'healthd and acmed are killed' => sub {
    for my $kind (qw(healthd acmed)) {
        my $load = PasGate::Load->new($gate, clients => 4);
        my $took = kill_child($kind, 0);
        ok defined $took, sprintf '%s is back after %.1f s', $kind, $took // 0;
        $load->stop_ok;
    }
};

subtest 'a hundred reloads under load' => sub {
    my $load  = PasGate::Load->new($gate, clients => 2);
    my $fresh = PasGate::Load->new($gate, clients => 2, close => 1);
    my $post  = PasGate::Load->new($gate, clients => 1, method => 'POST', path => '/pas/upload', body => 'x' x 40000);
    my %codes;
    for (1 .. 100) {
        my ($code, $out) = $gate->cli('reload');
        $codes{$code}++;
        diag $out if $code;
    }
    is_deeply \%codes, { 0 => 100 }, 'each was told to be good';
    for ($load, $fresh, $post) {
        $_->stop_ok;
    }
    ok wait_for { my @pids = PasGate::children($gate->{pid}); @pids == 5 }, 'and the old processes are gone';
};

subtest 'a reload takes the new' => sub {
    my $third = PasGate::StandIn->new('pas3');
    push @pas, $third;
    $gate->write_config;
    my ($code, $out) = $gate->cli('reload');
    is $code, 0, 'good' or diag $out;
    my %by;
    wait_for { $by{ $gate->get('/pas/get')->{h}{'x-instance'} // '' }++; $by{pas3} };
    ok $by{pas3}, 'the third one serves';
};

subtest 'a reload with a mistake keeps the old' => sub {
    my $good = slurp($gate->{conf});
    spew($gate->{conf}, $good =~ s/workers = 3/wrokers = 3/r =~ s/backends = /backend = /r);
    my $from = length $gate->log_text;
    my @before = sort PasGate::children($gate->{pid});
    my ($code, $out) = $gate->cli('reload');
    is $code, 78, 'the exit code' or diag $out;
    like $out, qr/pasgate\.conf:1: .*wrokers.*workers/, 'the first, with file and line';
    like $out, qr/pasgate\.conf:\d+: .*backend/, 'the second';
    ok $gate->wait_log(qr/wrokers/, undef, $from) || $gate->signal('HUP') && $gate->wait_log(qr/wrokers/, undef, $from),
      'the log has it';
    is $gate->get('/pas/get')->{status}, 200, 'the old serves on';
    is_deeply [sort PasGate::children($gate->{pid})], \@before, 'in the same processes';
    like encode_json($gate->status), qr/wrokers|failed|error|kept/i, 'and status tells';
    spew($gate->{conf}, $good);
    is +($gate->cli('reload'))[0], 0, 'mended';
};

subtest 'USR1 opens the logs again' => sub {
    $gate->get('/pas/get?before');
    wait_for { slurp($gate->{access}) =~ /before/ };
    rename $gate->{access}, "$gate->{access}.1" or die $!;
    $gate->signal('USR1');
    ok wait_for { -e $gate->{access} }, 'a new file';
    ok wait_for { $gate->get('/pas/get?after'); slurp($gate->{access}) =~ /after/ }, 'is written to';
};

subtest 'TERM lets requests end' => sub {
    my @busy = map { $gate->connect } 1 .. 6;
    $_->write($_->build('GET', '/pas/delay?ms=1500')) for @busy;
    my $idle = $gate->connect;
    is $idle->request('GET', '/pas/get')->{status}, 200, 'an idle one, too';
    wait_for { ($gate->status->{totals}{exchanges} // 6) >= 6 } 3;
    $gate->signal('TERM');
    ok wait_for { !eval { $gate->connect->close; 1 } }, 'new connections are refused';
    is join(' ', map { $_->response('GET')->{status} } @busy), '200 200 200 200 200 200', 'the running ones end well';
    $gate->stop_ok('and then it is over');
    ok !-e $gate->{pidfile}, 'the pidfile is gone';
};

subtest 'QUIT and INT' => sub {
    $gate->start;
    $gate->stop_ok('QUIT', 'QUIT');
    $gate->start;
    my $c = $gate->connect;
    $c->write($c->build('GET', '/pas/delay?ms=60000'));
    $gate->stop_ok('INT does not wait', 'INT', 10);
    $gate->start;
    $c = $gate->connect;
    $c->write($c->build('GET', '/pas/delay?ms=60000'));
    wait_for { grep { $_->ctl('') =~ /"open":[1-9]/ } @pas };
    $gate->signal('TERM');
    wait_for { !eval { $gate->connect->close; 1 } };
    $gate->stop_ok('nor does a second TERM', 'TERM', 10);
};

subtest 'the end of the supervisor ends its children' => sub {
    $gate->start;
    my $pid  = delete $gate->{pid};
    PasGate::forget($gate);
    my @kids = PasGate::children($pid);
    kill 'KILL', $pid;
    PasGate::reap($pid, 5);
    ok wait_for { !grep { -e "/proc/$_" && slurp("/proc/$_/stat") !~ /\) Z/ } @kids }, 'none is left';
    $gate->start;
    is $gate->get('/pas/get')->{status}, 200, 'and what it left behind does not disturb the next';
};

$gate->stop_ok;
done_testing;
