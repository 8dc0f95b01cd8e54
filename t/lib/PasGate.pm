# PasGate.pm: starts pasgate, stand-ins and scripted backends for the integration tests, each test
# with its own ports and its own directory, and ends what it started.
#
#     use lib 't/lib';
#     use PasGate;
#
#     my @pas  = map { PasGate::StandIn->new("pas$_") } 1 .. 3;
#     my $gate = PasGate->new(backends => \@pas);
#     is $gate->get('/pas/get')->{status}, 200, 'served';
#     $gate->stop_ok;
#     done_testing;
#
# Environment: PASGATE (the binary; default $TOOLS/pasgate), TOOLS (the directory of pas-httpbin and
# other tools; default build), KEEP=1 (keeps the test's directory and prints its path).
#
# Nothing here waits for a fixed time: wait_for() takes a condition and a deadline. Deadlines
# are generous, for a sanitized build on a busy machine; they only limit how long a failure takes.
package PasGate;
use strict;
use warnings;
use Exporter 'import';
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use PasGate::Rig qw(:DEFAULT test_tools binary for_all spawn reap remember forget);
use POSIX qw(WNOHANG);
use Test::More ();
use Time::HiRes qw(time);

our @EXPORT = @PasGate::Rig::EXPORT;

my $gates = 0;

# ---- pasgate

# Options, all with defaults:
#   backends  [stand-ins, or hashes with name, port and more settings]
#   workers   1
#   pool      settings of the pool, libconfig text: 'balance = "roundrobin";'
#   more_pools  [content of further pools, libconfig text]
#   check     settings of its check: 'type = "tcp"; interval = "200ms";'
#   routes    content of routes; { path = "/pas"; pool = "pas"; upstream_path = "/web"; }
#   listen    further listeners, libconfig text
#   certs     content of certificates; one from make_cert for localhost
#   global    more settings of the top level
#   config    the whole text, instead of all the above
#   start     0: only write the file
sub new
{
    my ($class, %opt) = @_;
    my ($tls, $plain, $status) = free_ports(3);
    my $self = bless {
        workers => 1, more_pools => [], pool => '', listen => '', global => '', backends => [],
        check => 'type = "tcp"; interval = "250ms"; fast_interval = "100ms"; '
          . 'down_interval = "250ms"; timeout = "2s"; rise = 1; fall = 2;',
        routes => '{ path = "/pas"; pool = "pas"; upstream_path = "/web"; },'
          . ' { path = "/"; pool = "pas"; }',
        %opt,
        tls => $tls, plain => $plain, status_port => $status,
    }, $class;
    my $n = ++$gates;
    $self->{dir} = tmp("gate$n");
    mkdir $self->{dir} or die "$self->{dir}: $!";
    chmod 0777, $self->{dir};
    @$self{qw(conf log access pidfile)} = map { "$self->{dir}/$_" } qw(pasgate.conf pasgate.log access.log pasgate.pid);
    if (!$self->{config} && !$self->{certs}) {
        my ($chain, $key) = make_cert("gate$n", 'localhost', '127.0.0.1');
        $self->{certs} = qq({ names = [ "localhost" ]; chain = "$chain"; key = "$key"; });
    }
    $self->write_config;
    $self->start if $opt{start} // 1;
    return $self;
}

