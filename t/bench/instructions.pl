#!/usr/bin/perl
# instructions.pl: what one request costs a worker, counted by callgrind: the same on a busy machine.
#
#   t/bench/instructions.pl [--requests N] [--case NAME,...] [--last TEXT] [BINARY ...]
#
# --last: settings that only the last binary gets. Clients of this host have no limits of their own
# unless it says: 'limits = { per_client = { exempt = [ "192.0.2.0/24" ]; }; };'.
#
# Without BINARY, build/pasgate is measured; with two, the last column is second / first. Only the
# program's own instructions count, libraries included, the kernel's do not. A worker under callgrind
# is some fifty times slower: the figures are for comparing programs and cases, not times. What the
# worker does without requests is counted first, and taken off.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use Getopt::Long;
use IPC::Open2;
use JSON::PP;
use PasGate;
use Time::HiRes qw(time sleep);

my %opt = (requests => 600, case => '', last => '');
GetOptions(\%opt, 'requests=i', 'case=s', 'last=s') or die "usage: instructions.pl [--requests N] [--case NAME,...] [--last TEXT] [BINARY ...]\n";
my @binaries = map { abs_path($_) // die "$_: $!\n" } @ARGV ? @ARGV : PasGate::binary();

# c: connections of the load; backends, certs: how many are configured; weights: backends of 1, 2 and
# 3; workers: how many, all are counted; cap: slots of one backend, so that the rest of the load waits
# in the queue; time: CPU time
# in ns instead, because eight workers under callgrind on two cores miss their heartbeats, and
# loading 64 certificates costs more than all requests.
my $slow  = '/pas/delay?ms=1000';
my @cases = (
    { name => 'c1',        c => 1 },
    { name => 'c16',       c => 16 },
    { name => 'c64',       c => 64 },
    { name => 'b200',      c => 16, backends => 200 },
    { name => 'w200',      c => 16, backends => 200, weights => 1 },
    { name => 'down-100k', c => 16, path => '/pas/bytes?n=102400' },
    { name => 'up-64k',    c => 16, path => '/pas/upload', load => [qw(-b 65536)] },
    { name => 'handshake', c => 16, load => ['-H'] },
    { name => 'certs1',   c => 16, time => 1 },
    { name => 'certs64',  c => 16, certs => 64, time => 1 },
    { name => 'no-queue', c => 200,  backends => 200, workers => 8, cap => 1, path => $slow, time => 1 },
    { name => 'overload', c => 1200, backends => 200, workers => 8, cap => 1, path => $slow, time => 1 },
);
my %want = map { $_ => 1 } split /,/, $opt{case};
@cases = grep { $want{ $_->{name} } } @cases if %want;

my ($chain, $key) = make_cert('bench', 'localhost');
my @pas = map { PasGate::StandIn->new("pas$_", '-b', '0.0.0.0') } 1 .. 3;

print join("\t", 'case', map({ "instructions/request" } @binaries), @binaries > 1 ? 'ratio' : ()), "\n";
for my $case (@cases) {
    my @figure = map {
        my %with = (%$case, more => $_ == $#binaries ? $opt{last} : '');
        measure($binaries[$_], \%with);
    } 0 .. $#binaries;
    print join("\t", $case->{name}, map({ sprintf '%.0f', $_ } @figure),
        @figure > 1 ? sprintf('%.3f', $figure[1] / $figure[0]) : ()), "\n";
}

# Three services of each kind: one that opens its connections, one that then does nothing for a
# while, one that serves more requests on them. (callgrind cannot be asked about a process that was forked.)
sub measure
{
    my ($binary, $case) = @_;
    return cpu_time($binary, $case) if $case->{time};
    my $start = total($binary, $case, 2 * $case->{c}, 1);
    my $idle  = total($binary, $case, 2 * $case->{c}, 11);
    my $served = total($binary, $case, 2 * $case->{c} + $opt{requests}, 1);
    my $rate = ($idle->{instructions} - $start->{instructions}) / ($idle->{seconds} - $start->{seconds});
    my $more = $served->{seconds} - $start->{seconds};
    return ($served->{instructions} - $start->{instructions} - $rate * $more) /
      ($served->{requests} - $start->{requests});
}

# The workers' instructions in all of a service's life, for $n requests and $rest seconds without;
# and how long that was.
sub total
{
    my ($binary, $case, $n, $rest) = @_;
    my $p = begin($binary, $case);
    my $t = time;
    my $requests = load($p, $case, $n);
    sleep $rest;
    my $seconds = time - $t;
    finish($p);
    my $sum = 0;
    for my $pid (@{ $p->{workers} }) {
        my ($file) = glob "$p->{dir}/cg.$pid";
        $sum += (slurp($file // die "callgrind wrote nothing:\n" . slurp($p->{log})) =~ /^(?:summary|totals): (\d+)/m)[0];
    }
    return { instructions => $sum, seconds => $seconds, requests => $requests };
}

# CPU time of the workers for one more request on open connections, in ns; the median of three.
sub cpu_time
{
    my ($binary, $case) = @_;
    my $p = begin($binary, $case);
    my $of = sub {
        my $before = cpu_ns($p);
        my $n = load($p, $case, $_[0]);
        return (cpu_ns($p) - $before, $n);
    };
    my @each;
    for (1 .. 3) {
        my ($open, $few)  = $of->(2 * $case->{c});
        my ($cost, $many) = $of->(2 * $case->{c} + 3000);
        push @each, ($cost - $open) / ($many - $few);
    }
    finish($p);
    return (sort { $a <=> $b } @each)[1];
}

sub cpu_ns
{
    my ($p) = @_;
    my $sum = 0;
    $sum += (split ' ', slurp($_))[0] // 0 for map { glob "/proc/$_/task/*/schedstat" } @{ $p->{workers} };
    return $sum;
}

sub load
{
    my ($p, $case, $n) = @_;
    my ($code, $out) = run_cmd(tool('t/bench/load'), '-p', $p->{port}, '-d', 120, '-n', $n, '-c', $case->{c},
        '-u', $case->{path} // '/pas/bytes?n=128', @{ $case->{load} // [] });
    my ($json) = $out =~ /^(\{.*\})$/m;
    die "$case->{name}: $out\n" . slurp($p->{log}) if $code || !$json;
    return decode_json($json)->{requests};
}

sub begin
{
    my ($binary, $case) = @_;
    my $p = { dir => tmp("i$case->{name}" . int(1e6 * time)), port => free_port() };
    mkdir $p->{dir};
    chmod 0777, $p->{dir};
    $p->{log} = "$p->{dir}/log";
    my $backends = $case->{backends} // 3;
    my $cap = $case->{cap} ? "max_in_flight = $case->{cap};" : '';
    my $list = join ', ', map {
        my $b = $pas[ $_ % 3 ];
        my $weight = $case->{weights} ? 'weight = ' . (1 + $_ % 3) . ';' : '';
        sprintf '{ name = "p%d"; address = "127.0.%d.%d:%d"; %s %s }', $_, 1 + int($_ / 200), 1 + $_ % 200, $b->{port}, $cap, $weight;
    } 0 .. $backends - 1;
    my @pairs = ([ 'localhost', $chain, $key ],
        map { [ "host$_.test", make_cert("host$_", "host$_.test") ] } 2 .. $case->{certs} // 1);
    my $certs = join ', ', map { qq({ names = [ "$_->[0]" ]; chain = "$_->[1]"; key = "$_->[2]"; }) } @pairs;
    my $workers = $case->{workers} // 1;
    my $conf = spew("$p->{dir}/pasgate.conf", <<"END");
workers = $workers;
pidfile = "$p->{dir}/pid";
log = { level = "warn"; access = "off"; };
listen = ( { address = "127.0.0.1:$p->{port}"; tls = true; } );
timeouts = { idle = "300s"; };
acme = { store = "$p->{dir}/store"; };
certificates = ( $certs );
@{[ $case->{more} // '' ]}
pools = ( { name = "pas"; balance = "leastconn"; sticky = "none"; check = { type = "tcp"; };
    queue = { size = 4000; timeout = "300s"; };
    backends = ( $list ); } );
routes = ( { path = "/pas"; pool = "pas"; upstream_path = "/web"; } );
END
    my @under = $case->{time} ? () : ('valgrind', '-q', '--tool=callgrind', "--callgrind-out-file=$p->{dir}/cg.%p");
    $p->{pid} = PasGate::spawn($p->{log}, @under, $binary, 'run', '-c', $conf);
    $p->{process} = bless { pid => $p->{pid} }, 'Bench::Process';
    PasGate::remember($p->{process});
    wait_for {
        my $r = eval {
            my $c = PasGate::Conn->new($p->{port}, tls => 1, timeout => 20);
            $c->request('GET', '/pas/bytes?n=10', close => 1);
        };
        $r && $r->{status} == 200;
    } 120 or die "$binary does not serve:\n" . slurp($p->{log});
    sleep 5 if $case->{certs};    # until all are loaded
    $p->{workers} = [ grep { (slurp("/proc/$_/comm") . slurp("/proc/$_/cmdline")) =~ /worker/ } PasGate::children($p->{pid}) ];
    @{ $p->{workers} } == $workers or die "not $workers workers";
    return $p;
}

sub finish
{
    my ($p) = @_;
    PasGate::forget($p->{process});
    $p->{process}->end;
}

sub Bench::Process::end
{
    my ($it) = @_;
    kill 'TERM', $it->{pid};
    defined PasGate::reap($it->{pid}, 60) or do { kill 'KILL', -$it->{pid}; PasGate::reap($it->{pid}, 5) };
    return 1;
}
