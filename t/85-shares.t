# What one client may have of what all share (limits.per_client): one address is at its limits, over
# several workers, and others do not feel it.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use SlowClients;
use Test::More;
use Time::HiRes qw(time sleep);

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my ($greedy, $other) = ('127.0.0.2', '127.0.0.3');

# A gate whose clients come from the loopback network, which by default has no limits.
sub gate
{
    my ($limits, %opt) = @_;
    return PasGate->new(workers => 2, backends => \@pas, %opt,
        global => qq(limits = { per_client = { exempt = [ "192.0.2.0/24", "127.0.0.1" ]; $limits } };) . ($opt{more} // ''));
}

sub refusals { return $_[0]->status->{totals}{client_refusals}{ $_[1] } // 0 }

# Its counter, its metric, its line in the log, and what the status says.
sub told
{
    my ($gate, $limit, $least) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok wait_for { refusals($gate, $limit) >= $least }, "counted: $limit";
    my $metrics = $gate->get('/metrics', plain => 1, port => $gate->{status_port})->{body};
    my ($n) = $metrics =~ /^pasgate_client_refusals_total\{limit="$limit"\} (\d+)$/m;
    cmp_ok $n // 0, '>=', $least, 'a metric';
    ok $gate->wait_log(qr/ warn .*client \Q$greedy\E is over limits\.per_client\.$limit = \d+ \(\d+ /), 'the log says who and what';
    my $lines = () = $gate->log_text =~ /is over limits\.per_client\.$limit/g;
    cmp_ok $lines, '<=', 3, 'not each time';
    my ($row) = grep { $_->{address} eq $greedy } @{ $gate->status->{clients} };
    cmp_ok $row->{refused} // 0, '>=', 1, 'the status shows it';
    like +($gate->cli('status'))[1], qr/refused by limits\.per_client\.$limit: \d+.*clients over their limits: \Q$greedy\E/s, 'as text, too';
}

sub served
{
    my ($gate, $from, $n) = @_;
    my %status;
    $status{ (eval { $gate->get('/pas/get', plain => 1, from => $from) } // {})->{status} // 'none' }++ for 1 .. $n;
    return \%status;
}

# true if the connection is kept: it is not closed while others are served.
sub is_open
{
    my ($c) = @_;
    return 0 unless $c;
    $c->write("\r\n");
    return !$c->fill(0.05) && !$c->{eof};
}

subtest 'connections' => sub {
    my $gate = gate('connections = 20;');
    my @open = map { eval { $gate->connect(plain => 1, from => $greedy) } } 1 .. 60;
    ok wait_for { refusals($gate, 'connections') >= 40 }, 'sixty of one client: forty are closed';
    # Two workers that meet at the last one may both step back, but never both stay.
    my $stay = grep { is_open($_) } @open;
    ok $stay <= 20 && $stay >= 18, "twenty stay: $stay";
    is_deeply served($gate, $other, 30), { 200 => 30 }, 'others are served';
    is_deeply served($gate, '127.0.0.1', 5), { 200 => 5 }, 'as is who is exempt';
    told($gate, 'connections', 40);
    for my $c (grep { $_ } @open) { close $c->{sock} }
    ok wait_for { (served($gate, $greedy, 1))->{200} }, 'when they have ended, it may come again';
    $gate->stop_ok;
};

subtest 'connections per second' => sub {
    my $gate = gate('connection_rate = 5;');
    my $from = time;
    my %got = %{ served($gate, $greedy, 60) };
    cmp_ok $got{200}, '>=', 20, 'a burst is served';
    # A worker does not count what others let in before it knew the client.
    cmp_ok $got{200}, '<=', 41 + 5 * (time - $from), "then five per second: $got{200} in all";
    is_deeply served($gate, $other, 15), { 200 => 15 }, 'others are served';
    told($gate, 'connection_rate', 1);
    $gate->stop_ok;
};

subtest 'requests in progress' => sub {
    my $gate = gate('requests = 6;');
    my @run = map {
        my $c = $gate->connect(plain => 1, from => $greedy);
        $c->write($c->build('GET', '/pas/delay?ms=2500'));
        $c;
    } 1 .. 24;
    my %status;
    my @refused;
    ok wait_for { refusals($gate, 'requests') >= 12 }, 'of many at once most are refused';
    is_deeply served($gate, $other, 20), { 200 => 20 }, 'others are served meanwhile';
    for (@run) {
        my $r = $_->response('GET');
        $status{ $r->{status} }++;
        push @refused, $r if $r->{status} == 503;
    }
    # A worker's part is its own, even if another one has all of the rest.
    ok $status{200} >= 6 && $status{200} <= 9, "six, or some more, are served: $status{200}";
    is $status{200} + $status{503}, 24, 'the others get 503';
    like $refused[0]{h}{'retry-after'}, qr/^\d+$/, 'with Retry-After';
    my @lines = lines($gate, scalar @refused, sub { $_->{status} == 503 });
    like $lines[0]{detail}, qr/limits\.per_client\.requests/, 'the access log says why';
    told($gate, 'requests', 12);
    is $gate->status->{totals}{own_errors}, 0, 'it is not an error of ours';
    is_deeply served($gate, $greedy, 3), { 200 => 3 }, 'afterwards it is served';
    $_->close for @run;
    $gate->stop_ok;
};

subtest 'requests per second' => sub {
    my $gate = gate('request_rate = 10;');
    my ($from, %got, $last) = (time);
    for (1 .. 120) {
        my $r = $gate->get('/pas/get', plain => 1, from => $greedy);
        $got{ $r->{status} }++;
        $last = $r if $r->{status} == 429;
    }
    cmp_ok $got{200}, '>=', 40, 'a burst is served';
    # One worker may have the whole burst, and the other its part.
    cmp_ok $got{200}, '<=', 62 + 10 * (time - $from), "then ten per second: $got{200} in all";
    is $got{200} + $got{429}, 120, 'the others get 429';
    like $last->{h}{'retry-after'}, qr/^[1-9]\d*$/, 'with Retry-After';
    like $last->{h}{connection}, qr/close/, 'and their connection ends';
    is_deeply served($gate, $other, 30), { 200 => 30 }, 'others are served';
    told($gate, 'request_rate', 1);
    $gate->stop_ok;
};

subtest 'requests per second, by HTTP/2' => sub {
    my $gate = gate('request_rate = 10;');
    my $file = tmp('codes');
    my $curl = sub {
        my ($from, $n) = @_;
        my ($code, $out) = run_cmd('curl', '-sS', '-4', '--http2', '-k', '--interface', $from, '-o', '/dev/null',
            '-w', '%{http_version} %{http_code} %{num_connects}\n', "https://localhost:$gate->{tls}/pas/get?n=[1-$n]");
        my %got;
        $got{$_}++ for $out =~ /^(\S+ \d+) \d+$/mg;
        return \%got;
    };
    my $got = $curl->($greedy, 120);
    cmp_ok $got->{'2 200'} // 0, '>=', 40, 'a burst is served';
    cmp_ok $got->{'2 429'} // 0, '>=', 20, 'then streams get 429';
    is_deeply $curl->($other, 30), { '2 200' => 30 }, 'others are served';
    $gate->stop_ok;
};

subtest 'what is an offence' => sub {
    my $gate = gate('offences = 100000;');
    my $count = sub { my ($r) = grep { $_->{address} eq $greedy } @{ $gate->status->{clients} }; $r->{offences} // 0 };
    my $send = sub {
        my ($bytes) = @_;
        my $c = $gate->connect(plain => 1, from => $greedy);
        $c->write($bytes);
        return $c;
    };
    my $c = $send->("GET /pas/delay?ms=3000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ok wait_for { in_flight($gate) == 1 }, 'a request';
    $c->abort;
    ok wait_for { in_flight($gate) == 0 }, 'whose client goes away';
    is $count->(), 0, 'is none';
    my $n = 0;
    for my $case (['a malformed head', "GET / HTTP/1.1\r\nnonsense\r\n\r\n"],
        ['a head that is cut', "GET / HTTP/1.1\r\nHost:"],
        ['a body that is cut', "POST /pas/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nxx"],
        ['a malformed body', "POST /pas/upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]) {
        my $s = $send->($case->[1]);
        $s->fill(0.3);
        $s->abort;
        $n++;
        ok wait_for { $count->() == $n }, "$case->[0] is one" or diag $count->();
    }
    my $tls = PasGate::Conn->new($gate->{tls}, from => $greedy);
    $tls->write("\x16\x09\x09\xff\xff" . 'x' x 3000);
    $tls->rest;
    ok wait_for { $count->() == $n + 1 }, 'noise instead of a handshake is one';
    $gate->stop_ok;
};

subtest 'the clients that a trusted load balancer reports' => sub {
    my $gate = gate('request_rate = 5; connections = 2;', more => 'trusted = [ "127.0.0.9" ];');
    my @keep = map { $gate->connect(plain => 1, from => '127.0.0.9') } 1 .. 10;
    my %got;
    for my $n (1 .. 40) {
        for my $client ($greedy, "192.0.2.$n", "198.51.100.$n") {
            my $c = $gate->connect(plain => 1, from => '127.0.0.9');
            my $r = $c->request('GET', '/pas/get', headers => [['X-Forwarded-For', $client]], close => 1);
            $got{$client eq $greedy ? 'greedy' : 'others'}{ $r->{status} }++;
            $c->close;
        }
    }
    is_deeply $got{others}, { 200 => 80 }, 'each client is one of its own';
    cmp_ok $got{greedy}{429} // 0, '>=', 1, 'and has its limits: some get 429';
    ok wait_for { served($gate, $greedy, 10)->{429} }, 'the same as for its own connections';
    is scalar(grep { is_open($_) } @keep), 10, 'the balancer itself has none';
    $_->close for @keep;
    $gate->stop_ok;
};

subtest 'bytes in buffers' => sub {
    my $gate = gate('bytes = "512k";');
    my $upload = sub {
        my $c = $gate->connect(plain => 1, from => $_[0]);
        $c->write($c->build('POST', '/pas/upload', headers => [['Content-Length', 50_000]]) . 'x' x 40_000);
        return $c;
    };
    my @slow = map { $upload->($greedy) } 1 .. 30;
    ok wait_for { refusals($gate, 'bytes') >= 1 }, 'slow uploads of one client are bounded';
    my $fine = $upload->($other);
    $fine->write('x' x 10_000);
    is $fine->response('POST')->{status}, 200, 'another one is served';
    my ($row) = grep { $_->{address} eq $greedy } @{ $gate->status->{clients} };
    cmp_ok $row->{bytes}, '<=', 900_000, 'it holds no more than it may, and one for each worker';
    my %got;
    for my $c (@slow) {
        $c->write('x' x 10_000);
        $got{ $c->response('POST')->{status} }++;
    }
    is $got{200} + $got{503}, 30, 'the others get 503' or diag explain \%got;
    cmp_ok $got{200}, '>=', 5, "those that fit are served: $got{200}";
    told($gate, 'bytes', 1);
    ok wait_for { my ($r) = grep { $_->{address} eq $greedy } @{ $gate->status->{clients} }; !$r || !$r->{bytes} }, 'then it holds nothing';
    $_->close for @slow, $fine;
    $gate->stop_ok;
};

subtest 'who breaks the protocol often' => sub {
    my $gate = gate('offences = 40; refuse = "3s";');
    my $bad = sub {
        my $c = eval { $gate->connect(plain => 1, from => $greedy) } or return 'none';
        $c->write("GET / HTTP/1.1\r\nnonsense\r\n\r\n");
        return $c->response('GET')->{status} || 'none';
    };
    my $kept = $gate->connect(plain => 1, from => $greedy);
    is $kept->request('GET', '/pas/get')->{status}, 200, 'a connection';
    my %got;
    $got{ $bad->() }++ for 1 .. 80;
    cmp_ok $got{400}, '>=', 39, 'bad requests get 400';
    cmp_ok $got{none}, '>=', 20, 'then no connection is taken';
    is_deeply served($gate, $other, 10), { 200 => 10 }, 'others are served';
    my $r = $kept->request('GET', '/pas/get');
    # Its worker may not have asked the others since.
    ok $r->{status} == 429 || $r->{status} == 200, 'on a connection that it had: 429';
    like $r->{h}{'retry-after'}, qr/^[1-4]$/, 'for the rest of the time' if $r->{status} == 429;
    told($gate, 'offences', 20);
    ok wait_for { (served($gate, $greedy, 1))->{200} }, 'later it is served again';
    $kept->close;
    $gate->stop_ok;
};

subtest 'slow uploads hold no session of a backend' => sub {
    my $gate = PasGate->new(workers => 1, backends => [$pas[0]], pool => 'max_in_flight = 1; queue = { size = 10; timeout = "2s"; };');
    my @slow = map {
        my $c = $gate->connect(plain => 1, from => $greedy);
        $c->write($c->build('POST', '/pas/upload', headers => [['Content-Length', 60_000]]) . 'x' x 50_000);
        $c;
    } 1 .. 10;
    ok wait_for { total($gate, 'exchanges') == 10 }, 'ten uploads that fit the buffer, at a backend with one slot';
    is_deeply served($gate, $other, 20), { 200 => 20 }, 'others are served';
    is in_flight($gate), 0, 'nothing runs there';
    $_->write('x' x 10_000) for @slow;
    is_deeply [map { $_->response('POST')->{status} } @slow], [(200) x 10], 'each is served when it is whole';
    $_->close for @slow;
    $gate->stop_ok;
};

subtest 'off' => sub {
    my $off = join ' ', map { qq($_ = "off";) } qw(connections connection_rate requests request_rate bytes offences);
    my $gate = gate($off);
    is_deeply served($gate, $greedy, 30), { 200 => 30 }, 'without any limit';
    is_deeply $gate->status->{clients}, [], 'nobody is remembered';
    $gate->stop_ok;
};

done_testing;
