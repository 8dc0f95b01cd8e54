# Drills.pm: what happens to the processes of a service on a bad day, done to a running one under
# load. t/66-drills.t does each once; t/soak/soak.pl draws from them for hours.
#
#     my $drills = Drills->new($gate);
#     my ($lost, $wrong) = $drills->run('worker killed');
#
# Each drill ends when the service is as it was before: its children run, each backend is up. It
# returns how many requests it may cost at most, for its load: those that a killed worker had in hand.
# A kept connection that ends before the first byte of a response costs nothing: the client sends
# its request again, as browsers do.
package Drills;
use strict;
use warnings;
use PasGate;
use POSIX ();
use Time::HiRes qw(time sleep);

my %drill = (
    'worker killed'     => sub { $_[0]->kill_one('worker') },
    'healthd killed'    => sub { $_[0]->kill_one('healthd') },
    'acmed killed'      => sub { $_[0]->kill_one('acmed') },
    'killed at a write' => \&killed_at_write,
    'two stand still'   => sub { $_[0]->still('worker', 'healthd') },
    'no new process'    => \&no_fork,
    'no descriptors'    => \&no_descriptors,
    'accept fails'      => \&accept_fails,
    'storm of signals'  => \&signal_storm,
    'reload'            => \&reload,
    'backend killed'    => \&backend_killed,
    'backend hangs'     => sub { $_[0]->backend_mode('hang') },
    'backend fails'     => sub { $_[0]->backend_mode('500') },
);

sub names { return sort keys %drill }

# backends: stand-ins that may be made to fail.
sub new
{
    my ($class, $gate, %opt) = @_;
    return bless { gate => $gate, backends => [], hold => 1, %opt }, $class;
}

# Runs a drill. Returns how many requests it may cost, and what was not as it should be ('': all is
# well).
sub run
{
    my ($self, $name) = @_;
    my $code = $drill{$name} // die "no such drill: $name\n";
    my ($may, $wrong) = eval { $code->($self) };
    return (0, "died: $@") if $@;
    return ($may, join '; ', grep { $_ } $wrong, $self->back);
}

