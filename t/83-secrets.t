# Secrets of the configuration are in the memory of the supervisor, acmed and whoever restarts a
# backend, and of nobody else: neither by the tree, nor by what was freed, nor by the environment;
# however short the file is.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

# Whether a text stands anywhere in its memory; undef: only root may look.
sub has_in_memory
{
    my ($pid, $text) = @_;
    no warnings 'portable';
    open my $mem, '<:raw', "/proc/$pid/mem" or return undef;
    for (split /\n/, slurp("/proc/$pid/maps")) {
        my ($from, $to) = /^(\w+)-(\w+) r/ or next;
        my ($left, $got, $all) = (hex($to) - hex $from, '', '');
        next if m{/dev/shm/};
        sysseek $mem, hex $from, 0 or next;
        while ($left > 0 && sysread $mem, $got, $left < 1 << 20 ? $left : 1 << 20) {
            $all .= $got;
            $left -= length $got;
        }
        return 1 if index($all, $text) >= 0;
    }
    return 0;
}

my %secret = (
    'the external account'       => 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W',
    'a manager'                  => 'admin:JeKwaSprUpHegovX',
    'one from the environment'   => 'Qx7TrumpetVineFromTheEnvironment',
);
$ENV{PASGATE_TEST_SECRET} = $secret{'one from the environment'};
my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my ($port, $ca) = free_ports(2);
my $text = <<"END";
workers=1; pidfile="PIDFILE"; log={format="text";};
listen=({address="127.0.0.1:$port";});
acme={directory="https://127.0.0.1:$ca/dir"; store="STORE"; eab={kid="k"; hmac_key="$secret{'the external account'}";};};
certificates=({names=["a.test"]; acme=true;});
pools=({name="pas"; check={type="tcp";}; backends=(
{name="pas1"; address="127.0.0.1:$pas[0]{port}"; restart={command=["/bin/true"]; oemanager="$secret{'a manager'}";};},
{name="pas2"; address="127.0.0.1:$pas[1]{port}"; restart={command=["/bin/true"]; oemanager="u:\${PASGATE_TEST_SECRET}";};});});
routes=({path="/"; pool="pas";});
END
my $gate = PasGate->new(config => $text, start => 0);
$text =~ s/PIDFILE/$gate->{pidfile}/;
$text =~ s/STORE/$gate->{dir}\/s/;
cmp_ok length $text, '<', 1024, 'a short file: the allocator keeps small pieces';
spew($gate->{conf}, $text);
$gate->{plain} = $port;
$gate->start;

sub memory_ok
{
    my ($when) = @_;
    my ($acmed)  = wait_for { ($gate->pids('acmed'))[0] };
    my ($worker) = wait_for { ($gate->pids('worker'))[0] };
    my ($healthd) = wait_for { ($gate->pids('healthd'))[0] };
    my @net = wait_for { grep { slurp("/proc/$_/comm") =~ /^acmed-net/ } PasGate::children($acmed) };
    if (PasGate::sanitized() || !defined has_in_memory($acmed, 'x')) {
        pass "$when: nobody may look into their memory, or a sanitizer keeps what was freed";
        return;
    }
    is has_in_memory($acmed, substr $secret{'the external account'}, 0, 40), 1, "$when: acmed knows the account's key";
    for my $it ([worker => $worker], [healthd => $healthd], ['the network half' => $net[0]]) {
        my ($who, $pid) = @$it;
        for my $what (sort keys %secret) {
            # Not the very first bytes: of what is freed the allocator overwrites some by itself.
            my $part = substr $secret{$what}, $what eq 'a manager' ? 6 : 0;
            my @found = grep { has_in_memory($pid, substr $part, $_, 12) } $what eq 'a manager' ? (0, 4) : (0, 16, 20);
            is "@found", '', "$when: $who does not know that of $what";
        }
    }
}

memory_ok('at start');
spew($gate->{conf}, $text =~ s/workers=1/workers=2/r);
is +($gate->cli('reload'))[0], 0, 'reload';
memory_ok('after a reload');

my ($code, $dump) = $gate->cli('check', '--dump');
is $code, 0, 'check --dump';
unlike $dump, qr/\Q$_\E/, 'has no secret' for map { substr $_, 8 } values %secret;
like $dump, qr/hmac_key = "\*\*\*";/, 'but says that there is one';
like $dump, qr/oemanager = "admin:\*\*\*";/, 'and whose';

$gate->stop_ok;
done_testing;
