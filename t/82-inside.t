# What an attacker in a worker or in healthd could do, tried from inside (t/preload/inside.c), and
# what `pasgate status --sandbox` says that each process may do.
use strict;
use warnings;
use lib 't/lib';
use IO::Socket::UNIX;
use PasGate;
use Test::More;

# The leak checker of a sanitized build needs much of what is forbidden, and no library may be loaded
# before the sanitizer's own: what is forbidden even there is in t/unit/sandbox.c.
if (PasGate::sanitized()) {
    pass 'a sanitized build is confined less';
    done_testing;
    exit;
}

my $pas  = PasGate::StandIn->new('pas1');
my $away = PasGate::StandIn->new('elsewhere');
my $path = tmp('listen.sock');
my $unix = IO::Socket::UNIX->new(Local => $path, Listen => 5) or die "unix socket: $!";
my ($chain, $key) = PasGate::make_cert('shop', 'shop.test', 'localhost');
chmod 0666, $key, $path;
my $note = spew(tmp('note'), 'x');
chmod 0666, $note;
sub other { my $pid = fork // die; return $pid if $pid; $) = $( = 65534 if $> == 0; $< = $> = 65534 if $> == 0; sleep 60; exit }
my $other = other();
mkdir tmp('deep');    # a worker may read the directory that the store lies in
chmod 0777, tmp('deep');
my $store = tmp('deep/store');
my $list = spew(tmp('list'), <<"END");
exec /bin/true
write $note
write-new $note.new
write-standard /dev/null
read-key $key
read-passwd-of-another /proc/$other/environ
unix $path
port-elsewhere $away->{port}
port-backend $pas->{port}
pid $other
END
my $gate = preloaded('inside', { TEST_INSIDE => $list }, sub {
    return PasGate->new(workers => 1, backends => [$pas], global => qq(acme = { store = "$store"; };),
        certs => qq({ names = [ "shop.test" ]; chain = "$chain"; key = "$key"; }));
});

for my $who (qw(worker healthd)) {
    ok $gate->wait_log(qr/INSIDE pasgate:$who done/), "$who has tried" or $gate->tell;
    my @can = $gate->log_text =~ /INSIDE pasgate:$who can (\S+)/g;
    is "@can", 'port-backend', "all that works in $who is what it is for";
}
is $gate->get('/pas/get')->{status}, 200, 'and it serves';

subtest 'status --sandbox' => sub {
    my ($code, $out) = $gate->cli('status', '--sandbox');
    is $code, 0, 'it is shown';
    my ($acmed) = $gate->pids('acmed');
    like $out, qr/^supervisor +$gate->{pid} +\d+ +none +0 /m, 'the supervisor has no filter';
    my ($kept) = $out =~ /^supervisor .* (\S+) +(?:\S+) +-$/m;
    is hex($kept // 0) & ~0x4ef, 0, 'nor a capability beside those that it needs' if ($kept // '') ne 'none';
    for my $kind (qw(worker healthd)) {
        my ($pid) = $gate->pids($kind);
        like $out, qr/^$kind.* $pid +\d+ +filter +[1-9]\d* +yes +none +none +calls files ports scope table/m, "$kind has what it reports";
    }
    like $out, qr/^acmed +$acmed +\d+ +filter +[1-9]\d* +yes +none +none +calls table/m, 'acmed, too';
} or diag +($gate->cli('status', '--sandbox'))[1];

kill 'KILL', $other;
waitpid $other, 0;
$gate->stop_ok;
done_testing;
