# The command line: what each subcommand says, its exit codes, overrides by signal, and how the
# service is found. The life of processes is 20-supervisor.t's, config errors are 10-config.t's.
use strict;
use warnings;
use lib 't/lib';
use IO::Socket::UNIX;
use JSON::PP;
use PasGate;
use POSIX ();
use Socket qw(SOCK_DGRAM);
use Test::More;

my @pas  = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my $gate = PasGate->new(workers => 2, backends => \@pas);

sub backend
{
    my ($name) = @_;
    my ($row) = grep { $_->{name} eq $name } @{ $gate->status->{backends} };
    return $row;
}

# One invocation: exit code and text.
sub says
{
    my ($args, $code, $re, $name) = @_;
    my ($got, $text) = run_cmd(PasGate::binary(), @$args);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $got == $code && $text =~ $re, $name or diag "exit code $got: $text";
}

subtest 'used wrongly' => sub {
    says [], 2, qr/^usage: pasgate COMMAND/, 'nothing';
    says ['help'], 0, qr/status.*--json.*status --live.*drain B.*Exit codes/s, 'help';
    says ['--help'], 0, qr/^usage/, '--help';
    says ['statsu'], 2, qr/^pasgate: unknown command: statsu\nTry `pasgate help`\.$/, 'a typo';
    says ["a\nb\e[1m"], 2, qr/^pasgate: unknown command: a\\nb\\x1b\[1m\nTry /, 'words of the operator are escaped';
    says ['status', '--dump'], 2, qr/status: unknown option for this command/, 'an option of another command';
    says ['status', '--jsno'], 2, qr/unrecognized option/, 'an option of none';
    says ['reload', 'now'], 2, qr/unexpected argument: now/, 'too much';
    says ['drain'], 2, qr/which backend/, 'too little';
    says ['restart'], 2, qr/which backend/, 'restart what?';
    says ['version'], 0, qr/^pasgate \d+\.\d+/, 'version';
    says ['run', '-c', '/nonexistent'], 78, qr/nonexistent/, 'no such configuration';
};

subtest 'status' => sub {
    ok $gate->wait_health($_, 'up'), "$_ is up" for qw(pas1 pas2);
    my ($code, $text) = $gate->cli('status');
    is $code, 0, 'exit code';
    like $text, qr/^pasgate \S+, pid $gate->{pid}, up .* generation 1 of \Q$gate->{conf}\E$/m, 'head';
    like $text, qr/^worker +[01] +\d+ +1 +running/m, 'a worker';
    like $text, qr/^healthd +- +\d+ +1 +running/m,   'healthd';
    # Where times are long (32.8ms), there is less room for the address: 127.0.~:8080.
    like $text, qr/^ 1 +pas1 +pas +127\.[\d.]+~?:\d+ +up .* ready /m, 'a backend';
    like $text, qr/^localhost +file +P-256 +1 +2 of 2 /m, 'a certificate';
    is_deeply [grep { length > 120 && !/^pasgate / } split /\n/, $text], [], 'fits 120 columns, but for a path of any length';
    unlike $text, qr/[^\n\x20-\x7e]/, 'plain ASCII, no colours in a pipe';

    my $s = $gate->status;
    is $s->{pid}, $gate->{pid}, 'JSON: pid';
    is $s->{generation}, 1, 'JSON: generation';
    is_deeply [map { $_->{number} } @{ $s->{backends} }], [1, 2], 'JSON: numbers from 1';
};

subtest 'admin overrides' => sub {
    says ['drain', '-c', $gate->{conf}, 'pas2'], 0, qr/^backend 2 pas2: drain$/m, 'drain, by name';
    is backend('pas2')->{admin}, 'drain', 'status has it';
    is +($gate->cli('reload'))[0], 0, 'reload';
    is backend('pas2')->{admin}, 'drain', 'it outlives a reload';
    my ($code, $text) = $gate->cli('why', '2');
    is $code, 0, 'why, by number';
    like $text, qr/^backend 2 pas2 .* is up, drain$/m, 'says what it is';
    like $text, qr/unknown +-> up .*\n.* operator +ready +-> drain/, 'and how it came so, in order';
    says ['maint', '-c', $gate->{conf}, '2'], 0, qr/pas2: maint/, 'maint';
    says ['ready', '-c', $gate->{conf}, '2'], 0, qr/pas2: ready/, 'ready';
    says ['drain', '-c', $gate->{conf}, '7'], 2, qr/no backend "7"/, 'no such number';

    my $from = length $gate->log_text;
    run_cmd('/bin/kill', '-s', 'RTMIN+1', $gate->{pid});
    ok $gate->wait_log(qr/without a backend number: refused/, undef, $from), 'no number: refused';
    run_cmd('/bin/kill', '-q', 0, '-s', 'RTMIN+1', $gate->{pid});
    ok $gate->wait_log(qr/number 0 .*refused/, undef, $from), '0: refused';
    run_cmd('/bin/kill', '-q', 99, '-s', 'RTMIN+2', $gate->{pid});
    ok $gate->wait_log(qr/number 99 .*refused/, undef, $from), '99: refused';
    run_cmd('/bin/kill', '-s', 'RTMIN+5', $gate->{pid});
    ok $gate->wait_log(qr/without a certificate number: refused/, undef, $from), 'nor of a certificate';
    if ($> == 0) {
        my $nobody = getpwnam 'nobody';
        my $pid = fork // die $!;
        if (!$pid) {
            $< = $nobody;    # it may send signals still
            exec '/bin/kill', '-q', 2, '-s', 'RTMIN+1', $gate->{pid};
        }
        waitpid $pid, 0;
        ok $gate->wait_log(qr/RTMIN\+1 from uid $nobody: refused, only root and uid 0 may send it/, undef, $from), 'of another user: refused';
    }
    is backend('pas2')->{admin}, 'ready', 'and nothing changed';
};

subtest 'admin overrides outlive a restart' => sub {
    # As root the store is the children's, and the file stands beside it.
    my $folder = "$gate->{dir}/store" . ($> == 0 ? '-state' : '/state');
    my $file   = "$folder/wishes";
    my $state  = sub { join ' ', map { backend($_)->{admin} } qw(pas1 pas2) };
    local $gate->{no_probe} = 1;    # both may be out, and then no request is answered
    my $restart = sub {
        my ($signal) = @_;
        $signal ? $gate->finish($signal) : $gate->stop_ok;
        $gate->start;
    };
    ok wait_for { slurp($file) !~ /^pas\d/m }, 'there is no override';
    $gate->cli('drain', 'pas2');
    ok wait_for { slurp($file) =~ /^pas2\tdrain(?:ed)?\tuid $>\t\d+\tasked for by an operator$/m }, 'an override is written';
    is sprintf('%o', (stat $file)[2] & 0777), '600', 'for us alone';
    is_deeply [map { (stat)[4] } $folder, $file], [$>, $>], 'and is ours';
    my $since = backend('pas2')->{admin_since};
    $restart->();
    is $state->(), 'ready drain', 'it is there after a restart';
    is backend('pas2')->{admin_since}, $since, 'since when it was';
    is backend('pas2')->{admin_who}, "uid $>", 'by whom it was';
    like +($gate->cli('why', 'pas2'))[1], qr/ operator +ready +-> drain/, 'and why tells';
    my %by;
    $by{ $gate->get('/pas/get')->{h}{'x-instance'} // '' }++ for 1 .. 8;
    is_deeply \%by, { pas1 => 8 }, 'workers know it from the first request';
    $gate->cli('maint', 'pas1');
    ok wait_for { slurp($file) =~ /^pas1\tmaint/m }, 'another one';
    $restart->('KILL');
    is $state->(), 'maint drain', 'both are there after a crash';

    my $good = slurp($gate->{conf});
    spew($gate->{conf}, $good =~ s/\{ name = "pas2".*?\}/{ name = "pas3"; address = "127.0.0.1:1"; }/r);
    $gate->{no_probe} = 1;
    $restart->();
    spew($gate->{conf}, $good);
    is +($gate->cli('reload'))[0], 0, 'a backend was away for a while';
    is $state->(), 'maint drain', 'and finds its override again';
    delete $gate->{no_probe};

    $gate->cli('ready', $_) for qw(pas1 pas2);
    ok wait_for { slurp($file) eq "pasgate wishes 1\n" }, 'taken back';
    $restart->();
    is $state->(), 'ready ready', 'for good';

    $gate->cli('drain', 'pas2');
    ok wait_for { slurp($file) =~ /^pas2/m }, 'once more';
    $gate->stop_ok;
    spew($file, substr slurp($file), 0, -3);
    my $from = length $gate->log_text;
    $gate->start;
    is $state->(), 'ready ready', 'a file that is cut is not used';
    ok -e "$file.bad" && !-e $file, 'and kept aside';
    my $told = () = substr($gate->log_text, $from) =~ /\Q$file\E:2: malformed; saved as wishes\.bad, overrides discarded/g;
    is $told, 1, 'which is told once';

    return if $> != 0;
    $gate->cli('drain', 'pas2');
    ok wait_for { slurp($file) =~ /^pas2/m }, 'as root';
    $gate->stop_ok;
    my $nobody = getpwnam 'nobody';
    chown $nobody, -1, $folder or die $!;
    $gate->start;
    is $state->(), 'ready ready', 'a folder that a child may write to is not believed';
    like $gate->log_text, qr/\Q$folder\E: cannot be read: it must belong to the service's user/, 'and that is told';
    chown 0, -1, $folder or die $!;
    $restart->();
    is $state->(), 'ready drain', 'as it is again';
    $gate->cli('ready', 'pas2');
};

subtest 'cert delete in a store of somebody else' => sub {
    plan skip_all => 'needs two users' if $> != 0;
    my $dir = tmp('other');
    mkdir "$dir$_" or die $! for '', qw(/store /store/certs /store/orders /store/orders/old);
    chmod 0711, "$dir/store/certs" or die $!;
    chmod 0755, $dir, "$dir/store", "$dir/store/orders", "$dir/store/orders/old";
    spew("$dir/x.conf", qq~acme = { store = "$dir/store"; };\nlisten = ( { address = "127.0.0.1:1"; } );\n~
          . 'pools = ( { name = "pas"; backends = ( { name = "pas1"; address = "127.0.0.1:2"; } ); } );' . "\n");
    my $binary = PasGate::for_all(PasGate::binary());
    my $pid = fork // die $!;
    if (!$pid) {
        open STDERR, '>', "$dir/err";
        POSIX::setuid(scalar getpwnam 'nobody');
        exec $binary, 'cert', 'delete', 'old', '--force', '-c', "$dir/x.conf" or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    is $? >> 8, 1, 'it fails';
    like slurp("$dir/err"), qr/certs cannot be opened: Permission denied; nothing was deleted/, 'and says why';
    ok -d "$dir/store/orders/old", 'nothing was deleted';
};

subtest 'a state of the configuration' => sub {
    my $good = slurp($gate->{conf});
    spew($gate->{conf}, $good =~ s/(name = "pas1";)/$1 state = "maint";/r);
    is +($gate->cli('reload'))[0], 0, 'reload';
    is backend('pas1')->{admin}, 'maint', 'is taken';
    like +($gate->cli('why', 'pas1'))[1], qr/ config +ready +-> maint/, 'why names the config';
    spew($gate->{conf}, $good);
    $gate->cli('reload');
    is backend('pas1')->{admin}, 'ready', 'and taken back';
};

subtest 'status --watch' => sub {
    my $file = "$gate->{dir}/watch";
    my $pid = PasGate::spawn($file, PasGate::binary(), 'status', '-c', $gate->{conf}, '--watch');
    my $last = sub { (split /\e\[H\e\[2J/, slurp($file))[-1] // '' };
    ok wait_for { $last->() =~ /^ *2 +pas2 .* ready /m }, 'shows what is so';
    $gate->cli('drain', 'pas2');
    ok wait_for { $last->() =~ /^ *2 +pas2 .* drain/m }, 'and what becomes of it';
    $gate->cli('ready', 'pas2');
    ok wait_for { $last->() =~ /^ *2 +pas2 .* ready /m }, 'live';
    kill 'TERM', $pid;
    PasGate::reap($pid, 10);
};

subtest 'what is too wide is cut' => sub {
    my $wide = PasGate->new(backends => [{ name => 'x' x 40, port => 65535 }], no_probe => 1);
    my ($code, $text) = $wide->cli('status');
    like $text, qr/^ *1 +x+~ +pas +127[0-9.]*~:65535 /m, 'of an address its port stays' or diag $text;
    ($code, $text) = run_cmd(PasGate::binary(), 'check', '-c', $wide->{conf});
    like $text, qr/: good: \d+ listeners, 1 certificate, 1 pool, 1 backend, \d+ routes$/m, 'one of a thing';
    $wide->get('/pas/get');
    ok wait_for { ($wide->cli('status'))[1] =~ /errors since the start: [1-9]\d* connect,/ }, 'how many errors, and since when';
    ($code, my $out) = $wide->cli('cert', 'import', "/nowhere/\e[2J\xc2\x9b1m");
    is $code, 2, 'cert import of a name with control characters';
    like $out, qr{/nowhere/\\x1b\[2J}, 'names it escaped';
    unlike $out, qr/[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]/, 'for a terminal';
    $wide->stop_ok;
};

subtest 'a broken file does not hide the service' => sub {
    my $good = slurp($gate->{conf});
    spew($gate->{conf}, "nonsense $good");
    my ($code, $text) = $gate->cli('status');
    is $code, 0, 'status finds it' or diag $text;
    ($code, $text) = $gate->cli('reload');
    is $code, 78, 'reload finds it, too';
    like $text, qr/reload failed, generation \d+ stays in use:\n.*pasgate\.conf:1: /, 'and tells the mistake';
    like +($gate->cli('status'))[1], qr/^last reload .* FAILED, \d+ errors?: .*pasgate\.conf:1: /m, 'as does status';
    like $gate->status->{health}{text}, qr/^the last reload failed: generation \d+ stays in use$/, 'and the judgement of the whole';
    my $reload = $gate->status->{reload};
    ok !$reload->{ok} && $reload->{failures} == 1, 'in JSON, too';
    spew($gate->{conf}, $good);
};

subtest 'a listener that cannot be had' => sub {
    my $good = slurp($gate->{conf});
    my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0) or die $!;
    my $port = $s->sockport;
    spew($gate->{conf}, $good =~ s/listen = \(/listen = ( { address = "127.0.0.1:$port"; },/r);
    my ($code, $text) = $gate->cli('reload');
    is $code, 1, 'the reload fails' or diag $text;
    like $text, qr/cannot listen on 127\.0\.0\.1:$port: Address already in use/, 'and says why';
    is $gate->get('/pas/get')->{status}, 200, 'the old serves on';
    close $s;
    is +($gate->cli('reload'))[0], 0, 'free, and it can';
    spew($gate->{conf}, $good);
    is +($gate->cli('reload'))[0], 0, 'and back';
};

subtest 'the file is watched' => sub {
    my $good = slurp($gate->{conf});
    spew($gate->{conf}, "watch = true;\n$good");
    is +($gate->cli('reload'))[0], 0, 'switched on';
    my $n = $gate->status->{generation};
    spew("$gate->{conf}.new", "watch = true;\nworkers = 1;\n" . $good =~ s/workers = \d+;//r);
    rename "$gate->{conf}.new", $gate->{conf} or die $!;
    ok wait_for { $gate->status->{generation} == $n + 1 }, 'a new file is taken';
    ok wait_for { $gate->pids('worker') == 1 }, 'with one worker';
    my %codes;
    $codes{ $gate->get('/pas/get')->{status} }++ for 1 .. 20;
    is_deeply \%codes, { 200 => 20 }, 'who serves the sockets of the other one, too';
    spew($gate->{conf}, $good);
    ok wait_for { $gate->status->{generation} == $n + 2 }, 'written in place';
    ok wait_for { $gate->pids('worker') == 2 }, 'two workers';
};

subtest 'what it includes is watched, too' => sub {
    my $good = slurp($gate->{conf});
    my $part = "$gate->{dir}/part.conf";
    my $n    = sub { $gate->status->{generation} };
    my $bad  = sub { $gate->status->{reload}{failures} };
    my $level = sub { spew($part, qq(stop_timeout = "$_[0]s";\n)) };
    $level->(20);
    spew($gate->{conf}, qq(watch = true;\n\@include "part.conf"\n$good));
    is +($gate->cli('reload'))[0], 0, 'switched on';
    my $now = $n->();
    $level->(21);
    ok wait_for { $n->() == $now + 1 }, 'it was written in place';
    like $gate->log_text, qr/\Q$part\E has changed: reloading/, 'and named in the log';
    spew("$part.new", qq(stop_timeout = "22s";\n));
    rename "$part.new", $part or die $!;
    ok wait_for { $n->() == $now + 2 }, 'it was replaced';

    my $failed = $bad->();
    spew($part, "nonsense\n");
    ok wait_for { $bad->() == $failed + 1 }, 'a mistake in it';
    $level->(23);
    ok wait_for { $n->() == $now + 3 }, 'is mended in it';

    # A file that was not there when it was read: only the failed reload can have told of it.
    spew($gate->{conf}, qq(watch = true;\n\@include "more/late.conf"\n\@include "part.conf"\n$good));
    ok wait_for { $bad->() == $failed + 2 }, 'a file that is missing';
    mkdir "$gate->{dir}/more";
    spew("$gate->{dir}/more/late.conf", "\n");
    ok wait_for { $n->() == $now + 4 }, 'comes';

    # The folder of the link sees no event: the look every two seconds does it.
    mkdir "$gate->{dir}/elsewhere";
    rename $part, "$gate->{dir}/elsewhere/part.conf" or die $!;
    symlink 'elsewhere/part.conf', $part or die $!;
    is +($gate->cli('reload'))[0], 0, 'a link in place of the file';
    $now = $n->();
    $level->(24);
    ok wait_for { $n->() == $now + 1 }, 'and its other end was written';

    spew($gate->{conf}, $good);
    ok wait_for { $n->() == $now + 2 }, 'nothing is included any more';
    is $bad->(), $failed + 2, 'and nothing failed by itself';
};

subtest 'nothing runs' => sub {
    $gate->stop_ok;
    says ['status', '-c', $gate->{conf}], 1, qr/not running/, 'status of nothing';
    says ['reload', '-c', $gate->{conf}], 1, qr/not running/, 'reload of nothing';
    says ['drain', '-c', $gate->{conf}, '1'], 1, qr/not running/, 'drain of nothing';
};

subtest 'systemd is told' => sub {
    my $name = "\0pasgate-t21-$$";
    my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $name);
    plan skip_all => "no abstract sockets: $!" unless $socket;
    local $ENV{NOTIFY_SOCKET} = '@' . substr $name, 1;
    local $ENV{WATCHDOG_USEC} = 1_000_000;
    $gate->start;
    my $told = '';
    my $hear = sub {
        my ($re) = @_;
        $socket->blocking(0);
        my $look = sub {
            my $text = '';
            $told .= "$text\n" while defined $socket->recv($text, 4096) && length $text;
            return $told =~ $re;
        };
        return wait_for(\&$look);
    };
    ok $hear->(qr/^READY=1$/m), 'READY';
    ok $hear->(qr/^STATUS=generation 1, workers serving: 2 of 2/m), 'STATUS';
    ok $hear->(qr/^WATCHDOG=1$/m), 'WATCHDOG';
    $told = '';
    $gate->cli('reload');
    ok $hear->(qr/^RELOADING=1\nMONOTONIC_USEC=\d+$/m), 'RELOADING';
    ok $hear->(qr/^RELOADING=1.*^READY=1$/ms), 'and READY again';
    $gate->stop_ok;
    ok $hear->(qr/^STOPPING=1$/m), 'STOPPING';
    my ($longest) = $told =~ /^STOPPING=1\nEXTEND_TIMEOUT_USEC=(\d+)$/m;
    cmp_ok $longest // 0, '>=', 30e6, 'and how long that may take: at least stop_timeout, 30 s';
};

done_testing;
