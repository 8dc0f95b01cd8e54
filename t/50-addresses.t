# A backend's name with several addresses: the first that passes its checks is used, another one
# when that fails, and a change of the name is followed. The test has an /etc/hosts of its own.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use IO::Socket::IP;
use Test::More;

if (!$ENV{PASGATE_TEST_HOSTS}) {
    $ENV{PASGATE_TEST_HOSTS} = 1;
    exec 'unshare', ($> ? '-Urm' : '-m'), '--', $^X, $0 or die "unshare: $!";
}

my $hosts = spew(tmp('hosts'), '');
chmod 0644, $hosts;
my ($failed, $said) = run_cmd('mount', '--bind', $hosts, '/etc/hosts');
plan skip_all => "no /etc/hosts of its own: $said" if $failed;

# In place, as it is mounted.
sub name_is
{
    open my $out, '>', '/etc/hosts' or die "hosts: $!";
    print $out "127.0.0.1 localhost\n", map { "$_ pas.addresses.test\n" } @_;
    close $out or die "hosts: $!";
}

# Answers with its name: 200, or 500 while it is ill.
my ($port, @servers) = free_port();
sub serve
{
    my ($id, $address) = @_;
    my $listen = IO::Socket::IP->new(Listen => 64, LocalHost => $address, LocalPort => $port, ReuseAddr => 1) or return 0;
    my $pid = fork // die "fork: $!";
    push @servers, $pid;
    return $pid if $pid;
    local $SIG{TERM} = 'DEFAULT';
    while (my $c = $listen->accept) {
        my $request = '';
        1 while $request !~ /\r\n\r\n/ && sysread $c, $request, 4096, length $request;
        sleep 1 while -e tmp("hangs-$id");
        my $status = -e tmp("ill-$id") ? '500 Ill' : '200 OK';
        syswrite $c, sprintf "HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", $status, length $id, $id;
        close $c;
    }
    exit 0;
}
END { kill 'KILL', @servers if @servers }

serve('two', '127.0.0.2');
serve('three', '127.0.0.3');
my $six = serve('six', '::1');
my $ill = sub { my ($how, $id, $so) = @_; $so ? spew(tmp("$how-$id"), '') : unlink tmp("$how-$id") };

name_is('127.0.0.2', '127.0.0.3');
$ill->('ill', 'two', 1);
my $gate = PasGate->new(
    backends => [{ name => 'pas1', port => $port }], start => 0,
    check    => 'type = "http"; path = "/ok"; interval = "250ms"; fast_interval = "100ms"; down_interval = "250ms"; timeout = "1s"; rise = 1; fall = 2;');
my $conf = slurp($gate->{conf});
$conf =~ s/127\.0\.0\.1:$port/pas.addresses.test:$port/ or die 'no backend';
spew($gate->{conf}, $conf);
$gate->{pid} = PasGate::spawn($gate->{log}, PasGate::binary(), 'run', '-c', $gate->{conf});
PasGate::remember($gate);

# Who answers a request; who answers them from now on.
sub who { return eval { $gate->get('/pas/x', plain => 1, timeout => 2)->{body} } // '' }
sub comes_to { my ($id) = @_; return wait_for { who() eq $id } 20 }
sub failures { return () = $gate->log_text =~ /-> (?:down|suspect)/g }

ok comes_to('three'), 'the first address fails its checks: the second one' or $gate->tell;
is failures(), 0, 'which is no failure of the backend';
$ill->('ill', 'two', 0);
my @asked = map { select undef, undef, undef, 0.1; who() } 1 .. 10;
is_deeply [grep { $_ ne 'three' } @asked], [], 'it stays there when the first is well again';
$ill->('ill', 'three', 1);
ok comes_to('two'), 'and goes back when that one fails' or $gate->tell;
$ill->('ill', 'two', 1);
ok $gate->wait_log(qr/pas1 \w+ -> down: .*500/), 'when none is left it is down' or $gate->tell;
$ill->('ill', $_, 0) for qw(two three);
ok wait_for(sub { who() =~ /^(?:two|three)$/ }, 20), 'and comes back';

my $now = who();
$ill->('hangs', $now, 1);
ok comes_to($now eq 'two' ? 'three' : 'two'), "$now hangs: the other one" or $gate->tell;
$ill->('hangs', $now, 0);

SKIP: {
    skip 'no IPv6 here', 2 if !$six;
    name_is('::1');
    ok comes_to('six'), 'the name has another address' or $gate->tell;
    $ill->('ill', 'six', 1);
    name_is('::1', '127.0.0.3');
    ok comes_to('three'), 'of two families, the one that is well' or $gate->tell;
}
$gate->stop_ok;
done_testing;
