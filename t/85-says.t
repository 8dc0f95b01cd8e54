# What pasgate says of itself is so: on the status page, in /readyz and metrics, by exit codes.
use strict;
use warnings;
use lib 't/lib';
use JSON::PP;
use PasGate;
use Test::More;

my @pas  = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my $lone = PasGate::StandIn->new('lone');
my $gate = PasGate->new(
    workers    => 2, backends => \@pas,
    more_pools => [qq(name = "reports"; check = { type = "tcp"; interval = "250ms"; rise = 1; fall = 2; };
      backends = ( { name = "lone"; address = "127.0.0.1:$lone->{port}"; } );)],
    routes => '{ path = "/pas"; pool = "pas"; upstream_path = "/web"; }, { path = "/r"; pool = "reports"; }'
);

sub page { return $gate->get($_[0], port => $gate->{status_port}, plain => 1) }

sub metric
{
    my ($name) = @_;
    return page('/metrics')->{body} =~ /^pasgate_\Q$name\E (\S+)$/m ? $1 : undef;
}

ok $gate->wait_health($_, 'up'), "$_ is up" for qw(pas1 pas2 lone);

subtest 'all well' => sub {
    ok wait_for { page('/')->{body} =~ />all well</ }, 'page';
    my ($code, $text) = $gate->cli('status');
    is $code, 0, 'exit code';
    like $text, qr/^all well$/m, 'status';
    is page('/readyz')->{status}, 200, 'ready';
    is page('/readyz?pool=reports')->{status}, 200, 'one pool';
    is page('/readyz?pool=report')->{status},  404, 'no such pool';
    is metric('ready'), 1, 'metric';
};

subtest 'one pool without a healthy backend' => sub {
    $lone->kill;
    ok $gate->wait_health('lone', 'down'), 'its backend is down';
    my ($code, $text) = $gate->cli('status');
    is $code, 1, 'exit code';
    like $text, qr/^no healthy backend in pool reports$/m, 'status';
    is +($gate->cli('status', '--live'))[0], 0, 'but it lives';
    my $r = page('/readyz');
    is $r->{status}, 503, 'not ready';
    like $r->{body}, qr/^ready: pool "pas", 2 of 2 .*^not ready: pool "reports", 0 of 1 backends$/ms, 'and tells which';
    is page('/readyz?pool=reports')->{status}, 503, 'asked for';
    is page('/readyz?pool=pas')->{status},     200, 'the other one';
    is page('/healthz')->{status}, 200, 'the process lives';
    like page('/')->{body}, qr/<span class="pill bad">no healthy backend in pool reports</, 'the page is red';
    is metric('ready'), 0, 'metric';
    is metric('pool_backends_available{pool="reports"}'), 0, 'of the pool';
    my $s = decode_json(page('/status.json')->{body});
    ok !$s->{health}{ready}, 'JSON';
    $lone->start;
    ok wait_for { page('/readyz')->{status} == 200 }, 'ready again';
    is +($gate->cli('status'))[0], 0, 'exit code';
};

subtest 'operators took all backends of a pool out' => sub {
    my $down = qr/pool reports: no backend is up and ready: /;
    my $from = length $gate->log_text;
    is +($gate->cli('maint', 'lone'))[0], 0, 'maint';
    ok $gate->wait_log(qr/warn .*pool reports: all backends .* are in maintenance or drained, by operators: requests get 503/, undef, $from), 'the log';
    ok wait_for { ($gate->cli('status'))[1] =~ /^all backends of pool reports are in maintenance or drained \(by operators\)$/m }, 'status';
    like page('/')->{body}, qr/<span class="pill bad">all backends of pool reports are in maintenance/, 'page';
    my $r = $gate->get('/r');
    is $r->{status}, 503, 'a request';
    like $r->{h}{'proxy-status'}, qr/all backends of the pool are in maintenance or drained, by operators/, 'its Proxy-Status';
    unlike substr($gate->log_text, $from), $down, 'nothing is called down';
    is +($gate->cli('ready', 'lone'))[0], 0, 'ready';
    ok $gate->wait_log(qr/pool reports: a backend is up and ready again, after/, undef, $from), 'it serves again';

    $lone->kill;
    ok $gate->wait_log($down, undef, $from), 'one that fails is down';
    my $then = length $gate->log_text;
    $gate->cli('maint', 'lone');
    ok $gate->wait_log(qr/pool reports: all backends .* in maintenance/, undef, $then), 'then out: the log says so';
    $gate->cli('ready', 'lone');
    ok $gate->wait_log($down, undef, $then), 'and down again';
    $lone->start;
    ok wait_for { page('/readyz')->{status} == 200 }, 'ready again';
};

