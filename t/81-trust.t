# Who is believed: the command line takes no stranger's table for a service, nobody can keep a
# service from starting by holding its names, and nobody else can read what is in its table.
use strict;
use warnings;
use lib 't/lib';
use Fcntl qw(:DEFAULT F_SETLK F_RDLCK SEEK_SET);
use PasGate;
use POSIX ();
use Test::More;

my $root = $> == 0;
my $pas  = PasGate::StandIn->new('pas1');
my $gate = PasGate->new(backends => [$pas], start => 0);
my $nobody = 65534;
my @end;
my $test = $$;
END { if ($$ == $test) { kill KILL => @end if @end; rmdir object($gate->{pidfile}) } }

# The name of its table, from the pidfile's path (FNV-1a).
sub object
{
    my ($pidfile) = @_;
    use integer;
    my $hash = -3750763034362895579;    # 14695981039346656037
    $hash = ($hash ^ ord) * 1099511628211 for split //, $pidfile;
    return sprintf '/dev/shm/pasgate-%016x', $hash;
}

# A process of a stranger, as far as we can be one; ends with the test, by what is done to it.
sub as_stranger
{
    my ($code) = @_;
    my ($r, $w);
    pipe $r, $w or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        close $r;
        if ($root) { $) = "$nobody $nobody"; ($<, $>) = ($nobody, $nobody) }
        $SIG{$_} = 'DEFAULT' for qw(HUP TERM);
        my $kept = $code->() or POSIX::_exit(1);
        print {$w} "ready\n";
        close $w;
        sleep 60;
        POSIX::_exit(0);
    }
    close $w;
    push @end, $pid;
    return (<$r> // '') eq "ready\n" ? $pid : die "no stranger\n";
}

sub lock_to_read
{
    my ($file) = @_;
    sysopen my $fh, $file, O_RDONLY or return undef;
    # struct flock of x86-64 and other LP64: type, whence, start, len, pid
    my $flock = pack 's s x4 q q l x4', F_RDLCK, SEEK_SET, 0, 0, 0;
    fcntl $fh, F_SETLK, $flock or return undef;
    return $fh;
}

my $object = object($gate->{pidfile});

subtest 'it starts, whoever has its names' => sub {
    # Left behind by an older version, 0644; somebody has read it ever since.
    spew($gate->{pidfile}, "1\n");
    chmod 0644, $gate->{pidfile};
    my $reader = as_stranger(sub { lock_to_read($gate->{pidfile}) });
    # Not ours, and not for us to remove: a folder cannot be removed like a file.
    mkdir $object or die "$object: $!";
    $gate->start;
    is $gate->get('/pas/get')->{status}, 200, 'it serves';
    is slurp($gate->{pidfile}) + 0, $gate->{pid}, 'the pidfile is ours';
    is sprintf('%o', (stat $gate->{pidfile})[2] & 07777), '600', 'and for nobody else to open';
    is $gate->status->{pid}, $gate->{pid}, 'the command line finds it by its other name';
    my @tables = grep { -f } glob "$object*";
    is scalar @tables, 1, 'there is one table';
    is sprintf('%o', (stat _)[2] & 07777 & 07137), '0', 'others cannot read it, and nobody else write' for @tables;
    my ($code, $said) = run_cmd(PasGate::binary(), 'run', '-c', $gate->{conf});
    isnt $code, 0, 'a second one does not start';
    like $said, qr/is already running: process $gate->{pid} holds/, 'and says which one runs';
    $gate->stop_ok;
    is scalar(my @left = grep { -f } glob "$object*"), 0, 'the table is gone';
    rmdir $object;
    kill KILL => $reader;
};

