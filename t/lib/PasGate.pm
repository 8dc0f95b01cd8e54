# PasGate.pm: starts pasgate, stand-ins and scripted backends for the integration tests, all
# on ports of their own in a folder of their own, and ends what it started.
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
# Environment: PASGATE (the binary; $TOOLS/pasgate), TOOLS (the folder of pas-httpbin and the
# like; build), KEEP=1 keeps the folder and tells where it is.
#
# Nothing here waits for a fixed time: wait_for() takes a condition and a deadline. Deadlines
# are generous, for a sanitized build on a busy machine; they bound a failure, no success.
package PasGate;
use strict;
use warnings;
use Exporter 'import';
use File::Temp ();
use IO::Select;
use IO::Socket::INET;
use IO::Socket::SSL;
use JSON::PP;
use POSIX qw(:sys_wait_h _exit);
use Test::More ();
use Time::HiRes qw(time sleep);

our @EXPORT = qw(sanitized wait_for free_port free_ports tmp spew slurp run_cmd make_cert tool rss_kb
  in_parallel DEADLINE);

use constant DEADLINE => 20;    # seconds that anything may take before it counts as failed

$SIG{PIPE} = 'IGNORE';
$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);    # so that END runs
my $owner = $$;                 # END blocks run in forked children too
my $folder;
my @running;                    # everything to be ended, latest first
my %taken;                      # ports given out
my $gates = 0;

# ---- small things

# Calls $cond until it returns true, and returns that; undef after $seconds.
sub wait_for(&;$)
{
    my ($cond, $seconds) = @_;
    my $end = time + ($seconds // DEADLINE);
    my $pause = 0.005;
    while (1) {
        my $value = $cond->();
        return $value if $value;
        return undef if time > $end;
        sleep $pause;
        $pause *= 1.3 if $pause < 0.1;
    }
}

# The folder of this test: readable by the user that pasgate drops to.
sub tmp
{
    $folder //= do {
        my $t = File::Temp->newdir('pasgate-XXXXXX', TMPDIR => 1, CLEANUP => !$ENV{KEEP});
        chmod 0777, "$t";
        Test::More::diag("kept: $t") if $ENV{KEEP};
        $t;
    };
    return @_ ? "$folder/$_[0]" : "$folder";
}

sub spew
{
    my ($file, $text) = @_;
    open my $out, '>', $file or die "$file: $!";
    print $out $text;
    close $out or die "$file: $!";
    return $file;
}

sub slurp
{
    my ($file) = @_;
    open my $in, '<', $file or return '';
    local $/;
    return scalar <$in> // '';
}

# Ports that were free a moment ago; none is given out twice.
sub free_ports
{
    my ($n) = @_;
    my (@held, @ports);
    while (@ports < $n) {
        my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0)
          or die "no free port: $!";
        push @held, $s;
        push @ports, $s->sockport unless $taken{ $s->sockport }++;
    }
    return @ports;
}

sub free_port { return (free_ports(1))[0] }