# The text of the configuration, from the options; options that are given here are kept.
sub write_config
{
    my ($self, %change) = @_;
    $self->{$_} = $change{$_} for keys %change;
    return spew($self->{conf}, $self->{config}) if $self->{config};
    my $n = 0;
    my $backends = join ",\n        ", map {
        my %b = ref $_ eq 'HASH' ? %$_ : (name => $_->{id}, port => $_->{port});
        $b{address} = "unix:$_->{socket}" if ref $_ ne 'HASH' && $_->{socket};
        my ($name, $port) = (delete $b{name} // 'b' . ++$n, delete $b{port});
        my $at = delete $b{address} // "127.0.0.1:$port";
        my $more = join ' ', map { "$_ = $b{$_};" } sort keys %b;
        qq({ name = "$name"; address = "$at"; $more });
    } @{ $self->{backends} };
    my $more = join '', map { ",\n    { $_ }" } @{ $self->{more_pools} };
    my $pools = @{ $self->{backends} } ? <<"END" : '';
pools = ( { name = "pas"; $self->{pool}
    @{[ $self->{pool} =~ /check = / ? '' : "check = { $self->{check} };" ]}
    backends = (
        $backends ); }$more );
routes = ( $self->{routes} );
END
    my $listen = join ",\n    ", qq({ address = "127.0.0.1:$self->{tls}"; tls = true; }),
      qq({ address = "127.0.0.1:$self->{plain}"; }),
      qq({ address = "127.0.0.1:$self->{status_port}"; serve = "status"; }),
      $self->{listen} || ();
    # Its own store: two services on one store would delete each other's generations.
    my $store = $self->{global} =~ /\bacme\b/ ? '' : qq(acme = { store = "$self->{dir}/store"; };\n);
    return spew($self->{conf}, <<"END");
workers = $self->{workers};
pidfile = "$self->{pidfile}";
log = { level = "debug"; format = "text"; access = "$self->{access}"; };
listen = (
    $listen );
certificates = ( $self->{certs} );
$store$self->{global}
$pools
END
}

# Starts it and waits until it serves; if it does not, dies with its log.
sub start
{
    my ($self) = @_;
    $self->{pid} = spawn($self->{log}, binary(), 'run', '-c', $self->{conf});
    remember($self);
    my $ready = wait_for {
        waitpid($self->{pid}, WNOHANG) == $self->{pid} and do { delete $self->{pid}; return -1 };
        $self->serving;
    };
    if (!$ready || $ready < 0) {
        my $why = $ready ? sprintf('it ended with status 0x%x', $?) : 'not in time';
        Test::More::diag("pasgate does not serve: $why");
        $self->tell;
        die "pasgate does not serve\n";
    }
    # A worker serves before the supervisor knows, and before the status shows it.
    wait_for { %{ $self->status } } 5;
    return $self;
}

# Ready: a backend responds to a request over TLS (or there is no backend, and a listener accepts).
sub serving
{
    my ($self) = @_;
    my $c = eval { $self->connect(plain => $self->{config}, timeout => 2) } or return 0;
    return 1 if !@{ $self->{backends} } || $self->{config} || $self->{no_probe};
    my $r = eval { $c->request('GET', $self->{probe} // '/pas/get', timeout => 3) };
    return $r && $r->{status} < 500 ? 1 : 0;
}

sub signal
{
    my ($self, $signal) = @_;
    return kill $signal, $self->{pid};
}

# Stops it with TERM, or $signal. Counts as a test: exit code 0, no report of a sanitizer.
sub stop_ok
{
    my ($self, $name, $signal, $seconds) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $problem = $self->finish($signal // 'TERM', $seconds);
    return Test::More::ok(!$problem, $name // 'pasgate ends as it should')
      || do { Test::More::diag($problem); $self->tell; 0 };
}

# Ends it; returns what went wrong, or ''.
sub finish
{
    my ($self, $signal, $seconds) = @_;
    my $pid = delete $self->{pid} // return $self->complaints;
    forget($self);
    my %outlives = map { ($_ => 1) } $self->{outlives} // ();
    my @kids = grep { !$outlives{$_} } children($pid);
    kill $signal, $pid;
    my $status = reap($pid, $seconds // DEADLINE);
    my $problem = '';
    if (!defined $status) {
        $problem = "not ended by $signal; ";
        kill 'KILL', $pid;
        reap($pid, 5);
    } elsif ($status) {
        $problem = sprintf 'wait status 0x%x after %s; ', $status, $signal;
    }
    my @left = grep { !wait_for(sub { !-e "/proc/$_" || slurp("/proc/$_/stat") =~ /\) Z/ }, 5) } @kids;
    if (@left) {
        $problem .= "processes left behind: @left; ";
        kill 'KILL', @left;
    }
    return $problem . $self->complaints;
}

sub end
{
    my ($self) = @_;
    my $problem = $self->finish('TERM') or return 1;
    Test::More::diag("pasgate: $problem");
    $self->tell;
    return 0;
}

# Sanitizer reports and failed CHECK()s in its log, as one string.
sub complaints
{
    my ($self) = @_;
    my @lines = grep {
        /(?:Address|Leak|UndefinedBehavior)Sanitizer|runtime error:|CHECK failed|stack smashing/
    } split /\n/, slurp($self->{log});
    return join "\n", @lines > 5 ? @lines[0 .. 4] : @lines;
}

# Prints the end of its log.
sub tell
{
    my ($self) = @_;
    my @lines = split /\n/, slurp($self->{log});
    @lines = @lines[-60 .. -1] if @lines > 60;
    Test::More::diag(join "\n", "-- end of $self->{log}:", @lines, '--');
}

sub log_text { return slurp($_[0]{log}) }

# Waits for a matching line in the log; returns it.
sub wait_log
{
    my ($self, $re, $seconds, $from) = @_;
    return wait_for { (grep { $_ =~ $re } split /\n/, substr($self->log_text, $from // 0))[0] } $seconds;
}

# The lines of the access log, decoded; with $n, waits for that many.
sub access
{
    my ($self, $n, $seconds) = @_;
    my @lines;
    wait_for {
        @lines = split /^/, slurp($self->{access});
        pop @lines if @lines && $lines[-1] !~ /\n\z/;
        @lines >= ($n // 0);
    } $seconds;
    return map { eval { decode_json($_) } // { bad_line => $_ } } @lines;
}

# Runs one subcommand: (exit code, output).
sub cli
{
    my ($self, $verb, @arg) = @_;
    return run_cmd(binary(), $verb, '-c', $self->{conf}, @arg);
}

# The status, decoded. Waiting asks for it many times, so this uses a small program of the plain
# build with the same code (t/tools/status.c). Tests of the command itself use cli().
sub status
{
    my ($self) = @_;
    my $small = tool('t/tools/status');
    my ($code, $out) = run_cmd(-x $small ? ($small, $self->{conf}) : (binary(), 'status', '-c', $self->{conf}, '--json'));
    return $code <= 1 ? eval { decode_json($out) } // {} : {};    # 1: also when a pool has no healthy backend
}

# Waits until the status of backend $name has this health; returns its row.
sub wait_health
{
    my ($self, $name, $want, $seconds) = @_;
    my $row;
    my $held = wait_for {
        ($row) = grep { $_->{name} eq $name } @{ $self->status->{backends} // [] };
        $row && health_of($row) =~ /^(?:$want)$/i;
    } $seconds // 3 * DEADLINE;    # an ejection takes 10 s, its probation without requests as long
    return $held ? $row : undef;
}

sub health_of
{
    my ($row) = @_;
    my $h = $row->{health} // $row->{state} // '';
    return ref $h ? $h->{state} // '' : $h;
}

# The direct children of a process.
sub children
{
    my ($pid) = @_;
    return split ' ', slurp("/proc/$pid/task/$pid/children");
}

# The pids of the children of one kind, from the status: ->pids('worker').
sub pids
{
    my ($self, $kind) = @_;
    return map { $_->{pid} } grep { $_->{kind} eq $kind && $_->{pid} }
      @{ $self->status->{children} // [] };
}

# The pids of the workers, once all of them run: a service that answers may have started one only.
sub workers
{
    my ($self) = @_;
    my @pids;
    wait_for { @pids = $self->pids('worker'); @pids == $self->{workers} }
      or die "not all of the $self->{workers} workers run: @pids\n";
    return @pids;
}

# ---- its clients

# Opens a connection: TLS to the tls listener unless plain => 1 or port => N. Other options go to
# IO::Socket::SSL. The server's certificate is verified with the test's CA.
sub connect
{
    my ($self, %opt) = @_;
    my $plain   = delete $opt{plain};
    my $port    = delete $opt{port} // ($plain ? $self->{plain} : $self->{tls});
    return PasGate::Conn->new($port, $plain ? () : (tls => 1), %opt);
}

# Sends one request on its own connection.
sub request
{
    my ($self, $method, $target, %opt) = @_;
    my %connect = map { $_ => delete $opt{$_} } grep { exists $opt{$_} } qw(plain port timeout from);
    my $c = $self->connect(%connect);
    my $r = $c->request($method, $target, close => 1, %opt);
    $c->close;
    return $r;
}

sub get
{
    my ($self, $target, %opt) = @_;
    return $self->request('GET', $target, %opt);
}

require PasGate::Conn;
require PasGate::StandIn;
require PasGate::Scripted;
require PasGate::Relay;
require PasGate::Load;
require PasGate::OpenLoop;

1;
