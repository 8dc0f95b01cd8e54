# What workers and healthd may not do, what the status listener does not serve, and request ids.
use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use PasGate;
use Test::More;

my $pas  = PasGate::StandIn->new('pas1');
my $gate = PasGate->new(workers => 1, backends => [$pas],
    listen => '{ address = "127.0.0.1:' . (my $other = (PasGate::free_ports(1))[0])
      . '"; serve = "status"; hosts = [ "metrics.shop.test", "*.inner.test" ]; }');

subtest 'confined by the kernel' => sub {
    for my $kind (qw(worker healthd)) {
        my ($pid) = wait_for { ($gate->pids($kind))[0] };
        my %facts = slurp("/proc/$pid/status") =~ /^(\w+):[ \t]*(.*)$/mg;
        is $facts{Seccomp}, 2, "$kind has a filter";
        is $facts{NoNewPrivs}, 1, 'and gets no privileges';
        $> == 0 and is $facts{Groups} =~ s/\s+$//r, '', 'nor has it groups of others';
    }
    unlike $gate->log_text, qr/not sandboxed|cannot be sandboxed/, 'nothing failed';
    is $gate->get('/pas/get')->{status}, 200, 'and they work';
};

# One request as it is written; the head of the response.
sub raw
{
    my ($port, $text) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 10) or die "connect: $!";
    print $s $text;
    local $/;
    my $all = <$s> // '';
    return wantarray ? split(/\r\n\r\n/, $all, 2) : $all;
}

sub status_of { return raw($_[0], "GET /healthz HTTP/1.1\r\nHost: $_[1]\r\nConnection: close\r\n\r\n") =~ m{^HTTP/1\.1 (\d+)} ? $1 : '' }

subtest 'the status listener' => sub {
    my $port = $gate->{status_port};
    is status_of($port, $_), 200, "asked as $_" for "127.0.0.1:$port", "[::1]:$port", 'localhost', "pasgate:$port", 'a.localhost', '10.1.2.3';
    is status_of($port, $_), 421, "not as $_" for 'rebind.evil.test', "rebind.evil.test:$port", 'metrics.shop.test', '127.0.0.1.nip.test';
    is status_of($other, $_), 200, "where it is a name of the listener, as $_" for 'metrics.shop.test', 'METRICS.shop.test.', 'a.inner.test';
    is status_of($other, $_), 421, "and not as $_" for 'shop.test', 'a.b.inner.test';
    like scalar(raw($port, "GET /healthz HTTP/1.0\r\n\r\n")), qr{^HTTP/1\.1 200 }, 'without a name';
    for my $method (qw(POST PUT DELETE OPTIONS)) {
        my ($head) = raw($port, "$method / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        like $head, qr{^HTTP/1\.1 (?:405|204) .*\r\nAllow: GET, HEAD}s, "$method is none of its methods";
    }
    for my $path ('/', '/status.json', '/metrics', '/healthz', '/nothing') {
        my ($head) = raw($port, "GET $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        my @wanted = (qr/^Cache-Control: no-store\r?$/mi, qr/^X-Content-Type-Options: nosniff\r?$/mi, qr/^X-Frame-Options: DENY\r?$/mi,
            qr/^Content-Security-Policy: default-src 'none'.*frame-ancestors 'none'\r?$/mi);
        is scalar(grep { $head =~ $_ } @wanted), 4, "$path: kept by nobody, framed by nobody, and nothing else than it says" or diag $head;
        is scalar(() = $head =~ /^Cache-Control:/mig), 1, 'each field once';
    }
    my ($head, $body) = raw($port, "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    like $head, qr{^HTTP/1\.1 200 }, 'HEAD';
    is $body // '', '', 'has no body';
};

# Length of the shortest linear feedback register that makes these bits (Berlekamp and Massey): of
# a generator with n bits of state that is linear, n, however many bits one has.
sub linear_complexity
{
    my @s = @_;
    my @c = (1);
    my @b = (1);
    my ($l, $m) = (0, -1);
    for my $n (0 .. $#s) {
        my $d = 0;
        $d ^= ($c[$_] // 0) & $s[$n - $_] for 0 .. $l;
        next if !$d;
        my @t = @c;
        $c[$_ + $n - $m] = ($c[$_ + $n - $m] // 0) ^ $b[$_] for 0 .. $#b;
        $_ //= 0 for @c;
        ($l, $m, @b) = ($n + 1 - $l, $n, @t) if 2 * $l <= $n;
    }
    return $l;
}

subtest 'request ids' => sub {
    my $c = $gate->connect;
    my @ids = map { $c->request('GET', '/pas/get')->{head} =~ /^X-Request-Id: (\S+)/mi ? $1 : '' } 1 .. 200;
    is scalar(grep { /^[0-9a-f]{32}$/ } @ids), 200, 'each response has one';
    my %seen = map { $_ => 1 } @ids;
    is scalar keys %seen, 200, 'of its own';
    # The lowest bit of both halves, in their order.
    my @bits = map { my $id = $_; map { hex(substr $id, $_, 1) & 1 } 0, 16 } @ids;
    cmp_ok linear_complexity(@bits), '>', 180, 'no linear generator of 128 bits makes them';
};

$gate->stop_ok;
done_testing;
