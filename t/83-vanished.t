# A host vanishes, as with its power: no FIN, no RST. What has no other deadline ends all the same:
# a call with first_byte = "off" to a backend there, and a client's connection from there.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

# Links need a network of the test's own.
if (!$ENV{PASGATE_TEST_NET}) {
    $ENV{PASGATE_TEST_NET} = "$> " . ($) + 0);
    exec 'unshare', ($> ? '-Urn' : '-n'), '--', $^X, $0 or die "unshare: $!";
}
# As root of that namespace only, it could not become another user.
my ($user, $group) = split ' ', delete $ENV{PASGATE_TEST_NET};
if ($user) {
    my $real = PasGate::binary();
    PasGate::sanitized();
    $ENV{PASGATE} = spew(tmp('as-user'), "#!/bin/sh\nexec unshare -U --map-user=$user --map-group=$group -- $real \"\$@\"\n");
    chmod 0755, $ENV{PASGATE};
}

sub run
{
    my ($code, $said) = run_cmd(@_);
    die "@_: $said" if $code;
    return $said;
}

# The other host: a namespace that lives as long as this process.
my $there = PasGate::spawn(tmp('there.log'), 'unshare', '-n', 'sleep', '600');
END { kill 'KILL', $there if $there }
wait_for { (readlink("/proc/$there/ns/net") // '') ne readlink '/proc/self/ns/net' and slurp("/proc/$there/comm") =~ /sleep/ };
my @on_it = ('nsenter', '-n', '-t', $there, '--');
run('ip', 'link', 'set', 'lo', 'up');
run(qw(ip link add here type veth peer name there netns), $there);
run(qw(ip address add 10.99.0.1/24 dev here));
run(qw(ip link set here up));
run(@on_it, qw(ip address add 10.99.0.2/24 dev there));
run(@on_it, qw(ip link set there up));

my ($port, $door) = free_ports(2);
my $server = spew(tmp('server.pl'), <<'END');
use IO::Socket::INET;
$SIG{CHLD} = 'IGNORE';
my $listen = IO::Socket::INET->new(Listen => 64, LocalAddr => '10.99.0.2', LocalPort => shift, ReuseAddr => 1) or die $!;
while (my $c = $listen->accept) {
    next if fork;
    alarm 120;    # of a host that has vanished no end of a connection ever comes
    my $head = '';
    while (sysread $c, $head, 4096, length $head) {
        next unless $head =~ /\r\n\r\n/;
        if ($head =~ /^\S+ \S*hang/) { my $server = getppid; sleep 1 while getppid == $server }    # until the test is over
        print $c "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        $c->flush;
        $head = '';
    }
    exit;
}
END
my $backend = PasGate::spawn(tmp('server.log'), @on_it, $^X, $server, $port);
END { kill 'KILL', $backend if $backend }

my $gate = PasGate->new(
    workers => 1,
    backends => [{ name => 'pas1', port => $port }],
    listen => qq({ address = "10.99.0.1:$door"; }),
    global => 'timeouts = { first_byte = "off"; idle = "1h"; }; tcp = { keepalive = "1s"; user_timeout = "2s"; };',
    start => 0
);
my $text = slurp($gate->{conf});
$text =~ s/127\.0\.0\.1:$port/10.99.0.2:$port/;
$gate->write_config(config => $text);
$gate->start;
ok wait_for { (eval { $gate->get('/pas/get')->{status} } // 0) == 200 }, 'the backend on the other host serves';

my $client = spew(tmp('client.pl'), <<'END');
use IO::Socket::INET;
my $c = IO::Socket::INET->new(PeerAddr => '10.99.0.1', PeerPort => shift) or die $!;
print $c "GET /pas/get HTTP/1.1\r\nHost: localhost\r\n\r\n";
sysread $c, my $got, 4096;
print STDOUT "served\n";
close STDOUT;
sleep 600;
END
my $visitor = PasGate::spawn(tmp('client.log'), @on_it, $^X, $client, $door);
END { kill 'KILL', $visitor if $visitor }
ok wait_for { slurp(tmp('client.log')) =~ /served/ }, 'a client there is served';
my $tunnel = $gate->connect;
$tunnel->write("POST /pas/hang HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi");
my $status = sub { my ($b) = @{ $gate->status->{backends} // [{}] }; $b->{in_flight} // -1 };
ok wait_for { $status->() == 1 }, 'a call waits there';
cmp_ok $gate->status->{totals}{connections}, '>=', 2, 'two clients';

run(@on_it, qw(ip link set there down));
ok wait_for { $status->() == 0 }, 'the host has vanished: the call ends, its slot is free';
my $response = $tunnel->response('POST', timeout => DEADLINE);
cmp_ok $response->{status} // 0, '>=', 500, 'its client is told';
$tunnel->close;
ok wait_for { $gate->status->{totals}{connections} == 0 }, 'the connection of the client there ends';
$gate->stop_ok;

done_testing;
