# The access log goes to a real syslogd, which may start anew, by workers that may open no other
# unix socket.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

plan skip_all => 'needs busybox for its syslogd' if system 'command -v busybox >/dev/null';
if ($>) {
    pass 'only root has a /dev of its own';
    done_testing;
    exit;
}

# The whole test has a /dev of its own, since that of the machine may have a syslogd.
if (!$ENV{PASGATE_TEST_DEV}) {
    $ENV{PASGATE_TEST_DEV} = 1;
    exec 'unshare', '-m', '--', $^X, $0 or die "unshare: $!";
}
delete $ENV{PASGATE_TEST_DEV};
my $dev = tmp('dev');
mkdir $dev;
run_cmd('mount', '-t', 'tmpfs', '-o', 'mode=0755', 'tmpfs', $dev);
for my $name (qw(null zero full random urandom shm)) {
    next if !-e "/dev/$name";
    -d "/dev/$name" ? mkdir "$dev/$name" : spew("$dev/$name", '');
    is +(run_cmd('mount', '--rbind', "/dev/$name", "$dev/$name"))[0], 0, "/dev/$name";
}
is +(run_cmd('mount', '--move', $dev, '/dev'))[0], 0, 'a /dev of its own';

my $messages = tmp('messages');
my $syslogd;

sub syslogd_start
{
    $syslogd = PasGate::spawn(tmp('syslogd.log'), 'busybox', 'syslogd', '-n', '-O', $messages);
    return wait_for { -S '/dev/log' };
}

# Asks until a line with this path has come.
sub comes
{
    my ($gate, $path) = @_;
    return wait_for { $gate->get($path, plain => 1); written() =~ m{ pasgate\[\d+\]: .*"\Q$path\E"} };
}

sub written { return -e $messages ? slurp($messages) : '' }

ok syslogd_start(), 'a syslogd runs';
my $pas  = PasGate::StandIn->new('pas1');
my $gate = PasGate->new(backends => [$pas], workers => 2, start => 0);
$gate->write_config(access => 'syslog');
$gate->start;
ok comes($gate, '/pas/get?first'), 'lines come there';
kill 'TERM', $syslogd;
PasGate::reap($syslogd, 10);
unlink '/dev/log';
is $gate->get('/pas/get', plain => 1)->{status}, 200, 'requests are served without it' for 1 .. 5;
ok syslogd_start(), 'it starts anew';
ok comes($gate, '/pas/get?second'), 'lines come there again';
$gate->stop_ok;
kill 'TERM', $syslogd;
PasGate::reap($syslogd, 10);
done_testing;
