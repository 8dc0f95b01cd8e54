# Nobody reads the logs: a full pipe or socket on standard error or output, a terminal that nobody
# looks at, a FIFO without a reader. No process waits for one; what is lost is counted, and told when it is read.
# So it is where a file may not grow.
use strict;
use warnings;
use lib 't/lib';
use Fcntl;
use IO::Select;
use PasGate;
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM SOCK_DGRAM SOL_SOCKET SO_SNDBUF);
use Test::More;
use Time::HiRes qw(time);

use constant F_SETPIPE_SZ => 1031;

# A pipe that takes little, and stays open.
sub small_pipe
{
    pipe(my $r, my $w) or die "pipe: $!";
    fcntl $w, F_SETPIPE_SZ, 4096 or die "pipe: $!";
    return ($r, $w);
}

# Two ends of a unix socket that takes little, and stays open.
sub small_socket
{
    my ($type) = @_;
    socketpair my $r, my $w, AF_UNIX, $type, 0 or die "socketpair: $!";
    setsockopt $w, SOL_SOCKET, SO_SNDBUF, 16384 or die "SO_SNDBUF: $!";
    return ($r, $w);
}

# A terminal: its two sides.
sub terminal
{
    my ($unlocked, $number) = (pack('i', 0), pack('I', 0));
    sysopen my $master, '/dev/ptmx', O_RDWR | O_NOCTTY or die "ptmx: $!";
    ioctl $master, 0x40045431, $unlocked or die "TIOCSPTLCK: $!";
    ioctl $master, 0x80045430, $number or die "TIOCGPTN: $!";
    my $name = '/dev/pts/' . unpack 'I', $number;
    sysopen my $slave, $name, O_RDWR | O_NOCTTY or die "$name: $!";
    return ($master, $slave);
}

my %unread = (
    'a pipe'            => \&small_pipe,
    'a terminal'        => \&terminal,
    'a stream socket'   => sub { small_socket(SOCK_STREAM) },
    'a datagram socket' => sub { small_socket(SOCK_DGRAM) },
);

# Starts it with these two as its standard output and error, and waits until it serves.
sub start
{
    my ($gate, $out, $err) = @_;
    no warnings 'exec';
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        setpgrp;
        open STDIN,  '<',  '/dev/null';
        POSIX::dup2(fileno $out, 1);
        POSIX::dup2(fileno $err, 2);
        exec 'setpriv', '--pdeathsig', 'TERM', '--', PasGate::binary(), 'run', '-c', $gate->{conf};
        POSIX::_exit(127);
    }
    $gate->{pid} = $pid;
    PasGate::remember($gate);
    return wait_for { $gate->serving && %{ $gate->status } };
}

# What stands in it.
sub drain
{
    my ($r, $text) = ($_[0], '');
    while (IO::Select->new($r)->can_read(0)) {
        sysread $r, $text, 65536, length $text or last;
    }
    return $text;
}

