# TLS: versions, certificates by name, resumption at every worker, live exchange.
use strict;
use warnings;
use IO::Socket::SSL;
use lib 't/lib';
use PasGate;
use Test::More;

my $pas = PasGate::StandIn->new('pas1');
my ($chain_a, $key_a) = make_cert('a', 'a.test');
my ($chain_b, $key_b) = make_cert('b', 'b.test', '*.wild.test');
my $gate = PasGate->new(
    workers  => 3,
    backends => [$pas],
    certs    => qq({ names = [ "a.test" ]; chain = "$chain_a"; key = "$key_a"; },)
      . qq( { names = [ "b.test", "*.wild.test" ]; chain = "$chain_b"; key = "$key_b"; }));
my $ca = tmp('ca.pem');

sub name_for
{
    my ($host) = @_;
    my $c = $gate->connect(host => $host);
    my $cn = $c->{sock}->peer_certificate('cn');
    $c->close;
    return $cn;
}

sub serial
{
    my ($host) = @_;
    my $c = eval { $gate->connect(host => $host) } or return '';
    my $serial = Net::SSLeay::P_ASN1_INTEGER_get_hex(Net::SSLeay::X509_get_serialNumber($c->{sock}->peer_certificate));
    $c->close;
    return $serial;
}

# s_client with a request; its whole output.
sub s_client
{
    my (@arg) = @_;
    my $ask = spew(tmp('ask'), "GET /pas/get HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    my ($code, $out) = run_cmd('sh', '-c', 'exec timeout 20 openssl s_client "$@" <' . $ask, 'sh',
        '-connect', "127.0.0.1:$gate->{tls}", '-servername', 'a.test', '-CAfile', $ca, '-ign_eof', @arg);
    return $out;
}

subtest 'the certificate that fits the name' => sub {
    is name_for('a.test'), 'a.test', 'the first';
    is name_for('b.test'), 'b.test', 'the second';
    is name_for('x.wild.test'), 'b.test', 'by its wildcard';
    is name_for('B.TEST'), 'b.test', 'in capitals';
    is name_for('unknown.test'), 'a.test', 'an unknown name gets the first';
    like s_client(), qr/Verify return code: 0/, 'it verifies';
};

subtest 'versions, ciphers, groups' => sub {
    for my $old (qw(-tls1 -tls1_1)) {
        unlike s_client($old, '-cipher', 'ALL:@SECLEVEL=0'), qr/HTTP\/1.1 200/, "not $old";
    }
    my $out = s_client('-tls1_2');
    like $out, qr/HTTP\/1.1 200/, 'TLS 1.2';
    like $out, qr/ECDHE-ECDSA-\S*(?:GCM|CHACHA)/, 'with forward secrecy and AEAD';
    unlike s_client('-tls1_2', '-cipher', 'AES128-SHA:AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA'),
      qr/HTTP\/1.1 200/, 'and nothing less';
    $out = s_client('-tls1_3');
    like $out, qr/HTTP\/1.1 200/, 'TLS 1.3';
    # OpenSSL 3.5 has the hybrid group, and tells of it otherwise.
    my $hybrid = (run_cmd('openssl', 'list', '-tls-groups'))[1] =~ /X25519MLKEM768/;
    like $out, $hybrid ? qr/TLS1\.3 group: X25519MLKEM768$/m : qr/Server Temp Key: X25519,/,
      $hybrid ? 'X25519MLKEM768' : 'X25519';
    like s_client('-tls1_3', '-groups', 'X25519'), qr/(?:Temp Key:|group:) X25519\b/i, 'or without ML-KEM';
    unlike $out, qr/Max Early Data: [1-9]/, 'no early data';
};

subtest 'resumption at every worker' => sub {
    for my $v ('-tls1_3', '-tls1_2') {
        my $session = tmp("session$v");
        s_client($v, '-sess_out', $session);
        ok -s $session, "$v: a ticket was given";
        my %seen;
        for (1 .. 24) {
            my $out = s_client($v, '-sess_in', $session);
            $seen{ $out =~ /^Reused, /m ? 'reused' : $out =~ /^New, /m ? 'new' : 'failed' }++;
        }
        is_deeply \%seen, { reused => 24 }, "$v: taken by each worker";
    }
};

subtest 'no renegotiation' => sub {
    my $ask = spew(tmp('renegotiate'), "R\n");
    my ($code, $out) = run_cmd('sh', '-c', "(cat $ask; sleep 1) | timeout 20 openssl s_client"
          . " -connect 127.0.0.1:$gate->{tls} -servername a.test -tls1_2");
    like $out, qr/no renegotiation|alert|handshake failure/i, 'is refused';
};

subtest 'what is not TLS' => sub {
    my $c = PasGate::Conn->new($gate->{tls});
    $c->write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    $c->rest;
    ok $c->{eof}, 'plain HTTP on the TLS port ends';
    $c = PasGate::Conn->new($gate->{tls});
    $c->write(join '', map { chr rand 256 } 1 .. 3000);
    $c->rest;
    ok $c->{eof}, 'noise ends, too';
    is $gate->get('/pas/get')->{status}, 200, 'and nobody minds';
};

subtest 'HSTS' => sub {
    like $gate->get('/pas/get')->{h}{'strict-transport-security'} // '', qr/^max-age=63072000/, 'by TLS';
    is $gate->get('/pas/get', plain => 1)->{h}{'strict-transport-security'}, undef, 'not without';
};

subtest 'a new certificate goes live without a reload' => sub {
    my $old  = $gate->connect(host => 'a.test');
    is $old->request('GET', '/pas/get')->{status}, 200, 'a connection of before';
    my $load = PasGate::Load->new($gate, clients => 2, close => 1);
    my $was  = serial('a.test');
    my $session = tmp('session-before');
    s_client('-servername', 'a.test', '-sess_out', $session);
    make_cert('a', 'a.test');
    ok wait_for { my $now = serial('a.test'); ($now && $now ne $was) }, 'the new one is served';
    my %now;
    $now{ serial('a.test') }++ for 1 .. 20;
    is scalar keys %now, 1, 'by every worker';
    is $old->request('GET', '/pas/get')->{status}, 200, 'the old connection lives';
    is scalar(grep { s_client('-servername', 'a.test', '-sess_in', $session) =~ /^Reused, /m } 1 .. 12), 12,
        'a ticket of before is taken by each worker';
    $load->stop_ok;

    my ($serial) = keys %now;
    my $from = length $gate->log_text;
    rename $key_b, "$key_b.away" or die $!;
    spew($key_a, slurp("$key_b.away"));
    rename "$key_b.away", $key_b;
    ok $gate->wait_log(qr/a\.test|a\.pem|a\.key/, undef, $from), 'a key that does not fit is told';
    is serial('a.test'), $serial, 'and the good pair stays';
};

$gate->stop_ok;
done_testing;
