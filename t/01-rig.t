# The rig itself: clients, stand-ins and scripted backends talk to each other as the other
# tests expect it, without pasgate between them.
use strict;
use warnings;
use Compress::Raw::Zlib qw(crc32);
use lib 't/lib';
use JSON::PP;
use PasGate;
use Test::More;

my $pas = PasGate::StandIn->new('pasX', '-B', tmp('book'));
my $c   = PasGate::Conn->new($pas->{port});

my $r = $c->request('GET', '/web/get?a=b');
is $r->{status}, 200, 'a stand-in answers';
is decode_json($r->{body})->{args}{a}, 'b', 'what was asked';
is $r->{h}{'x-instance'}, 'pasX', 'with its name';

$r = $c->request('GET', '/web/bytes?n=300000&chunked=1000');
is $r->{h}{'transfer-encoding'}, 'chunked', 'chunked on the same connection';
is sprintf('%08x', crc32($r->{body})), $c->request('GET', '/web/sum?n=300000')->{body}, 'read rightly';

$r = $c->request('POST', '/web/echo', chunked => ['abc', 'x' x 70000]);
is $r->{body}, 'abc' . 'x' x 70000, 'a chunked body comes back';
$r = $c->request('HEAD', '/web/bytes?n=10');
is "$r->{status} $r->{body}", '200 ', 'HEAD has no body';
$c->close;

$pas->kill;
ok !eval { PasGate::Conn->new($pas->{port}) }, 'a killed one refuses';
$pas->start;
is(PasGate::Conn->new($pas->{port})->request('GET', '/web/get')->{status}, 200, 'and comes back on its port');
like(PasGate::Conn->new($pas->{ctl})->request('GET', '/ctl/requests')->{body}, qr{"target":"/web/echo"},
    'its book outlives SIGKILL');
like $pas->ctl('mode=500'), qr/"mode":"500"/, 'its control port obeys';
is(PasGate::Conn->new($pas->{port})->request('GET', '/web/get')->{status}, 500, 'and it is ill');

my $raw = PasGate::Scripted->new(reply => sub {
    my ($request, $connection, $n) = @_;
    return ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 0.01, "$connection:$n");
});
$c = PasGate::Conn->new($raw->{port});
is $c->request('GET', '/')->{body}, '1:1', 'a scripted answer';
is $c->request('POST', '/x', body => 'body')->{body}, '1:2', 'another';
like +($raw->seen)[0], qr{^GET / HTTP/1.1\r\n.*POST /x.*\r\n\r\nbody\z}s, 'it kept every byte';
ok $raw->end, 'and ends';

my @r = in_parallel(sub { 1 }, sub { [2] }, sub { die "three\n" });
is_deeply \@r, [1, [2], { died => "three\n" }], 'jobs in parallel';
my ($chain) = make_cert('x', 'a.test', 'b.test');
# A test that ends, however it does, takes everything with it that it started.
for my $how ('exit', 'die "on purpose\n"', 'kill "TERM", $$', 'kill "KILL", $$') {
    my $code = 'use lib "t/lib"; use PasGate; $| = 1; '
      . 'my @all = ((map { PasGate::StandIn->new("s$_") } 1 .. 3), PasGate::Scripted->new);'
      . "print join(' ', map { \$_->{pid} } \@all), qq(\\n); $how";
    local $ENV{TMPDIR} = tmp();
    my ($pids) = (run_cmd($^X, '-e', $code))[1] =~ /^(\d+(?: \d+){3})$/m;
    ok $pids && wait_for { !grep { kill 0, $_ } split ' ', $pids }, "$how leaves no process";
}
like +(run_cmd('openssl', 'x509', '-in', $chain, '-noout', '-text'))[1], qr/DNS:a.test, DNS:b.test/, 'a certificate';
done_testing;
