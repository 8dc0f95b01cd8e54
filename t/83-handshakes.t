# Handshakes that fail: HTTP without TLS gets a 400 that says so, and each is counted by its reason.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my $pas  = PasGate::StandIn->new('pas1');
my $gate = PasGate->new(backends => [$pas], global => 'timeouts = { handshake = "2s"; };');

sub failures { return $gate->status->{totals}{handshake_failures} // {} }

# Waits until one more is counted for this reason, and returns true.
sub counted
{
    my ($reason, $code) = @_;
    my $was = failures()->{$reason} // 0;
    $code->();
    return wait_for { (failures()->{$reason} // 0) > $was };
}

sub s_client
{
    return run_cmd('timeout', 20, 'openssl', 's_client', '-connect', "127.0.0.1:$gate->{tls}",
        '-servername', 'localhost', @_);
}

subtest 'HTTP without TLS' => sub {
    my $n = 0;
    for my $method (qw(GET POST OPTIONS PROPFIND)) {
        ok counted('plain_http', sub {
            my $c = PasGate::Conn->new($gate->{tls});
            my $r = $c->request($method, '/pas/get');
            is $r->{status}, 400, "$method: 400";
            like $r->{body}, qr/TLS.*https/s, 'which says why';
            is $r->{h}{'strict-transport-security'}, undef, 'and no more than that';
            ok $c->closed, 'and the connection ends';
        }), 'it is counted';
    }
    my $c = PasGate::Conn->new($gate->{tls});
    for (split //, "GET / HTTP/1.1\r\n") { $c->write($_) or last }
    is $c->response('GET')->{status}, 400, 'byte by byte, too';
    ok wait_for { grep { ($_->{detail} // '') =~ /plain HTTP/ && $_->{status} == 400 } $gate->access },
        'the access log has it';
    ok $gate->wait_log(qr/ info .*TLS handshake with 127\.0\.0\.1 failed: plain_http/i), 'and the log';
    my $told = () = $gate->log_text =~ / info .*failed: plain_http/g;
    cmp_ok $told, '<', 5, 'not each of five that come soon after each other';
    is $gate->get('/pas/get')->{status}, 200, 'TLS is served';
};

subtest 'by reason' => sub {
    ok counted('not_tls', sub {
        my $c = PasGate::Conn->new($gate->{tls});
        $c->write("\x16\x09\x09\xff\xff" . 'x' x 3000);
        unlike $c->rest, qr/HTTP/, 'noise gets no HTTP';
    }), 'not_tls';
    ok counted('closed', sub { PasGate::Conn->new($gate->{tls})->close }), 'closed';
    ok counted('timeout', sub { PasGate::Conn->new($gate->{tls})->rest }), 'timeout';
    ok counted('no_shared_version', sub { s_client('-tls1_1', '-cipher', 'ALL:@SECLEVEL=0') }), 'no_shared_version';
    ok counted('no_shared_cipher', sub { s_client('-tls1_2', '-cipher', 'AES128-SHA') }), 'no_shared_cipher';
    ok counted('no_shared_alpn', sub { s_client('-alpn', 'smtp') }), 'no_shared_alpn';
    ok counted('certificate_refused', sub { s_client(qw(-verify_return_error -verify 1 -no-CAfile -no-CApath -no-CAstore)) }),
        'certificate_refused';
    my ($metrics) = $gate->request('GET', '/metrics', plain => 1, port => $gate->{status_port})->{body};
    my $of = failures();
    is scalar keys %$of, 11, 'eleven reasons';
    for (sort keys %$of) {
        like $metrics, qr/^pasgate_tls_handshake_failures_total\{reason="$_"\} \d+$/m, "$_ is a metric";
    }
    my $sum = 0;
    $sum += $_ for values %$of;
    is $sum, $gate->status->{totals}{handshake_errors}, 'together they are all';
};

$gate->stop_ok;
done_testing;
