# /dev/shm is small, or full: pages of the table are reserved where failing is an error that says
# how much is missing, so that no process ever dies because one is not there.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use POSIX ();
use Test::More;

# The whole test has a /dev/shm of its own.
if (!$ENV{PASGATE_TEST_SHM}) {
    $ENV{PASGATE_TEST_SHM} = "$> " . ($) + 0);
    exec 'unshare', ($> ? '-Urm' : '-m'), '--', $^X, $0 or die "unshare: $!";
}
# As root of that namespace only, it could not become another user.
my ($user, $group) = split ' ', delete $ENV{PASGATE_TEST_SHM};
if ($user) {
    my $real = PasGate::binary();
    PasGate::sanitized();
    $ENV{PASGATE} = spew(tmp('as-user'), "#!/bin/sh\nexec unshare -U --map-user=$user --map-group=$group -- $real \"\$@\"\n");
    chmod 0755, $ENV{PASGATE};
}

my $pas = PasGate::StandIn->new('pas');

sub shm_size
{
    my ($kib) = @_;
    my ($code, $said) = run_cmd('mount', '-t', 'tmpfs', '-o', "mode=1777,size=${kib}k", 'tmpfs', '/dev/shm');
    die $said if $code;
}

# Starts it with a /dev/shm of so many KiB.
sub spawn_with
{
    my ($gate, $kib) = @_;
    shm_size($kib);
    $gate->{pid} = PasGate::spawn($gate->{log}, PasGate::binary(), 'run', '-c', $gate->{conf});
    PasGate::remember($gate);
}

sub fill
{
    open my $out, '>', '/dev/shm/filler' or die "filler: $!";
    1 while syswrite $out, "\0" x 4096;
}

sub free { unlink '/dev/shm/filler' or die "filler: $!" }

sub workers { return grep { slurp("/proc/$_/comm") =~ /^pasgate:worker/ } PasGate::children($_[0]->{pid}) }

subtest 'too small' => sub {
    for my $case (['not even the table', 1000], ['the table, but no worker', 4000]) {
        my ($what, $kib) = @$case;
        my $gate = PasGate->new(workers => 4, backends => [$pas], start => 0);
        spawn_with($gate, $kib);
        my $status = PasGate::reap($gate->{pid}, DEADLINE);
        PasGate::forget($gate);
        is $status >> 8, 1, "$what: it does not start";
        like $gate->log_text, qr/error .*too little shared memory.* \d+ KiB .*needed.* \d+ KiB are free/,
          "$what: and says what is missing";
        is scalar(grep { / error / } split /\n/, $gate->log_text), 1, "$what: in one line";
    }
};