subtest 'a file of a stranger' => sub {
    $root or return pass 'only root can make one';
    my $maker = as_stranger(sub { spew($object, 'x' x 4096); 1 });
    ok -e $object, 'has the name of the table';
    $gate->start;
    is $gate->status->{pid}, $gate->{pid}, 'root takes the name back';
    is((stat $object)[4], 0, 'it is root\'s');
    my ($code, $said) = run_cmd('setpriv', '--reuid', $nobody, '--regid', $nobody, '--clear-groups',
        PasGate::for_all(PasGate::binary()), 'status', '-c', $gate->{conf});
    is $code, 1, 'nobody gets no status';
    like $said, qr/cannot read the table.*Permission denied; root, its user and/, 'and is told who would';
    kill KILL => $maker;
    $gate->stop_ok;
};

# The table of a service that runs, with other words in it, put where another configuration that
# cannot be read at the moment would be looked for.
subtest 'a forged table' => sub {
    $gate->start;
    my ($table) = grep { -f } glob "$object*";
    my $broken = $gate->{conf} =~ s/\.conf$/.c0nf/r;
    spew($broken, slurp($gate->{conf}) . "no_such_setting = \"\${PASGATE_UNSET}\";\n");
    my $victim = fork // die;
    if (!$victim) { $SIG{HUP} = 'DEFAULT'; sleep 60; exit 0 }
    push @end, $victim;
    my $bytes = slurp($table);
    my $evil  = "\e]0;owned\a\x{c2}\x{9b}2J";
    my $begin = substr $bytes, 0, 4096;
    $begin =~ s/\Q$gate->{conf}\E/$broken/ or die 'no path in the header';
    my $n = () = $begin =~ s/\Q@{[pack 'l', $gate->{pid}]}\E/pack 'l', $victim/ge;
    substr($bytes, 0, 4096) = $begin;
    $bytes =~ s/pas1\0{9}/pas1$evil/ or die 'no backend' if length $evil <= 13;
    my $forged = '/dev/shm/pasgate-0000' . sprintf '%012x', $$;
    my $write = sub { spew($forged, $bytes); chmod($root ? 0644 : 0666, $forged); 1 };
    my $maker = as_stranger($write);
    ok -s $forged, 'is there';
    for my $args (['reload'], ['drain', 'pas1'], ['status'], ['why', '1'], ['cert', 'list']) {
        my ($verb, @rest) = @$args;
        my ($code, $said) = run_cmd('timeout', 10, PasGate::binary(), $verb, '-c', $broken, @rest);
        is $code, 1, "$verb fails";
        like $said, qr/not running/, 'as nothing runs';
        like $said, qr/\Q$forged\E is ignored: it belongs to user \d+/, 'and says what it did not believe';
        unlike $said, qr/[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]/, 'no byte of it reaches the terminal';
    }
    is waitpid($victim, POSIX::WNOHANG()), 0, 'the process that it named got no signal';
    # What is not forged is found, though the configuration cannot be read.
    (my $text = slurp($gate->{conf})) =~ s/\z/no_such_setting = 1;\n/;
    spew($gate->{conf}, $text);
    my ($code, $said) = $gate->cli('status');
    is $code, 0, 'the true one is found' or diag $said;
    $gate->write_config;
    unlink $forged, $broken;
    kill KILL => $victim, $maker;
    $gate->stop_ok;
};

# As RemoveIPC of logind.conf(5) does to users who log out.
subtest 'a table that was removed' => sub {
    $gate->start;
    unlink grep { -f } glob "$object*";
    ok $gate->wait_log(qr/error supervisor.*table \S+ was removed: the service keeps running, but .pasgate status/), 'is told in the log';
    is $gate->get('/pas/get')->{status}, 200, 'it serves on';
    for my $args (['status'], ['drain', 'pas1'], ['reload']) {
        my ($code, $said) = $gate->cli(@$args);
        is $code, 1, "$args->[0] fails";
        like $said, qr/the service runs \(process $gate->{pid}\), but its table .* was removed: restart the service/, 'and says why';
    }
    is +(() = $gate->log_text =~ /was removed/g), 1, 'one line';
    $gate->stop_ok;
    $gate->start;
    is $gate->status->{pid}, $gate->{pid}, 'a restart helps';
    $gate->stop_ok;
};

done_testing;