subtest 'what is traffic, and how much' => sub {
    my $before = $gate->status->{totals};
    page('/metrics') for 1 .. 5;
    my $after = $gate->status->{totals};
    is $after->{exchanges_total}, $before->{exchanges_total}, 'whoever looks at the status is none';
    is_deeply $after->{status}, $before->{status}, 'nor are the responses';
    is $after->{bytes_out}, $before->{bytes_out}, 'nor their bytes';
    is $after->{connections_total}, $before->{connections_total}, 'nor their connections';
    cmp_ok $after->{status_requests}, '>=', $before->{status_requests} + 5, 'they are counted apart';

    is $gate->get('/nowhere')->{status}, 404, 'a response of our own';
    is $gate->get('/pas/get')->{status}, 200, 'one of a backend';
    my ($own, $theirs);
    wait_for {
        my @lines = $gate->access;
        ($own)    = grep { ($_->{path} // $_->{target} // '') eq '/nowhere' } @lines;
        ($theirs) = grep { ($_->{path} // $_->{target} // '') eq '/pas/get' } @lines;
        $own && $theirs;
    };
    is $own->{body_out}, length "404 Not Found\n", 'its body is in the access log';
    cmp_ok $own->{bytes_out}, '>', $own->{body_out} + 50, 'and its head';
    cmp_ok $own->{bytes_in},  '>', 30, 'and that of the request';
    cmp_ok $theirs->{bytes_out}, '>', $theirs->{body_out} + 50, 'likewise of a backend';
    my $odd = $gate->connect(plain => 1);
    $odd->write("GET /odd HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    is $odd->response('GET')->{status}, 400, 'a refusal';
    my $refusal;
    wait_for { ($refusal) = grep { ($_->{status} // 0) == 400 } $gate->access; $refusal };
    is $refusal->{body_out}, length "400 Bad Request\n", 'its body is in the access log, too';
    my $now = $gate->status->{totals};
    cmp_ok $now->{bytes_in} - $after->{bytes_in}, '>=', $own->{bytes_in} + $theirs->{bytes_in}, 'and in the totals: in';
    cmp_ok $now->{bytes_out} - $after->{bytes_out}, '>=', $own->{bytes_out} + $theirs->{bytes_out}, 'and out';
    cmp_ok metric('client_bytes_in_total'), '>', 0, 'and in the metrics';
};

subtest 'which clients were refused' => sub {
    unlike +($gate->cli('status'))[1], qr/^clients since the start/m, 'none: not a word';
    $gate->get('/pas/get', plain => 1, port => $gate->{tls});
    ok wait_for { ($gate->cli('status'))[1] =~ /^clients since the start: failed TLS handshakes \(plain HTTP on a TLS port\): 1$/m },
      'status';
    like page('/')->{body}, qr/<p class=soft>clients since the start: failed TLS handshakes/, 'page';
};

# Names that an object of this JSON has twice.
sub twice
{
    my ($text) = @_;
    my (@open, @twice);
    while ($text =~ /\G(?:([{}])|("(?:[^"\\]|\\.)*")(\s*:)?|[^{}"]+)/g) {
        push @open, {} if ($1 // '') eq '{';
        pop @open if ($1 // '') eq '}';
        push @twice, $2 if $3 && $open[-1]{$2}++;
    }
    return @twice;
}

subtest 'status.json' => sub {
    is join(' ', twice('{"a":1,"b":[{"a":"x: {\\" a"},{"a":2}],"a":3}')), '"a"', 'a member that comes twice would be seen';
    is join(' ', twice(page('/status.json')->{body})), '', 'no member comes twice';
    is join(' ', twice(($gate->cli('status', '--json'))[1])), '', 'nor by the command';
};

$gate->stop_ok;

subtest 'the queue' => sub {
    my $g = PasGate->new(
        backends => [{ name => 'pas1', port => $pas[0]{port}, max_in_flight => 1 }],
        pool     => 'queue = { size = 1; timeout = "2s"; }; sticky = "none";',
        routes   => '{ path = "/pas"; pool = "pas"; upstream_path = "/web"; }'
    );
    ok $g->wait_health('pas1', 'up'), 'a backend with one slot';
    my $pool = sub { return $g->status->{pools}[0] };
    my $ask  = sub {
        my $c = $g->connect(plain => 1);
        $c->write($c->build('GET', "/pas/delay?ms=$_[0]", close => 1));
        return $c;
    };
    my $first = $ask->(5000);
    ok wait_for { $g->status->{backends}[0]{in_flight} == 1 }, 'is taken';
    my $second = $ask->(0);
    ok wait_for { $pool->()->{queued} == 1 }, 'one waits for any of the pool';
    is $g->status->{backends}[0]{queued}, 0, 'not for that one';
    is $g->get('/pas/get', plain => 1)->{status}, 503, 'the next one finds the queue full';
    is $pool->()->{queue_full}, 1, 'which is counted';
    ok $g->wait_log(qr/pool pas: its queue is full \(queue\.size: 1 /), 'and told';
    is $second->response('GET')->{status}, 503, 'the other one waited in vain';
    is $pool->()->{queue_timeouts}, 1, 'which is counted';
    ok $g->wait_log(qr/pool pas: no slot of any backend became free within queue\.timeout/), 'and told';
    my ($code, $text) = $g->cli('status');
    like $text, qr/^pool pas: 0 queued; since the start 1 refused because the queue was full, 1 timed out in it$/m, 'status';
    like $g->get('/metrics', port => $g->{status_port}, plain => 1)->{body},
      qr/^pasgate_pool_queue_full_total\{pool="pas"\} 1$/m, 'metrics';
    is $first->response('GET')->{status}, 200, 'who had the slot is served';

    $g->write_config(backends => [$pas[1]]);
    is +($g->cli('reload'))[0], 0, 'that backend leaves the configuration';
    like $g->get('/metrics', port => $g->{status_port}, plain => 1)->{body},
      qr/^pasgate_pool_queue_full_total\{pool="pas"\} 1$/m, 'the counter does not fall';
    $g->stop_ok;
};

done_testing;