# Waits until it is as before; what is not, in the end.
sub back
{
    my ($self) = @_;
    my $gate = $self->{gate};
    my $left;
    wait_for {
        my $status = $gate->status;
        my @children = grep { ($_->{state} // '') eq 'running' } @{ $status->{children} // [] };
        my @ill = grep { PasGate::health_of($_) !~ /^(?:up|degraded)$/i } @{ $status->{backends} // [] };
        my $workers = grep { $_->{kind} eq 'worker' } @children;
        $left = join ' ', $workers == $gate->{workers} ? () : "$workers workers run",
          (map { my $k = $_; (grep { $_->{kind} eq $k } @children) ? () : "no $k" } qw(healthd acmed)),
          map { "$_->{name} is " . PasGate::health_of($_) } @ill;
        $left eq '';
    } 90;
    return $left;
}

sub running
{
    my ($self, $kind) = @_;
    my @rows = wait_for { scalar grep { $_->{kind} eq $kind && $_->{pid} && $_->{state} eq 'running' } @{ $self->{gate}->status->{children} // [] } }
      ? grep { $_->{kind} eq $kind && $_->{pid} && $_->{state} eq 'running' } @{ $self->{gate}->status->{children} // [] }
      : ();
    die "no $kind runs\n" unless @rows;
    return $rows[rand @rows]{pid};
}

# It has a successor.
sub replaced
{
    my ($self, $pid) = @_;
    return wait_for(sub { !grep { $_ == $pid } PasGate::children($self->{gate}{pid}) }, 40) ? '' : "$pid is still there";
}

sub kill_one
{
    my ($self, $kind) = @_;
    my $pid = $self->running($kind);
    kill 'KILL', $pid;
    return ($kind eq 'worker' ? $self->in_hand : 0, $self->replaced($pid));
}

# What a worker may have in hand under this load.
sub in_hand { return $_[0]{in_hand} // 4 }

# Runs strace with these faults on processes, until code has run.
sub injected
{
    my ($self, $inject, $pids, $code) = @_;
    my $log = tmp('strace.log');
    unlink $log;
    my $pid = PasGate::spawn($log, 'strace', '-qq', '-f', map({ ('-e', $_) } @$inject), '-o', "$log.calls", map { ('-p', $_) } @$pids);
    my $traced = wait_for {
        !grep { slurp("/proc/$_/status") !~ /^TracerPid:\s+[1-9]/m } @$pids
    };
    my $wrong = $traced ? $code->() : 'strace does not attach: ' . slurp($log);
    kill 'TERM', $pid;
    PasGate::reap($pid, 20) // kill 'KILL', $pid;
    return $wrong;
}

# A worker dies at its n-th write, wherever that is.
sub killed_at_write
{
    my ($self) = @_;
    my $pid = $self->running('worker');
    my $n = 1 + int rand 40;
    # Kept connections may all be at another worker, so fresh ones bring it to write.
    my $wrong = $self->injected(["inject=write,writev,sendmsg,sendto:signal=SIGKILL:when=$n"], [$pid], sub {
        wait_for { eval { $self->{gate}->get('/pas/get', plain => 1, timeout => 5) }; !kill 0, $pid } 40;
        $self->replaced($pid);
    });
    return ($self->in_hand, $wrong && "at write $n: $wrong");
}

# They miss their heartbeats, and are killed; a worker's sockets are served by others before.
sub still
{
    my ($self, @kinds) = @_;
    my @pids = map { $self->running($_) } @kinds;
    kill 'STOP', @pids;
    my @wrong = grep { $_ } map { $self->replaced($_) } @pids;
    kill 'CONT', @pids;
    return ($self->in_hand, join '; ', @wrong);
}

# No process can be made when a worker dies: it comes back when one can.
sub no_fork
{
    my ($self) = @_;
    my $gate = $self->{gate};
    my $from = length $gate->log_text;
    my $wrong = $self->injected(['inject=clone,clone3,fork,vfork:error=EAGAIN'], [$gate->{pid}], sub {
        kill 'KILL', $self->running('worker');
        return $gate->wait_log(qr/cannot start|could not be started|Resource temporarily unavailable/, 20, $from) ? '' : 'the log does not say that no process can be made';
    });
    return ($self->in_hand, $wrong);
}

# Workers that get no descriptors for a while: what runs goes on, and who is connected is served by
# the connections to backends that are there. Who needs one more gets 503.
sub no_descriptors
{
    my ($self) = @_;
    my @pids = $self->{gate}->workers;
    my %had;
    for my $pid (@pids) {
        my ($code, $out) = run_cmd('prlimit', '--pid', $pid, '--nofile', '--noheadings', '--output', 'SOFT,HARD');
        ($had{$pid}) = join ':', split ' ', $out;
        my $used = () = glob "/proc/$pid/fd/*";
        run_cmd('prlimit', '--pid', $pid, "--nofile=$used:" . (split /:/, $had{$pid})[1]);
    }
    sleep $self->{hold};
    my $spent = $self->cpu_share(\@pids);
    run_cmd('prlimit', '--pid', $_, "--nofile=$had{$_}") for @pids;
    return ($self->in_hand, $spent);
}

# accept() fails, as when the host has no descriptors left: the listeners pause, and do not spin.
sub accept_fails
{
    my ($self) = @_;
    my @pids = $self->{gate}->workers;
    return (0, $self->injected(['inject=accept4,accept:error=ENFILE'], \@pids, sub {
        sleep $self->{hold};
        return '';
    }));
}

# Processes that spin use most of a core: what these use in a while, if it is that much.
sub cpu_share
{
    my ($self, $pids) = @_;
    my $used = sub { my $sum = 0; $sum += $_ for map { my @f = split ' ', slurp("/proc/$_/stat") =~ s/^.*\) //sr; ($f[11] // 0) + ($f[12] // 0) } @$pids; $sum };
    my ($before, $start) = ($used->(), time);
    sleep $self->{hold};
    my $share = ($used->() - $before) / POSIX::sysconf(POSIX::_SC_CLK_TCK()) / (time - $start) / @$pids;
    return $share > 0.6 ? sprintf('%.0f %% of a core are used', 100 * $share) : '';
}

# A thousand signals that mean something, in any order, and a reload that comes into force behind.
sub signal_storm
{
    my ($self) = @_;
    my $gate = $self->{gate};
    for (1 .. 1000) { kill((qw(HUP USR1 HUP CHLD))[rand 4], $gate->{pid}) or return (0, 'the supervisor is gone') }
    my ($code, $out);
    wait_for { ($code, $out) = $gate->cli('reload'); $code == 0 } 60;
    return (0, $code ? "the reload behind it ends with $code: $out" : '');
}

sub reload
{
    my ($self) = @_;
    my ($code, $out);
    wait_for { ($code, $out) = $self->{gate}->cli('reload'); $code != 75 } 60;
    return (0, $code ? "it ends with $code: $out" : '');
}

sub some_backend
{
    my ($self) = @_;
    my @all = @{ $self->{backends} };
    return @all ? $all[rand @all] : die "no backends are given\n";
}

# What it had in hand cannot be sent again if its first bytes were out.
sub backend_killed
{
    my ($self) = @_;
    my $one = $self->some_backend;
    $one->kill;
    sleep $self->{hold};
    $one->start;
    return (0, '');
}

# A GET is hedged or sent again; one that is answered with 500 is not, until that is found.
sub backend_mode
{
    my ($self, $mode) = @_;
    my $one = $self->some_backend;
    $one->ctl("mode=$mode");
    sleep 3 * $self->{hold};
    $one->ctl('mode=ok');
    return ($mode eq '500' ? 12 : 0, '');
}

# Requests over HTTP/2 at a fixed rate, one after another on one connection, by curl.
package Drills::Http2;
use PasGate;

my $count = 0;

sub new
{
    my ($class, $gate, $rate, $path) = @_;
    my $self = bless { file => tmp('http2-' . ++$count) }, $class;
    $path //= '/pas/get';
    $path .= $path =~ /[?]/ ? '&' : '?';
    $self->{pid} = PasGate::spawn($self->{file}, 'curl', '-sk', '--http2', '--rate', "$rate/s", '--max-time', 20, '-o', '/dev/null',
        '-w', '%{http_version} %{http_code} %{time_total} %{errormsg}\n', "https://127.0.0.1:$gate->{tls}${path}i=[1-9999999]");
    PasGate::remember($self);
    return $self;
}

sub lines  { return slurp($_[0]{file}) =~ /^(.*)\n/mg }    # the last one may be half written
sub failed { return scalar grep { !/^2 200 / } $_[0]->lines }
sub errors { my @bad = grep { !/^2 200 / } $_[0]->lines; return join "\n", splice @bad, 0, 10 }

# Ends it: (requests, failed).
sub stop
{
    my ($self) = @_;
    PasGate::forget($self);
    my $pid = delete $self->{pid};
    kill 'TERM', $pid;
    PasGate::reap($pid, 10);
    my @all = $self->lines;
    return (scalar @all, $self->failed);
}

sub end { my ($self) = @_; $self->stop if $self->{pid}; return 1 }

1;
