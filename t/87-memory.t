# Clients that use up memory or connections: others are served, status listeners in any case, and
# the status says what is so.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use SlowClients;
use Test::More;
use Time::HiRes qw(sleep);

my $pas = PasGate::StandIn->new('pas');

sub gate { return PasGate->new(workers => 1, backends => [$pas], @_) }

sub healthz
{
    my ($gate) = @_;
    my $r = eval { $gate->get('/healthz', plain => 1, port => $gate->{status_port}, timeout => DEADLINE) } // {};
    return $r->{status};
}

sub text { return $_[0]->status->{health}{text} // '' }

my $body = 'x' x 64_000;

sub upload
{
    my ($gate) = @_;
    my $c = $gate->connect(plain => 1);
    $c->write($c->build('POST', '/pas/upload', headers => [['Content-Length', 65_000]]) . $body);
    return $c;
}

subtest 'bodies that stop' => sub {
    my $gate = gate(global => 'limits = { memory = "1m"; response_memory = "64k"; }; timeouts = { body = "300s"; };');
    my @slow;
    for my $n (1 .. 20) {
        push @slow, upload($gate);
        my %got = (get => $gate->get('/pas/get', plain => 1)->{status}, healthz => healthz($gate));
        is_deeply \%got, { get => 200, healthz => 200 }, "others are served beside $n of them";
    }
    my $quick = $gate->connect(plain => 1)->request('POST', '/pas/upload', body => $body);
    is $quick->{status}, 200, 'and a body that comes at once, too';
    is $slow[0]->response('POST')->{status}, 408, 'the oldest one made room';
    my $last = $slow[-1];
    $last->write('x' x 1000);
    is $last->response('POST')->{status}, 200, 'the youngest one is served when its body is whole';
    my ($line) = lines($gate, 1, sub { $_->{status} == 408 });
    like $line->{detail}, qr/made room for others \(limits\.memory\)/, 'the access log says why';
    is total($gate, 'memory_refused'), 0, 'no request was refused';
    like text($gate), qr/^attention: slow request bodies were ended with 408/, 'the status says it first';
    $gate->wait_log(qr/request bodies that are still coming have filled their half of limits\.memory/);
    $_->abort for @slow;
    $gate->stop_ok;
};

sub served { my ($gate) = @_; return (eval { $gate->get('/pas/get', plain => 1, timeout => DEADLINE)->{status} } // 0) == 200 }

subtest 'heads that are not finished' => sub {
    my $gate = gate(global => 'limits = { memory = "1m"; }; timeouts = { header = "300s"; };');
    my @c;
    # 64 fit into the memory. So many need more than the second for which a head stays.
    for my $n (1 .. 150) {
        push @c, $gate->connect(plain => 1);
        $c[-1]->write("GET / HTTP/1.1\r\n");
        sleep 0.025;
        next if $n % 10;
        is_deeply [served($gate), healthz($gate)], [1, 200], "others are served beside $n of them";
    }
    is total($gate, 'memory_refused'), 0, 'no request was refused';
    is $c[0]->response('GET')->{status}, 408, 'the oldest one made room';
    my ($line) = lines($gate, 1, sub { $_->{status} == 408 });
    like $line->{detail}, qr/incomplete request made room for others \(limits\.memory\)/, 'the access log says why';
    cmp_ok total($gate, 'heads_dropped'), '>=', 150 - 64, 'they are counted';
    like text($gate), qr/attention: connections without a complete request were ended/, 'the status says it';
    ok $gate->wait_log(qr/clients that do not complete their requests have used up limits\.memory/), 'and the log';
    $c[-1]->write("Host: localhost\r\n\r\n");
    is $c[-1]->response('GET')->{status}, 200, 'the youngest one may go on';
    $_->abort for @c;
    $gate->stop_ok;
};

subtest 'requests that run' => sub {
    my $gate = gate(global => 'limits = { memory = "1m"; };');
    my $idle = $gate->connect(plain => 1);
    is $idle->request('GET', '/pas/get')->{status}, 200, 'a client that comes before';
    my @c;
    for my $n (1 .. 60) {
        push @c, $gate->connect(plain => 1);
        $c[-1]->write($c[-1]->build('GET', "/pas/delay?ms=60000&n=$n"));
    }
    ok wait_for { total($gate, 'memory_refused') > 0 }, 'they fill limits.memory';
    my $r = $gate->get('/pas/get?refused', plain => 1);
    is $r->{status}, 503, 'a request gets 503';
    like $r->{h}{'retry-after'} // '', qr/^\d+$/, '  with Retry-After';
    like $r->{h}{'proxy-status'} // '', qr/limits\.memory/, '  with Proxy-Status';
    my $id = $r->{h}{'x-request-id'} // 'none';
    my ($line) = lines($gate, 1, sub { ($_->{id} // '') eq $id });
    is_deeply [@{ $line // {} }{qw(method target end)}], ['GET', '/pas/get?refused', 'proxy'], '  and a whole line in the access log';
    is healthz($gate), 200, 'the status listener serves';
    like text($gate), qr/^attention: requests were refused with 503/, 'the status says it first';
    is total($gate, 'heads_dropped'), 0, 'none of them was ended';
    # Heads that take the last of it, for a second.
    push @c, map { my $c = $gate->connect(plain => 1); $c->write("GET / HTTP/1.1\r\n"); $c } 1 .. 4;
    is $c[-1]->response('GET')->{status}, 503, 'half a head gets 503, too';
    my ($there, $errors, $refused) = map { total($gate, $_) } qw(connections own_errors memory_refused);
    $idle->close;
    ok wait_for { total($gate, 'connections') < $there }, 'the one that came before goes';
    is total($gate, 'own_errors'), $errors, '  which is not a request';
    is total($gate, 'memory_refused'), $refused, '  and none that was refused';
    $_->abort for @c;
    ok wait_for { served($gate) }, 'until there is room again';
    $gate->stop_ok;
};

# What has no complete request lets others in: plain, and within the TLS handshake.
subtest 'clients that use up the connections' => sub {
    my $gate = gate(global => 'limits = { connections = 50; }; timeouts = { header = "300s"; handshake = "300s"; };');
    my %says = (nothing => [''], 'half a head' => ["GET / HTTP/1.1\r\n"], 'half a ClientHello' => ["\x16\x03\x01\x02\x00\x01", 1]);
    for my $what (sort keys %says) {
        my ($bytes, $tls) = @{ $says{$what} };
        my $before = total($gate, 'heads_dropped');
        my $runs = $gate->connect(plain => 1);
        $runs->write($runs->build('GET', '/pas/delay?ms=4000'));
        my @c = map { PasGate::Conn->new($tls ? $gate->{tls} : $gate->{plain}) } 1 .. 80;
        length $bytes and $_->write($bytes) for @c;
        ok served($gate), "others are served beside 80 that send $what";
        is healthz($gate), 200, '  so is the status listener';
        is $runs->response('GET')->{status}, 200, '  so is the one that was there before';
        ok wait_for { total($gate, 'heads_dropped') - $before >= 30 }, '  they are counted';
        $_->abort for @c;
        ok wait_for { $gate->status->{totals}{connections} <= 2 }, '  they are gone';
    }
    ok $gate->wait_log(qr/the oldest connections without a complete request closed to make room for others: limits\.connections/), 'it is told';
    $gate->stop_ok;
};

# A request is kept as long as it may have to be sent again: not while its response, or its tunnel,
# goes on.
subtest 'what goes on for long' => sub {
    my $head = 16 * 1024;    # WORKER_HEAD_BUFFER
    my $raw = PasGate::Scripted->new(serve => sub {
        my ($sock, $record) = @_;
        my $buf = '';
        my $request = PasGate::Scripted::read_request($sock, \$buf, $record) // return;
        syswrite $sock, $request =~ /upgrade/i ? "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
          : "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
        sysread $sock, my $end, 1;
    });
    my $gate = PasGate->new(workers => 1, backends => [$pas], routes => '{ path = "/raw"; pool = "raw"; }, { path = "/pas"; pool = "pas"; upstream_path = "/web"; }',
        more_pools => [qq(name = "raw"; backends = ( { name = "raw"; address = "127.0.0.1:$raw->{port}"; } ); check = { type = "tcp"; interval = "30s"; };)]);
    my %ask = (tunnel => [headers => [['Upgrade', 'websocket'], ['Connection', 'Upgrade'], ['Sec-WebSocket-Version', '13'], ['Sec-WebSocket-Key', 'a2V5']]], stream => []);
    for my $what (sort keys %ask) {
        my @c = map { $gate->connect(plain => 1) } 1 .. 10;
        $_->write($_->build('GET', '/raw', @{ $ask{$what} })) for @c;
        $_->fill for @c;
        like $c[-1]{buf}, qr/^HTTP\S+ (?:101|200) /, "a $what runs";
        ok wait_for { total($gate, 'buffer_bytes') == 10 * $head }, '  each of them holds its head, and no more'
          or diag total($gate, 'buffer_bytes');
        $_->abort for @c;
        ok wait_for { total($gate, 'buffer_bytes') == 0 }, '  until it ends';
    }
    $gate->stop_ok;
};

subtest 'clients of the status listener' => sub {
    my $gate = gate(global => 'limits = { connections = 50; }; timeouts = { header = "300s"; send = "300s"; };');
    for my $says ('', "GET /healthz HTTP/1.1\r\nX: ", "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" x 200) {
        my @c = map { $gate->connect(plain => 1, port => $gate->{status_port}) } 1 .. 80;
        length $says and $_->write($says) for @c;
        is healthz($gate), 200, 'one more is served beside 80 that send ' . (length $says || 'nothing');
        is $gate->get('/pas/get', plain => 1)->{status}, 200, 'and so is traffic';
        $_->abort for @c;
    }
    ok $gate->wait_log(qr/oldest connections of status listeners closed to make room/), 'it is told';
    $gate->stop_ok;
};

done_testing;