sub lost { return $_[0]->status->{totals}{log_lines_lost} // 0 }

# The pid of acmed, and the generation of its certificate that workers use.
sub acmed { return join ' ', map { $_->{pid} } grep { $_->{kind} eq 'acmed' } @{ $_[0]->status->{children} // [] } }
sub generation { return $_[0]->status->{certificates}[0]{generation} // 0 }

for my $kind ('a pipe', 'a stream socket', 'a datagram socket') { subtest "standard error: $kind" => sub {
    my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
    my ($chain, $key) = PasGate::make_cert('shop', 'shop.test', 'localhost');
    my $gate = PasGate->new(workers => 2, backends => \@pas, start => 0, certs => qq({ names = [ "shop.test" ]; chain = "$chain"; key = "$key"; }));
    my ($r, $w) = $unread{$kind}->();
    ok start($gate, $w, $w), 'it starts, where nobody reads' or return;
    is generation($gate), 1, 'with a certificate';

    kill POSIX::SIGRTMIN() + 1, $gate->{pid} for 1 .. 1500;    # each a line about its refusal
    ok wait_for { lost($gate) > 100 }, 'lines are lost, and counted';
    is $gate->get('/pas/get')->{status}, 200, 'it serves';
    $pas[0]->kill;
    ok $gate->wait_health('pas1', 'down'), 'healthd looks after backends';
    is $gate->get('/pas/get')->{status}, 200, 'the other one serves';
    my ($victim) = $gate->workers;
    kill 'KILL', $victim;
    ok wait_for { my @now = $gate->pids('worker'); @now == 2 && !grep { $_ == $victim } @now },
      'the supervisor looks after workers';
    my ($code, $said) = $gate->cli('reload');
    is $code, 0, 'it is reloaded' or diag $said;
    ok wait_for { acmed($gate) =~ /^\d+$/ }, 'acmed runs';
    my $acmed = acmed($gate);
    PasGate::make_cert('shop', 'shop.test', 'localhost');
    ok wait_for { generation($gate) == 2 }, 'acmed looks after certificates';
    is acmed($gate), $acmed, 'the same acmed';
    my $metrics = $gate->get('/metrics', plain => 1, port => $gate->{status_port})->{body};
    like $metrics, qr/^pasgate_log_lines_lost_total [1-9]/m, 'a metric tells of lost lines';

    my $text = '';
    ok wait_for {
        $text .= drain($r);
        my $told = 0;
        $told += $1 while $text =~ /log lines lost: (\d+)/g;
        $told > 100;
    }, 'who reads again is told, and how many' or diag substr $text, -2000;
    my @torn = grep { !/^\d{4}-\d\d-\d\dT\S+ \w+ [\w ]+\[\d+\]: / } split /\n/, $text =~ s/[^\n]*\z//r;
    is "@torn", '', 'each line is whole';
    ok wait_for { $text .= drain($r); $text =~ / acmed\[\d+\]: certificate shop\.test: generation 2 live/ }, 'with those of acmed';

    kill POSIX::SIGRTMIN() + 1, $gate->{pid} for 1 .. 1500;
    $gate->stop_ok('TERM ends it while nobody reads');
}; }

subtest 'INT' => sub {
    my $pas  = PasGate::StandIn->new('pas');
    my $gate = PasGate->new(workers => 1, backends => [$pas], start => 0);
    my ($r, $w) = small_pipe();
    ok start($gate, $w, $w), 'it starts';
    $gate->stop_ok('INT ends it, too', 'INT');
};

for my $kind ('a terminal', 'a stream socket', 'a datagram socket') { subtest "standard output: $kind" => sub {
    my $pas  = PasGate::StandIn->new('pas');
    my $gate = PasGate->new(workers => 2, backends => [$pas], start => 0);
    $gate->write_config;
    my $text = slurp($gate->{conf});
    $text =~ s/access = "[^"]*"/access = "stdout"/;
    $gate->write_config(config => $text);
    open my $log, '>>', $gate->{log} or die $!;
    my ($master, $slave) = $unread{$kind}->();
    ok start($gate, $slave, $log), 'it starts';
    my %before = map { $_ => 1 } $gate->workers;
    my $c = $gate->connect(plain => 1);
    my $failed = 0;

    for my $i (1 .. 400) {
        my $r = eval { $c->request('GET', '/pas/get?' . 'x' x 500) } // {};
        next if ($r->{status} // 0) == 200;
        $failed++;
        $c = $gate->connect(plain => 1);
    }
    is $failed, 0, 'all requests are served';
    ok wait_for { ($gate->status->{totals}{access_lines_lost} // 0) > 0 }, 'lines of the access log are lost';
    is join(' ', grep { !$before{$_} } $gate->pids('worker')), '', 'by the same workers';
    unlike $gate->log_text, qr/access log: [^"]*; 0 lines lost/, 'no loss is told of where not available yet';
    my $read = '';
    ok wait_for {
        $read .= drain($master);
        $gate->log_text =~ /access log: written again; lines lost: \d+/;
    }, 'and that is told when somebody looks again';
    ok wait_for { $c->request('GET', '/pas/get'); $read .= drain($master); $read =~ /"dropped":\d+/ }, 'there, too';
    $gate->stop_ok;
}; }

subtest 'a FIFO' => sub {
    my $pas  = PasGate::StandIn->new('pas');
    my $gate = PasGate->new(workers => 1, backends => [$pas], start => 0);
    unlink $gate->{access};
    POSIX::mkfifo($gate->{access}, 0666) or die "mkfifo: $!";
    $gate->start;
    is $gate->get('/pas/get')->{status}, 200, 'it does not wait for a reader';
    sysopen my $r, $gate->{access}, O_RDONLY | O_NONBLOCK or die $!;
    my $text = '';
    ok wait_for { $text .= drain($r); $text =~ m{/pas/get} }, 'who gets the lines when he comes';
    close $r;
    $gate->{access} = '/dev/null';
    $gate->stop_ok;
};

# Logs as long as a file may be (ulimit -f). The limit has to be more than the table's size.
subtest 'a file that may not grow' => sub {
    my $most = 256 << 20;
    my @pas  = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
    my $gate = PasGate->new(workers => 1, backends => \@pas, start => 0);
    my $pids = sub { return join ' ', map { "$_->{kind} $_->{pid}" } @{ $gate->status->{children} // [] } };
    my $size = sub {
        my ($file, $n) = @_;
        open my $out, '>>', $file or die "$file: $!";
        truncate $out, $n or die "$file: $!";
    };
    $size->($gate->{access}, $most);
    $gate->{pid} = PasGate::spawn($gate->{log}, 'prlimit', "--fsize=$most", PasGate::binary(), 'run', '-c', $gate->{conf});
    PasGate::remember($gate);
    ok wait_for { $gate->serving && %{ $gate->status } }, 'it starts' or return;
    my $before = $pids->();

    is $gate->get('/pas/get')->{status}, 200, "request $_ gets its response" for 1 .. 3;
    ok $gate->wait_log(qr/access log: File too large/), 'the worker tells';
    $size->($gate->{log}, $most);
    $pas[0]->kill;
    ok $gate->wait_health('pas1', 'down'), 'healthd looks after backends';
    is $gate->get('/pas/get')->{status}, 200, 'it serves';
    is $pids->(), $before, 'no process has ended';

    $size->($_, 0) for $gate->{log}, $gate->{access};
    ok $gate->wait_log(qr/backend pas1 .*down/), 'healthd tells, when there is room';
    ok wait_for { (() = slurp($gate->{access}) =~ m{"/pas/get}g) >= 4 }, 'no line of the access log is lost';
    $gate->stop_ok;
};

done_testing;