subtest 'small, then full' => sub {
    my $gate = PasGate->new(workers => 2, backends => [$pas], start => 0);
    spawn_with($gate, 4408);
    ok wait_for { $gate->serving && workers($gate) == 2 }, 'it starts where there is little room' or return;
    ok $gate->wait_log(qr/warn .*little shared memory.*remembers the last \d+ exchanges/), 'and says what it leaves out';
    ok $gate->wait_log(qr/ready: generation 1/), 'ready';

    fill();
    is $gate->get("/pas/get?n=$_")->{status}, 200, "request $_ is served with a full /dev/shm" for 1 .. 5;
    my @before = workers($gate);
    kill 'KILL', $before[0];
    ok wait_for { my @now = workers($gate); @now == 2 && !grep { $_ == $before[0] } @now }, 'a worker that died has a successor';
    ok wait_for { eval { $gate->get('/pas/get')->{status} } // 0 == 200 }, 'which serves';

    my $from = length $gate->log_text;
    $gate->signal('HUP');
    ok $gate->wait_log(qr/reload: too little shared memory for 2 workers and \d+ certificates: \d+ KiB more are needed/, DEADLINE, $from),
      'a reload has no room';
    ok $gate->wait_log(qr/reload failed .*generation 1 stays in use/, DEADLINE, $from), 'the old generation goes on';
    is $gate->get('/pas/get')->{status}, 200, 'and serves';
    kill 0, $gate->{pid} or fail 'the supervisor lives';

    free();
    run_cmd('mount', '-o', 'remount,size=8m', '/dev/shm');
    $gate->signal('HUP');
    ok $gate->wait_log(qr/generation \d+ is live/, DEADLINE, $from), 'with room there is a reload';
    fill();
    is $gate->get("/pas/get?n=$_")->{status}, 200, "request $_ is served by the new generation" for 1 .. 5;
    unlike $gate->log_text, qr/signal 7|Bus error/, 'nobody met a missing page';
    $gate->stop_ok;
};

# The least that two workers need, in KiB: found by asking for it.
sub least
{
    my (%opt) = @_;
    my $gate = PasGate->new(%opt, start => 0);
    spawn_with($gate, 4000);
    PasGate::reap($gate->{pid}, DEADLINE);
    PasGate::forget($gate);
    my ($need, $free) = $gate->log_text =~ /: (\d+) KiB more are needed.* and (\d+) KiB are free/ or die $gate->log_text;
    return 4000 + $need - $free;
}

sub row
{
    my ($gate, $name) = @_;
    return (grep { $_->{name} eq $name } @{ $gate->status->{backends} // [] })[0] // {};
}

# A new session; its cookie.
sub session
{
    my ($gate) = @_;
    my ($cookie) = ($gate->get('/pas/session', plain => 1)->{h}{'set-cookie'} // '') =~ /(JSESSIONID=[^;]*)/;
    return $cookie // die 'no session';
}

sub visit { my ($gate, $cookie) = @_; return $gate->get('/pas/session', plain => 1, headers => [['Cookie', $cookie]])->{status} }

sub metrics { my ($gate) = @_; return $gate->get('/metrics', port => $gate->{status_port}, plain => 1)->{body} // '' }

sub said { my ($gate, @cmd) = @_; return ($gate->cli(@cmd))[1] }

subtest 'smaller still: sessions' => sub {
    my %opt = (workers => 2, backends => [$pas], pool => 'session_idle = "2s"; drain_timeout = "60s";');
    my $least = least(%opt);

    my $few = PasGate->new(%opt, start => 0);
    spawn_with($few, $least + 2 * 8);
    ok $few->wait_log(qr/ready: generation 1/), 'it starts with few bits' or return;
    like $few->log_text, qr/warn .*the last 0 exchanges of a backend instead of \d+, and counts sessions in (?:64|128|256) bits per backend instead of 1024: no more than \d+ are told/,
      'and says what that means';
    ok $few->wait_health('pas', 'up'), 'up';
    ok wait_for { session($few); (row($few, 'pas')->{sessions} // 0) >= 3 }, 'sessions are counted in them';
    unlike said($few, 'status'), qr/not counted/, 'status has nothing to say';
    $few->stop_ok;

    my $gate = PasGate->new(%opt, start => 0);
    spawn_with($gate, $least);
    ok $gate->wait_log(qr/ready: generation 1/), 'it starts without any' or return;
    ok $gate->wait_log(qr/warn .*sessions are not counted: a drain still waits for them/), 'and says what that means';
    ok $gate->wait_health('pas', 'up'), 'up';
    is row($gate, 'pas')->{sessions}, 0, 'no session is live: that is known';
    fill();
    my $cookie = session($gate);
    ok wait_for { visit($gate, $cookie); my $told = row($gate, 'pas'); exists $told->{sessions} && !defined $told->{sessions} },
      'one is: status.json has no number';
    like said($gate, 'status'), qr/^sessions are not counted: \/dev\/shm is too small/m, 'status says why';
    ok wait_for { visit($gate, $cookie); said($gate, 'why', 'pas') =~ /^sessions are not counted: \/dev\/shm is too small/m }, 'why, too';
    ok wait_for { visit($gate, $cookie); metrics($gate) =~ /^pasgate_backend_sessions\{.*\} NaN$/m }, 'the metrics have no number';

    is +($gate->cli('drain', 'pas'))[0], 0, 'drain';
    my $failed = 0;
    for (1 .. 25) { # longer than twice session_idle
        $failed += visit($gate, $cookie) != 200;
        select undef, undef, undef, 0.2;
    }
    is $failed, 0, 'the session goes on';
    is row($gate, 'pas')->{drain}, 'draining', 'and the drain waits for it';
    like row($gate, 'pas')->{progress}, qr/^draining: 0 in flight, sessions not counted, \d+ s left$/, 'and says how far';
    ok wait_for { row($gate, 'pas')->{drain} eq 'empty' }, 'when it is over the drain ends, long before drain_timeout';
    $gate->stop_ok;
    free();
};

done_testing;
