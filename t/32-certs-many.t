# A thousand certificates: each name gets its own, people can still read the status, and neither
# memory nor a reload grows beyond what is reasonable. What does not fit is one clear line.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use IO::Socket::SSL;
use Test::More;

use constant MANY => 1024;

my $pas = PasGate::StandIn->new('pas1');

sub served
{
    my ($gate, $name) = @_;
    my $sock = IO::Socket::SSL->new(
        PeerAddr => '127.0.0.1', PeerPort => $gate->{tls}, SSL_hostname => $name,
        SSL_verify_mode => SSL_VERIFY_NONE, Timeout => 10
    ) or return "no TLS: $SSL_ERROR";
    my $cn = $sock->peer_certificate('cn') // '';
    $sock->close;
    return $cn;
}

sub certs
{
    return join ', ', map { qq({ names = [ "n$_.many.test" ]; self_signed = true; }) } 1 .. $_[0];
}

sub all_loaded
{
    my ($gate) = @_;
    my @rows = @{ $gate->status->{certificates} // [] };
    return @rows && !grep { $_->{generation} == 0 || $_->{loaded} < 2 } @rows;
}

# KiB that only this process has.
sub private_kib
{
    my ($pid) = @_;
    return slurp("/proc/$pid/smaps_rollup") =~ /^Private_Dirty:\s+(\d+)/m ? $1 : 0;
}

sub workers { return grep { slurp("/proc/$_/comm") =~ /^pasgate:worker/ } PasGate::children($_[0]{pid}) }

subtest 'a thousand, and one' => sub {
    my $one = PasGate->new(backends => [$pas], workers => 2, certs => certs(1));
    my $few = private_kib((workers($one))[0]);
    $one->stop_ok;

    my $gate = PasGate->new(backends => [$pas], workers => 2, certs => certs(MANY));
    ok wait_for(sub { all_loaded($gate) }, 120), 'all are loaded by both workers' or return $gate->tell;
    is served($gate, "n$_.many.test"), "n$_.many.test", "n$_ gets its own" for 1, 2, 513, MANY;
    is served($gate, 'nobody.test'), 'n1.many.test', 'another name that of the first';
    unlike $gate->log_text, qr/missed|killed|hangs/, 'nobody was taken for one that hangs';

    my ($code, $said) = $gate->cli('cert', 'list');
    is $said =~ tr/\n//, MANY + 1, 'cert list has all';
    ($code, $said) = $gate->cli('status');
    cmp_ok $said =~ tr/\n//, '<', 90, 'the status can be read';
    like $said, qr/^974 more, all as configured: `pasgate cert list`$/m, 'and says how many there are';
    my $page = $gate->get('/', plain => 1, port => $gate->{status_port})->{body};
    cmp_ok length $page, '<', 64 * 1024, 'the page, too';

    SKIP: {
        skip 'memory of a sanitizer', 1 if PasGate::sanitized();
        my $many = private_kib((workers($gate))[0]);
        note "a worker has $few KiB with one, $many KiB with " . MANY;
        cmp_ok $many - $few, '<', 40 * MANY, 'a worker needs less than 40 KiB for each';
    }
    ($code, $said) = $gate->cli('reload');
    is $code, 0, 'a reload' or diag $said;
    is served($gate, 'n777.many.test'), 'n777.many.test', 'after which each has its own';
    $gate->stop_ok;
};

subtest 'what does not fit' => sub {
    my $check = sub {
        my ($certs) = @_;
        my $gate = PasGate->new(backends => [$pas], certs => $certs, start => 0);
        my ($code, @said) = run_cmd(PasGate::binary(), 'check', '-c', $gate->{conf});
        return "$code @said";
    };
    like $check->(certs(MANY + 1)),
      qr/^78 [^\n]*certificates: has 1025 entries; write 0 to 1024: one can have 100 names, or a wildcard/s, 'a certificate';
    like $check->(sprintf '{ names = [ %s ]; }', join ', ', map { qq("n$_.many.test") } 1 .. 101),
      qr/^78 .*names: has 101 entries; write 1 to 100: the others need a certificate of their own/s, 'a name';
    my $said = $check->(join ', ', map { qq({ names = [ "n$_.many.test" ]; }) } 1 .. 300);
    like $said, qr/^0 .*: 200 more warnings; fix these first/s, 'of many warnings, the first';
    my $twice = join ', ', map { my $c = $_; sprintf '{ names = [ %s ]; self_signed = true; }', join ', ', map { qq("n$_.c$c.test") } 1 .. 40 } 1 .. 1000;
    like $check->(qq($twice, { names = [ "n7.c500.test" ]; self_signed = true; })), qr/^78 .*"n7\.c500\.test" twice/s, 'one of 40,000 names twice';
};

done_testing;
