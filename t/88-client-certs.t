# Certificates of clients (mTLS): required and optional, by listener and route; what the backend is
# told; CRL; and that a session of one policy is not resumed under another one.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my $raw = PasGate::Scripted->new(reply => sub { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" });
my ($required, $optional, $other) = free_ports(3);
my $dir = tmp('pki');
mkdir $dir;
sub openssl
{
    my ($code, $out) = run_cmd('openssl', @_);
    $code == 0 or die "openssl @_: $out\n";
    return $out;
}

# Two CAs; anna and bert of the first one, eve of the second one.
sub pki
{
    spew("$dir/ca.conf", <<"END");
[ca]
default_ca = own
[own]
database = $dir/index
crlnumber = $dir/number
default_md = sha256
default_crl_days = 30
[req]
distinguished_name = dn
[dn]
[v3_ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[v3_client]
basicConstraints = CA:FALSE
extendedKeyUsage = clientAuth
[v3_server]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
END
    spew("$dir/index", '');
    spew("$dir/number", "01\n");
    my @key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes');
    for my $ca ('one', 'two') {
        openssl('req', '-x509', @key, '-keyout', "$dir/$ca.key", '-out', "$dir/$ca.pem", '-days', 30, '-subj', "/CN=CA $ca",
            '-config', "$dir/ca.conf", '-extensions', 'v3_ca');
    }
    for (['anna', 'one', '/O=Example/CN=anna'], ['bert', 'one', '/CN=bert'], ['eve', 'two', '/CN=anna'], ['server', 'one', '/CN=server']) {
        my ($name, $ca, $subject) = @$_;
        openssl('req', @key, '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr", '-subj', $subject, '-config', "$dir/ca.conf");
        openssl('x509', '-req', '-in', "$dir/$name.csr", '-CA', "$dir/$ca.pem", '-CAkey', "$dir/$ca.key", '-CAcreateserial', '-days', 10,
            '-out', "$dir/$name.pem", '-extfile', "$dir/ca.conf", '-extensions', $name eq 'server' ? 'v3_server' : 'v3_client');
    }
}
sub crl { openssl('ca', '-config', "$dir/ca.conf", '-gencrl', '-cert', "$dir/one.pem", '-keyfile', "$dir/one.key", '-out', "$dir/crl.pem", @_) }
pki();
crl();
my $gate = PasGate->new(
    backends => [{ name => 'raw', port => $raw->{port} }], probe => '/', routes => '{ path = "/"; pool = "pas"; }, { path = "/in"; pool = "pas"; client_cert = true; }',
    listen => qq({ address = "127.0.0.1:$required"; tls = true; client_cert = "required"; client_ca = "$dir/one.pem"; client_crl = "$dir/crl.pem"; },)
      . qq( { address = "127.0.0.1:$optional"; tls = true; client_cert = "optional"; client_ca = "$dir/one.pem"; },)
      . qq( { address = "127.0.0.1:$other"; tls = true; client_cert = "optional"; client_ca = "$dir/two.pem"; }));

# One request over TLS as this client, or undef: nobody; the status, 0: no response.
my $asked = 0;
sub as
{
    my ($port, $who, $path, @fields) = @_;
    my $id = 'n' . ++$asked;
    my $c = eval {
        $gate->connect(port => $port, timeout => DEADLINE, $who ? (SSL_cert_file => "$dir/$who.pem", SSL_key_file => "$dir/$who.key") : (SSL_version => 'SSLv23'))
    } or return 0;
    my $r = eval { $c->request('GET', ($path // '/') . "/$id", close => 1, headers => \@fields) };
    return $r && $r->{status} || 0;
}
sub got
{
    my ($bytes) = map { m{( /\S*n$asked HTTP.*?\r\n\r\n)}s } $raw->seen;
    return { map { /^([^:]+): (.*)/ ? (lc $1 => $2) : () } split /\r\n/, $bytes // '' };
}
sub failures { return $gate->status->{totals}{handshake_failures}{client_certificate} }

subtest 'required' => sub {
    my $before = failures();
    is as($required, 'anna'), 200, 'with a certificate';
    is got->{'x-client-subject'}, 'CN=anna,O=Example', 'the backend gets its subject';
    my $fingerprint = lc(openssl('x509', '-in', "$dir/anna.pem", '-noout', '-fingerprint', '-sha256') =~ s/.*=//sr =~ s/[:\s]//gr);
    is got->{'x-client-fingerprint'}, $fingerprint, 'and its fingerprint';
    my $line = wait_for { (grep { $_->{target} =~ /n$asked$/ } $gate->access)[0] };
    is $line->{tls_client}, 'CN=anna,O=Example', 'the access log, too';
    is as($required, undef), 0, 'without one: no handshake';
    is as($required, 'eve'), 0, 'of another CA';
    is as($required, 'server'), 0, 'of a server';
    ok wait_for { failures() == $before + 3 }, 'they are counted by reason' or diag failures() - $before;
    ok $gate->wait_log(qr/TLS handshake with 127\.0\.0\.1 failed: client_certificate/), 'and logged';
};

subtest 'optional' => sub {
    is as($optional, undef), 200, 'without a certificate';
    is got->{'x-client-subject'}, undef, 'the backend hears of none';
    is as($optional, undef, '/in'), 403, 'but not on a route that requires one';
    is as($optional, 'anna', '/in'), 200, 'there with one';
    is as($optional, 'eve'), 0, 'one that is not valid is refused';
    is as($gate->{tls}, 'anna', '/in'), 403, 'nobody was asked at this listener';
    is $gate->get('/in/x', plain => 1)->{status}, 403, 'nor without TLS';
};

subtest 'forged fields' => sub {
    my @forged = map { [$_, 'CN=root'] } 'X-Client-Subject', 'x-client-fingerprint', 'X_Client_Subject', 'Client-Cert', 'Client-Cert-Chain';
    for my $port ($optional, $gate->{tls}) {
        is as($port, undef, '/', @forged), 200, 'a client without a certificate';
        is_deeply [grep { /client.(?:cert|subject|fingerprint)/ } keys %{ got() }], [], 'cannot say that it has one';
    }
    is as($required, 'bert', '/', @forged), 200, 'nor one with a certificate';
    is got->{'x-client-subject'}, 'CN=bert', 'that it is somebody else';
    is_deeply [sort grep { /client.(?:cert|subject|fingerprint)/ } keys %{ got() }], ['x-client-fingerprint', 'x-client-subject'], 'in any field';
};

# Does a session of this client from one port resume at another one?
sub resumes
{
    my ($version, $who, $from, $to) = @_;
    my $file = "$dir/session";
    my @as = $who ? ('-cert', "$dir/$who.pem", '-key', "$dir/$who.key") : ();
    my $ask = sub {
        my ($port, @more) = @_;
        my $in = "$dir/request";
        spew($in, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        my ($code, $out) = run_cmd('sh', '-c', 'exec timeout 20 openssl s_client "$@" <' . $in, 'sh', '-connect', "127.0.0.1:$port",
            '-servername', 'localhost', $version, '-ign_eof', @as, @more);
        return $out;
    };
    unlink $file;
    my $first = $ask->($from, '-sess_out', $file);
    -s $file or return "no session: $first";
    return $ask->($to, '-sess_in', $file) =~ /^(New|Reused),/m ? $1 : 'neither';
}

subtest 'sessions' => sub {
    for my $version ('-tls1_2', '-tls1_3') {
        is resumes($version, 'anna', $optional, $optional), 'Reused', "$version: the same policy";
        is resumes($version, undef, $optional, $other), 'New', "$version: another CA";
        is resumes($version, undef, $gate->{tls}, $optional), 'New', "$version: from a listener that asks nobody";
        is resumes($version, 'anna', $optional, $required), 'New', "$version: from optional to required";
        is resumes($version, 'anna', $required, $gate->{tls}), 'New', "$version: and to one that asks nobody";
    }
};

subtest 'revoked' => sub {
    openssl('ca', '-config', "$dir/ca.conf", '-revoke', "$dir/bert.pem", '-cert', "$dir/one.pem", '-keyfile', "$dir/one.key");
    crl();
    is as($required, 'bert'), 200, 'before a reload';
    $gate->signal('HUP');
    ok wait_for { as($required, 'bert') == 0 }, 'not after it';
    is as($required, 'anna'), 200, 'others are served';
    ok $gate->wait_log(qr/failed: client_certificate \(certificate revoked\)/), 'the log says why' or diag join "\n", grep { /client_cert/ } split /\n/, $gate->log_text;
    is as($optional, 'bert'), 200, 'a listener without a CRL does not know';
};

subtest 'what check says' => sub {
    crl('-crlsec', 1);
    select undef, undef, undef, 1.1;
    my ($code, $said);
    ok wait_for { ($code, $said) = $gate->cli('check'); $said =~ /expired/ }, 'a CRL that has expired' or diag $said;
    is $code, 0, 'is a warning';
    like $said, qr/client_crl: a CRL in \Q$dir\E\/crl\.pem has expired, so certificates of its CA are refused/, 'which says what follows';
    spew("$dir/crl.pem", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
    ($code, $said) = $gate->cli('check');
    is $code, 78, 'a damaged one';
    like $said, qr/has no CRL that can be read/, 'is refused';
    spew("$dir/odd.conf", qq(listen = ( { address = "127.0.0.1:8080"; client_cert = "required"; }, { address = "127.0.0.1:8081"; client_ca = "/x"; } );\n)
      . qq(pools = ( { name = "a"; backends = "h:1"; } );\n) . qq(routes = ( { pool = "a"; client_cert = true; } );\n));
    ($code, $said) = run_cmd(PasGate::binary(), 'check', '-c', "$dir/odd.conf");
    like $said, qr/client_cert without tls/, 'without TLS';
    like $said, qr/client_cert without client_ca/, 'without a CA';
    like $said, qr/client_ca and client_crl have no effect without client_cert/, 'a CA for nothing';
    spew("$dir/odd.conf", qq(listen = ( { address = "127.0.0.1:8080"; } );\n) . qq(pools = ( { name = "a"; backends = "h:1"; } );\n)
      . qq(routes = ( { pool = "a"; client_cert = true; } );\n));
    ($code, $said) = run_cmd(PasGate::binary(), 'check', '-c', "$dir/odd.conf");
    like $said, qr/odd\.conf:3: routes\.client_cert: no listener asks for certificates/, 'a route that nobody can use';
};

$gate->stop_ok;
done_testing;
