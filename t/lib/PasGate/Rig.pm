# PasGate::Rig: what tests and their modules need around the programs: waiting, files, ports,
# certificates, processes. PasGate exports it; all that a test starts is ended with it.
package PasGate::Rig;
use strict;
use warnings;
use Exporter 'import';
use Fcntl qw(:flock);
use File::Basename qw(basename);
use File::Copy qw(copy);
use File::Temp ();
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(:sys_wait_h _exit);
use Test::More ();
use Time::HiRes qw(time sleep);

our @EXPORT = qw(sanitized wait_for free_port free_ports tmp spew slurp run_cmd make_cert make_dated tool
  rss_kb in_parallel preloaded DEADLINE);
our @EXPORT_OK = qw(test_tools binary for_all spawn reap remember forget);

use constant DEADLINE => 20;    # seconds: default limit of every wait

$SIG{PIPE} = 'IGNORE';
$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);    # so that END runs
my $owner = $$;                 # END blocks run in forked children too
my $folder;
my @running;                    # everything to be ended, latest first
my %taken;                      # ports given out, and the locks on them

# ---- small things

# Calls $cond until it returns true, and returns that value; undef after $seconds.
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

# The directory of this test: readable by the user that pasgate switches to.
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

# Free ports, reserved for this test until it ends by one locked file each. They are below the range
# that the kernel gives to clients, of which tests have thousands.
sub free_ports
{
    my ($n) = @_;
    my ($low, $high) = (10_000, 32_000);
    my $locks = '/tmp/pasgate-test-ports';
    my @ports;
    mkdir $locks and chmod 01777, $locks;
    for my $try (1 .. $high - $low) {
        my $port = $low + int rand($high - $low);
        next if $taken{$port};
        open my $lock, '>>', "$locks/$port" or next;
        flock $lock, LOCK_EX | LOCK_NB or next;
        IO::Socket::INET->new(Listen => 1, LocalAddr => '0.0.0.0', LocalPort => $port) or next;
        $taken{$port} = $lock;
        push @ports, $port;
        return @ports if @ports == $n;
    }
    die "no free port: $!";
}

sub free_port { return (free_ports(1))[0] }

sub tool { return ($ENV{TOOLS} // 'build') . "/$_[0]" }

# Where t/install-deps.sh puts tools for which the machine's packages are too old.
sub test_tools
{
    return ($ENV{XDG_CACHE_HOME} || ($ENV{HOME} || '/tmp') . '/.cache') . '/pasgate-test-tools';
}

sub binary { return $ENV{PASGATE} // tool('pasgate') }

# A copy of a program that other users may run, wherever the build is.
sub for_all
{
    my ($program) = @_;
    my $copy = tmp('for-all') . '/' . basename($program);
    mkdir tmp('for-all');
    copy($program, $copy) && chmod 0755, $copy or die "$copy: $!";
    return $copy;
}

# True if the binary is an ASan build, which is slower and uses memory differently.
my %sanitized;
sub sanitized
{
    return $sanitized{ binary() } //= (run_cmd('grep', '-q', '__asan_init', binary()))[0] == 0 ? 1 : 0;
}

# Runs a command; returns (exit code, standard output and error).
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

# Runs each code in its own process, all at once; returns their results in order. A result is
# anything that JSON can hold.
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

# Creates a CA for this test, and a certificate for the names, signed by it: (chain file, key file).
# $id names the files; a second call with the same id replaces them.
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

# A certificate of that CA for a request ("$id.csr" of make_cert), valid from and until so many days
# from now; returns its file.
sub make_dated
{
    my ($csr, $from, $to, $names) = @_;
    my $at = sub { my @t = gmtime(time + 86400 * $_[0]); sprintf '%04d%02d%02d000000Z', $t[5] + 1900, $t[4] + 1, $t[3] };
    my $db = tmp('dated');
    mkdir $db;
    spew("$db/index.txt", '');
    spew("$db/ca.cnf", "[ca]\ndefault_ca=it\n[it]\ndatabase=$db/index.txt\nnew_certs_dir=$db\nrand_serial=yes\n"
          . "default_md=sha256\npolicy=any\nx509_extensions=ext\n[any]\ncommonName=supplied\n"
          . "[ext]\nsubjectAltName=$names\nauthorityKeyIdentifier=keyid\n");
    my ($code, $said) = run_cmd('openssl', 'ca', '-batch', '-notext', '-config', "$db/ca.cnf", '-cert', tmp('ca.pem'),
        '-keyfile', tmp('ca.key'), '-in', $csr, '-startdate', $at->($from), '-enddate', $at->($to), '-out', "$db/new.pem");
    die $said if $code;
    return "$db/new.pem";
}

# Runs $what, and all programs that it starts, with t/preload/$library.c and these variables.
sub preloaded
{
    my ($library, $variables, $what) = @_;
    local @ENV{ keys %$variables } = values %$variables;
    local $ENV{LD_PRELOAD} = tool("t/preload/$library.so");
    $ENV{LD_PRELOAD} = "$ENV{PWD}/$ENV{LD_PRELOAD}" if $ENV{LD_PRELOAD} !~ m{^/};
    # The library stands before that of ASan, and is fine there.
    local $ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} || (), 'verify_asan_link_order=0';
    return $what->();
}

# Resident memory of a process in kilobytes; with $peak, its peak.
sub rss_kb
{
    my ($pid, $peak) = @_;
    my $field = $peak ? 'VmHWM' : 'VmRSS';
    return slurp("/proc/$pid/status") =~ /^$field:\s+(\d+)/m ? $1 : 0;
}

# ---- processes

# Starts a command with its output in a file; it is killed when this test ends, however that happens.
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

# Reaps $pid within $seconds; returns its wait status, or undef if it is still running.
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

1;