sub tool { return ($ENV{TOOLS} // 'build') . "/$_[0]" }

# Where t/install-deps.sh puts what the machine's packages are too old for.
sub test_tools
{
    return ($ENV{XDG_CACHE_HOME} || ($ENV{HOME} || '/tmp') . '/.cache') . '/pasgate-test-tools';
}

sub binary { return $ENV{PASGATE} // tool('pasgate') }

# Whether the binary is an ASan build: slower, and with a memory of its own.
sub sanitized
{
    my ($code) = run_cmd('grep', '-q', '__asan_init', binary());
    return $code == 0;
}

# Runs a command; returns (exit code, what it printed to either channel).
sub run_cmd
{
    my @cmd = @_;
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        exec { $cmd[0] } @cmd or do { print "$cmd[0]: $!"; _exit(127) };
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($? & 127 ? 128 + ($? & 127) : $? >> 8, $text);
}

# Runs each code in a process of its own, all at once; returns their results in order.
# A result is anything that JSON holds.
sub in_parallel
{
    my @jobs = map {
        my $code = $_;
        pipe(my $r, my $w) or die "pipe: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            close $r;
            my $value = eval { $code->() };
            $value = { died => "$@" } if $@;
            print $w encode_json([$value]);
            close $w;
            _exit(0);
        }
        close $w;
        [$pid, $r];
    } @_;
    return map {
        my ($pid, $r) = @$_;
        local $/;
        my $text = <$r>;
        waitpid $pid, 0;
        $text ? decode_json($text)->[0] : { died => 'no result' };
    } @jobs;
}

# A CA of this test, and a certificate for the names that it signed: (chain file, key file).
# $id names the files; making it again under the same id replaces them.
sub make_cert
{
    my ($id, @names) = @_;
    my ($ca, $cakey) = (tmp('ca.pem'), tmp('ca.key'));
    my @ec = qw(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes);
    if (!-e $ca) {
        my ($code, $said) = run_cmd('openssl', 'req', '-x509', @ec, '-subj', '/CN=pasgate test CA',
            '-days', 30, '-keyout', $cakey, '-out', $ca);
        die $said if $code;
    }
    my ($chain, $key, $csr, $ext) = map { tmp("$id.$_") } qw(pem key csr ext);
    spew($ext, 'subjectAltName=' . join(',', map { /^[\d.]+$|:/ ? "IP:$_" : "DNS:$_" } @names) . "\n");
    my ($code, $said) = run_cmd('openssl', 'req', @ec, '-subj', "/CN=$names[0]",
        '-keyout', "$key.new", '-out', $csr);
    die $said if $code;
    ($code, $said) = run_cmd('openssl', 'x509', '-req', '-in', $csr, '-CA', $ca, '-CAkey', $cakey,
        '-CAcreateserial', '-days', 20, '-extfile', $ext, '-out', "$chain.new");
    die $said if $code;
    chmod 0644, "$key.new";
    rename "$key.new",   $key   or die "$key: $!";
    rename "$chain.new", $chain or die "$chain: $!";
    return ($chain, $key);
}

# Resident kilobytes of a process, its peak with $peak.
sub rss_kb
{
    my ($pid, $peak) = @_;
    my $field = $peak ? 'VmHWM' : 'VmRSS';
    return slurp("/proc/$pid/status") =~ /^$field:\s+(\d+)/m ? $1 : 0;
}

# ---- processes

# Starts a command with its output in a file; it dies with this test, however that ends.
sub spawn
{
    my ($log, @cmd) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        setpgrp;
        open STDIN,  '<',  '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        exec 'setpriv', '--pdeathsig', 'TERM', '--', @cmd or do { print STDERR "setpriv: $!\n"; _exit(127) };
    }
    return $pid;
}

# Reaps $pid within $seconds; returns its wait status, or undef when it still runs.
sub reap
{
    my ($pid, $seconds) = @_;
    my $status;
    wait_for {
        my $got = waitpid($pid, WNOHANG);
        $status = $got == $pid ? $? : -1 if $got;
        $got;
    } $seconds;
    return $status;
}

sub remember { unshift @running, $_[0] }
sub forget   { my ($it) = @_; @running = grep { $_ != $it } @running }

END {
    if ($$ == $owner) {
        my $code = $?;
        my $failed = $code || !Test::More->builder->is_passing;
        while (my $it = shift @running) {    # no foreach: an end forgets, and shortens the list
            $it->tell if $failed && $it->can('tell');
            eval { $it->end } or $code ||= 1;
        }
        $? = $code;
    }
}

# ---- pasgate

# Options, all of them with defaults:
#   backends  [stand-ins, or hashes with name, port and more settings]
#   workers   1
#   pool      settings of the pool, libconfig text: 'balance = "roundrobin";'
#   more_pools  [the inside of further pools, libconfig text]
#   check     settings of its check: 'type = "tcp"; interval = "200ms";'
#   routes    the inside of routes; { path = "/pas"; pool = "pas"; upstream_path = "/web"; }
#   listen    further listeners, libconfig text
#   certs     the inside of certificates; one from make_cert for localhost
#   global    more settings of the top level
#   config    the whole text, in place of all that
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

# The config's text from the options; changes given here stay.
sub write_config
{
    my ($self, %change) = @_;
    $self->{$_} = $change{$_} for keys %change;
    return spew($self->{conf}, $self->{config}) if $self->{config};
    my $n = 0;
    my $backends = join ",\n        ", map {
        my %b = ref $_ eq 'HASH' ? %$_ : (name => $_->{id}, port => $_->{port});
        my ($name, $port) = (delete $b{name} // 'b' . ++$n, delete $b{port});
        my $more = join ' ', map { "$_ = $b{$_};" } sort keys %b;
        qq({ name = "$name"; address = "127.0.0.1:$port"; $more });
    } @{ $self->{backends} };
    my $more = join '', map { ",\n    { $_ }" } @{ $self->{more_pools} };
    my $pools = @{ $self->{backends} } ? <<"END" : '';
pools = ( { name = "pas"; $self->{pool}
    check = { $self->{check} };
    backends = (
        $backends ); }$more );
routes = ( $self->{routes} );
END
    my $listen = join ",\n    ", qq({ address = "127.0.0.1:$self->{tls}"; tls = true; }),
      qq({ address = "127.0.0.1:$self->{plain}"; }),
      qq({ address = "127.0.0.1:$self->{status_port}"; serve = "status"; }),
      $self->{listen} || ();
    # A store of its own: two services on one store would prune each other's generations.
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

# Starts it and waits until it serves; dies with its log when it does not.
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
    return $self;
}

# Ready: a request by TLS is answered by a backend (or there is none, and a listener accepts).
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

# Stops it with TERM, or $signal; a test of its own: exit code 0, no report of a sanitizer.
sub stop_ok
{
    my ($self, $name, $signal, $seconds) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $problem = $self->finish($signal // 'TERM', $seconds);
    return Test::More::ok(!$problem, $name // 'pasgate ends as it should')
      || do { Test::More::diag($problem); $self->tell; 0 };
}

# Ends it; returns what was wrong with that, or ''.
sub finish
{
    my ($self, $signal, $seconds) = @_;
    my $pid = delete $self->{pid} // return $self->complaints;
    forget($self);
    my @kids = children($pid);
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

# Reports of sanitizers and failed checks in its log, as one string.
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

# Waits for a line in the log that matches; returns it.
sub wait_log
{
    my ($self, $re, $seconds, $from) = @_;
    return wait_for { (grep { $_ =~ $re } split /\n/, substr($self->log_text, $from // 0))[0] } $seconds;
}

# The access log's lines, decoded; $n waits for as many.
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

# One subcommand of the CLI: (exit code, output).
sub cli
{
    my ($self, $verb, @arg) = @_;
    return run_cmd(binary(), $verb, '-c', $self->{conf}, @arg);
}

sub status
{
    my ($self) = @_;
    my ($code, $out) = $self->cli('status', '--json');
    return $code == 0 ? eval { decode_json($out) } // {} : {};
}

# Waits until the status of backend $name has this health; returns its row.
sub wait_health
{
    my ($self, $name, $want, $seconds) = @_;
    my $row;
    my $held = wait_for {
        ($row) = grep { $_->{name} eq $name } @{ $self->status->{backends} // [] };
        $row && health_of($row) =~ /^(?:$want)$/i;
    } $seconds;
    return $held ? $row : undef;
}

sub health_of
{
    my ($row) = @_;
    my $h = $row->{health} // $row->{state} // '';
    return ref $h ? $h->{state} // '' : $h;
}

# Direct children of a process.
sub children
{
    my ($pid) = @_;
    return split ' ', slurp("/proc/$pid/task/$pid/children");
}

# pids of the children of one kind, by the table: ->pids('worker').
sub pids
{
    my ($self, $kind) = @_;
    return map { $_->{pid} } grep { $_->{kind} eq $kind && $_->{pid} }
      @{ $self->status->{children} // [] };
}

# ---- its clients

# A connection: TLS to the tls listener unless plain => 1 or port => N. Further options go to
# IO::Socket::SSL. The server's certificate is verified by the test's CA.
sub connect
{
    my ($self, %opt) = @_;
    my $plain   = delete $opt{plain};
    my $port    = delete $opt{port} // ($plain ? $self->{plain} : $self->{tls});
    return PasGate::Conn->new($port, $plain ? () : (tls => 1), %opt);
}

# One request on a connection of its own.
sub request
{
    my ($self, $method, $target, %opt) = @_;
    my %connect = map { $_ => delete $opt{$_} } grep { exists $opt{$_} } qw(plain port timeout);
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

# ---- one connection

package PasGate::Conn;
use IO::Select;
use IO::Socket::SSL;
use Socket qw(SO_LINGER SOL_SOCKET IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

my $context;

# Options: tls => 1, host => 'localhost', timeout => seconds for every step, rcvbuf => bytes,
# anything that IO::Socket::SSL takes. Dies when it cannot connect.
sub new
{
    my ($class, $port, %opt) = @_;
    my $timeout = delete $opt{timeout} // PasGate::DEADLINE();
    my $host    = delete $opt{host}    // 'localhost';
    my $tls     = delete $opt{tls};
    my $rcvbuf  = delete $opt{rcvbuf};
    my $sock    = IO::Socket::INET->new(Proto => 'tcp', Type => Socket::SOCK_STREAM(),
        $rcvbuf ? () : (PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => $timeout));
    die "connect to $port: $@ $!\n" unless $sock;
    if ($rcvbuf) {
        setsockopt $sock, SOL_SOCKET, Socket::SO_RCVBUF(), $rcvbuf;
        CORE::connect($sock, Socket::pack_sockaddr_in($port, Socket::inet_aton('127.0.0.1')))
          or die "connect to $port: $!\n";
    }
    setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
    if ($tls) {
        # One context for all that want nothing special: each loads every CA of the system.
        $context //= IO::Socket::SSL::SSL_Context->new(
            SSL_verifycn_scheme => 'none', SSL_verify_mode => SSL_VERIFY_NONE);
        IO::Socket::SSL->start_SSL($sock,
            SSL_hostname => $host,
            SSL_verifycn_scheme => 'none',
            SSL_verify_mode => SSL_VERIFY_NONE,
            (grep { /^SSL_/ } keys %opt) ? () : (SSL_reuse_ctx => $context),
            Timeout => $timeout,
            %opt) or die "TLS to $port: $SSL_ERROR\n";
    }
    $sock->blocking(0);
    return bless { sock => $sock, tls => $tls, buf => '', timeout => $timeout,
        host => "$host:$port", eof => 0 }, $class;
}

sub _wait
{
    my ($self, $write, $end) = @_;
    my $set = IO::Select->new($self->{sock});
    while ((my $left = $end - time) > 0) {
        local $! = 0;
        return 1 if $write ? $set->can_write($left) : $set->can_read($left);
        return 0 unless $!{EINTR};
    }
    return 0;
}

# Sends all of it; returns the bytes that went out (fewer: the peer is gone, or too slow).
sub write
{
    my ($self, $bytes, %opt) = @_;
    my $end  = time + ($opt{timeout} // $self->{timeout});
    my $done = 0;
    while ($done < length $bytes) {
        my $n = syswrite $self->{sock}, $bytes, length($bytes) - $done > 16384 ? 16384 : length($bytes) - $done, $done;
        if (defined $n) {
            $done += $n;
            next;
        }
        last unless $!{EAGAIN} || $!{EINTR} || ($self->{tls} && $SSL_ERROR == SSL_WANT_WRITE)
          || ($self->{tls} && $SSL_ERROR == SSL_WANT_READ);
        my $for_read = $self->{tls} && $SSL_ERROR == SSL_WANT_READ;
        $self->_wait(!$for_read, $end) or last;
    }
    return $done;
}

# Reads something more into the buffer; false at the end of file or after the timeout, which
# ->{eof} tells apart ('reset' for an error).
sub fill
{
    my ($self, $timeout) = @_;
    my $end = time + ($timeout // $self->{timeout});
    while (!$self->{eof}) {
        my $n = sysread $self->{sock}, $self->{buf}, 65536, length $self->{buf};
        return $n if $n;
        if (defined $n) {
            $self->{eof} = 'eof';
        } elsif ($!{EAGAIN} || $!{EINTR} || ($self->{tls} && $SSL_ERROR == SSL_WANT_READ)) {
            $self->_wait(0, $end) or return 0;
        } else {
            $self->{eof} = 'reset';
        }
    }
    return 0;
}

# Everything until the peer closes; ->{eof} is false when it did not within the timeout.
sub rest
{
    my ($self, $timeout) = @_;
    my $end = time + ($timeout // $self->{timeout});
    1 while $self->fill($end - time > 0 ? $end - time : 0);
    my $all = $self->{buf};
    $self->{buf} = '';
    return $all;
}

# True when the peer closes within the timeout and has sent nothing more.
sub closed
{
    my ($self, $timeout) = @_;
    my $rest = $self->rest($timeout);
    return $self->{eof} && $rest eq '';
}

sub _need
{
    my ($self, $n, $end) = @_;
    while (length $self->{buf} < $n) {
        $self->fill($end - time) or return 0;
    }
    return 1;
}

sub _line
{
    my ($self, $end) = @_;
    while ($self->{buf} !~ /\n/) {
        $self->fill($end - time) or return undef;
    }
    $self->{buf} =~ s/^(.*?)\r?\n//s;
    return $1;
}

# Builds a request. Options: body, chunked (list of pieces), headers ([name, value] list),
# host, close, version, expect.
sub build
{
    my ($self, $method, $target, %opt) = @_;
    my @h = (['Host', $opt{host} // $self->{host}]);
    push @h, @{ $opt{headers} // [] };
    push @h, ['Connection', 'close'] if $opt{close};
    my $body = $opt{body} // '';
    if ($opt{chunked}) {
        push @h, ['Transfer-Encoding', 'chunked'];
        $body = join '', map({ sprintf("%x\r\n%s\r\n", length, $_) } @{ $opt{chunked} }), "0\r\n\r\n";
    } elsif (defined $opt{body}) {
        push @h, ['Content-Length', length $body];
    }
    @h = grep { defined $_->[1] } @h;
    return join '', "$method $target " . ($opt{version} // 'HTTP/1.1') . "\r\n",
      map({ "$_->[0]: $_->[1]\r\n" } @h), "\r\n", $body;
}

# Sends a request and returns its answer.
sub request
{
    my ($self, $method, $target, %opt) = @_;
    $self->write($self->build($method, $target, %opt));
    return $self->response($method, %opt);
}

# Reads one answer: { status, reason, head, fields => [[name, value]...], h => {name => value},
# body, interim => [heads], complete }. Returns { status => 0, why } when none came.
# Options: timeout; discard => 1 counts the body in {length} and does not keep it.
sub response
{
    my ($self, $method, %opt) = @_;
    my $end = time + ($opt{timeout} // $self->{timeout});
    my @interim;
    my $r;
    while (1) {
        while ($self->{buf} !~ /\r\n\r\n/) {
            $self->fill($end - time)
              or return { status => 0, why => $self->{eof} || 'timeout', interim => \@interim,
                body => '', h => {}, fields => [], head => $self->{buf}, complete => 0 };
        }
        $self->{buf} =~ s/^(.*?\r\n)\r\n//s;
        $r = _head($1);
        last if $r->{status} >= 200 || $r->{status} == 101 || $r->{status} == 0;
        push @interim, $r->{head};
    }
    $r->{interim} = \@interim;
    $r->{body} = '';
    $r->{length} = 0;
    my $keep = sub {
        $r->{length} += length $_[0];
        $r->{body} .= $_[0] unless $opt{discard};
    };
    $r->{complete} = $self->_body($r, $method, $end, $keep);
    return $r;
}

sub _head
{
    my ($head) = @_;
    my ($first, @lines) = split /\r\n/, $head;
    my ($version, $status, $reason) = $first =~ m{^(HTTP/\d\.\d) (\d{3}) ?(.*)$};
    my (@fields, %h);
    for (@lines) {
        my ($name, $value) = /^([^:]+):[ \t]*(.*?)[ \t]*$/ or next;
        push @fields, [$name, $value];
        $h{ lc $name } = exists $h{ lc $name } ? $h{ lc $name } . ', ' . $value : $value;
    }
    return { version => $version, status => $status // 0, reason => $reason, head => $head,
        fields => \@fields, h => \%h };
}

sub _body
{
    my ($self, $r, $method, $end, $keep) = @_;
    return 1 if $method eq 'HEAD' || $r->{status} =~ /^(?:101|204|304)$/;
    if (($r->{h}{'transfer-encoding'} // '') =~ /chunked/i) {
        while (1) {
            my $size = hex(($self->_line($end) // return 0) =~ s/;.*//r);
            last unless $size;
            $self->_take($size, $end, $keep) && defined $self->_line($end) or return 0;
        }
        while (1) {
            my $line = $self->_line($end) // return 0;
            return 1 if $line eq '';
            push @{ $r->{trailers} }, $line;
        }
    }
    if (defined $r->{h}{'content-length'}) {
        return $self->_take($r->{h}{'content-length'}, $end, $keep);
    }
    do {
        $keep->($self->{buf});
        $self->{buf} = '';
    } while ($self->fill($end - time));
    return $self->{eof} eq 'eof';
}

sub _take
{
    my ($self, $left, $end, $keep) = @_;
    while ($left > 0) {
        length $self->{buf} or $self->fill($end - time) or return 0;
        my $piece = substr $self->{buf}, 0, $left, '';
        $keep->($piece);
        $left -= length $piece;
    }
    return 1;
}

# Closes with a reset in place of a FIN.
sub abort
{
    my ($self) = @_;
    setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0;
    $self->{tls} ? $self->{sock}->close(SSL_no_shutdown => 1) : close $self->{sock};
}

sub half_close { shutdown $_[0]{sock}, 1 }

sub close
{
    my ($self) = @_;
    $self->{tls} ? $self->{sock}->close(SSL_fast_shutdown => 1) : CORE::close($self->{sock});
}

# ---- a stand-in for PAS

package PasGate::StandIn;
use JSON::PP;

# Starts pas-httpbin under this id; more options go to its command line.
sub new
{
    my ($class, $id, @args) = @_;
    my ($port, $ctl) = PasGate::free_ports(2);
    my $self = bless { id => $id, port => $port, ctl => $ctl, args => \@args,
        log => PasGate::tmp("$id.log") }, $class;
    return $self->start;
}

sub start
{
    my ($self) = @_;
    $self->{pid} = PasGate::spawn($self->{log}, PasGate::tool('pas-httpbin'), '-p', $self->{port},
        '-c', $self->{ctl}, '-i', $self->{id}, @{ $self->{args} });
    PasGate::remember($self);
    PasGate::wait_for {
        eval { PasGate::Conn->new($self->{$_}, timeout => 1)->close for qw(port ctl); 1 };
    } or die "stand-in $self->{id} does not start: " . PasGate::slurp($self->{log});
    return $self;
}

# Asks its control port: ->ctl('mode=hang'). Returns the answer.
sub ctl
{
    my ($self, $query) = @_;
    my $c = PasGate::Conn->new($self->{ctl}, timeout => 5);
    my $r = $c->request('GET', "/ctl?$query", close => 1);
    $c->close;
    die "ctl $query: $r->{status} $r->{body}" unless $r->{status} == 200;
    return $r->{body};
}

# Ends it at once, as docker kill does; start() brings it back on the same ports.
sub kill
{
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} // return 1;
    PasGate::forget($self);
    CORE::kill($signal // 'KILL', $pid);
    defined PasGate::reap($pid, 5) or CORE::kill('KILL', $pid) and PasGate::reap($pid, 5);
    return 1;
}

sub end { return $_[0]->kill('TERM') }

# ---- a backend that says what a test scripts

package PasGate::Scripted;
use IO::Select;
use POSIX qw(_exit);
use Time::HiRes qw(time);

# Options:
#   reply  the bytes of every answer, or a code that gets (request bytes, number of the
#          connection, number of the request on it) and returns them; a list element that is a
#          number waits so many seconds, undef closes, 'RESET' resets
#   serve  a code that gets (socket, recorder, number of the connection) in place of all that;
#          recorder->(bytes) keeps what it read
# Every byte received is kept: ->seen returns one string per connection, in order.
sub new
{
    my ($class, %opt) = @_;
    my $listen = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', LocalPort => $opt{port} // 0,
        ReuseAddr => 1) or die "listen: $!";
    my $self = bless { id => $opt{id} // 'scripted' . $listen->sockport,
        port => $listen->sockport, dir => PasGate::tmp('raw' . $listen->sockport) }, $class;
    mkdir $self->{dir};
    my $parent = $$;
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        setpgrp;
        $SIG{CHLD} = 'IGNORE';
        $SIG{TERM} = 'DEFAULT';
        my ($n, $ready) = (0, IO::Select->new($listen));
        while (getppid == $parent) {
            $ready->can_read(1) or next;
            my $sock = $listen->accept or next;
            my $file = sprintf '%s/%06d', $self->{dir}, ++$n;
            open my $record, '>>', $file or _exit(1);
            $record->autoflush(1);
            my $pid = fork // _exit(1);
            next if $pid;
            CORE::close($listen);
            my $recorder = sub { print $record $_[0] };
            my $serve = $opt{serve} // sub { _serve(@_, $opt{reply}) };
            eval { $serve->($sock, $recorder, $n) };
            CORE::close($sock);
            _exit(0);
        }
        _exit(0);
    }
    CORE::close($listen);
    PasGate::remember($self);
    return $self;
}

my $default = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

sub _serve
{
    my ($sock, $record, $n, $reply) = @_;
    my ($buf, $count) = ('', 0);
    while (1) {
        my $request = read_request($sock, \$buf, $record) // return;
        my @bytes = ref $reply ? $reply->($request, $n, ++$count) : $reply // $default;
        for (@bytes) {
            return if !defined;
            if ($_ eq 'RESET') {
                setsockopt $sock, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack 'll', 1, 0;
                return;
            }
            if (/^[\d.]+\z/) {
                Time::HiRes::sleep($_);
            } else {
                my $done = 0;
                while ($done < length) {
                    $done += syswrite($sock, $_, length($_) - $done, $done) // return;
                }
            }
        }
    }
}

# One whole request from a socket, as it came; undef at the end.
sub read_request
{
    my ($sock, $buf, $record) = @_;
    my $more = sub {
        my $n = sysread $sock, my $piece, 65536;
        return 0 unless $n;
        $record->($piece) if $record;
        $$buf .= $piece;
        return 1;
    };
    until ($$buf =~ /\r\n\r\n/) { $more->() or return undef }
    my ($head) = $$buf =~ /^(.*?\r\n\r\n)/s;
    my $length = length $head;
    if ($head =~ /^Transfer-Encoding:.*chunked/mi) {
        while (1) {
            my $line;    # captures do not outlive the loop that they were made in
            until (($line) = substr($$buf, $length) =~ /^([0-9a-fA-F]+[^\n]*\n)/) { $more->() or return undef }
            my ($size) = map { hex } $line =~ /^([0-9a-fA-F]+)/;
            $length += length($line) + $size + 2;
            while (length $$buf < $length) { $more->() or return undef }
            last unless $size;
        }
    } elsif ($head =~ /^Content-Length:\s*(\d+)/mi) {
        $length += $1;
        while (length $$buf < $length) { $more->() or return undef }
    }
    return substr $$buf, 0, $length, '';
}

# What it received: one string per connection that sent anything.
sub seen
{
    my ($self) = @_;
    return grep { length } map { PasGate::slurp($_) } sort glob "$self->{dir}/*";
}

sub connections { my ($self) = @_; return scalar(my @files = glob "$self->{dir}/*") }

# Forgets what was seen so far.
sub clear
{
    my ($self) = @_;
    truncate $_, 0 for glob "$self->{dir}/*";
}

sub end
{
    my ($self) = @_;
    my $pid = delete $self->{pid} // return 1;
    PasGate::forget($self);
    CORE::kill('KILL', -$pid);
    CORE::kill('KILL', $pid);
    PasGate::reap($pid, 5);
    return 1;
}

# ---- clients in the background

package PasGate::Load;
use JSON::PP;
use POSIX qw(_exit);
use Time::HiRes qw(time sleep);

# Starts clients that ask without pause until ->stop. Options: clients (4), path, close (a new
# connection for each request), plain, pause (seconds between two requests), method, body.
# An idle connection that the server closed is opened anew; anything else that goes wrong is
# kept as a failure with its time.
sub new
{
    my ($class, $gate, %opt) = @_;
    my $self = bless { jobs => [] }, $class;
    for my $n (1 .. $opt{clients} // 4) {
        pipe(my $r, my $w) or die "pipe: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            close $r;
            my $result = eval { _client($gate, %opt) } // { done => 0, failures => [[time, "$@"]] };
            print $w encode_json($result);
            close $w;
            _exit(0);
        }
        close $w;
        push @{ $self->{jobs} }, [$pid, $r];
    }
    PasGate::remember($self);
    return $self;
}

sub _client
{
    my ($gate, %opt) = @_;
    my ($stop, $done, @failures, $c, $used, %by) = (0, 0);
    local $SIG{TERM} = sub { $stop = 1 };
    while (!$stop) {
        $c //= do {
            $used = 0;
            eval { $gate->connect(plain => $opt{plain}, timeout => 10) } // do {
                push @failures, [time, "connect: $@"];
                sleep 0.02;
                next;
            };
        };
        my $r = $c->request($opt{method} // 'GET', $opt{path} // '/pas/get', timeout => 10,
            close => $opt{close}, defined $opt{body} ? (body => $opt{body}) : ());
        if ($r->{status} == 0 && $r->{head} eq '' && $used && $r->{why} ne 'timeout' && !$opt{strict}) {
            push @{ $by{closed} }, time;    # closed between two requests: to be told apart
            undef $c;
            next;
        }
        if ($r->{status} != 200 || !$r->{complete}) {
            push @failures, [time, "status $r->{status} " . ($r->{why} // '') . substr($r->{body}, 0, 80)];
            undef $c;
            next;
        }
        $done++;
        $used = 1;
        undef $c if $opt{close} || ($r->{h}{connection} // '') =~ /close/i;
        sleep $opt{pause} if $opt{pause};
    }
    return { done => $done, failures => \@failures, closed => scalar @{ $by{closed} // [] } };
}

# Ends the clients: { done, failures => [[time, what]...], closed }.
sub stop
{
    my ($self) = @_;
    my %sum = (done => 0, failures => [], closed => 0);
    kill 'TERM', map { $_->[0] } @{ $self->{jobs} };
    for (@{ delete $self->{jobs} // [] }) {
        my ($pid, $r) = @$_;
        local $/;
        my $text = <$r>;
        waitpid $pid, 0;
        my $one = eval { decode_json($text) } // { done => 0, failures => [[time, 'client died']] };
        $sum{done}   += $one->{done};
        $sum{closed} += $one->{closed} // 0;
        push @{ $sum{failures} }, @{ $one->{failures} };
    }
    PasGate::forget($self);
    return \%sum;
}

# Ends the clients; a test: something was asked, and nothing failed. Returns the sum.
sub stop_ok
{
    my ($self, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $sum = $self->stop;
    my @failures = @{ $sum->{failures} };
    Test::More::ok($sum->{done} && !@failures, $name // "none of $sum->{done} requests failed")
      or Test::More::diag("$sum->{done} done, " . @failures . ' failed:',
        map { sprintf "\n  at %.3f: %s", @$_ } @failures > 8 ? @failures[0 .. 7] : @failures);
    return $sum;
}

sub end { $_[0]->stop; return 1 }

1;
