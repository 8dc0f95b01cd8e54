#!/usr/bin/perl
# TLS to backends. haproxy stands before the stand-ins and speaks TLS (t/lib/PasGate/Relay.pm): the right
# certificate serves, everything else is refused, told, and costs no request while another backend is
# left; sessions are resumed; bodies and WebSockets pass; mTLS; a new CA comes with a reload.
use strict;
use warnings;
use lib 't/lib';
use MIME::Base64;
use PasGate;
use Test::More;

my @ec = qw(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes);

sub openssl
{
    my ($code, $said) = run_cmd('openssl', @_);
    die "openssl @_: $said" if $code;
}

# Chain and key in one file, as haproxy reads them.
sub both { my ($to, @file) = @_; return spew(tmp("$to-both.pem"), join '', map { slurp($_) } @file) }
sub pem { my ($id, @names) = @_; return both($id, make_cert($id, @names)) }

my ($ca, $other_ca) = (tmp('ca.pem'), tmp('other-ca.pem'));
my $good = pem('good', 'pas.test');
my ($csr, $key) = (tmp('good.csr'), tmp('good.key'));
openssl('req', '-x509', @ec, '-subj', '/CN=another CA', '-days', 9, '-keyout', tmp('other-ca.key'), '-out', $other_ca);
openssl('x509', '-req', '-in', $csr, '-CA', $other_ca, '-CAkey', tmp('other-ca.key'), '-CAcreateserial', '-days', 9,
    '-extfile', tmp('good.ext'), '-out', tmp('foreign.pem'));
openssl('req', '-x509', '-key', $key, '-subj', '/CN=pas.test', '-addext', 'subjectAltName=DNS:pas.test', '-days', 9,
    '-out', tmp('own.pem'));
my %pem = (
    ca      => both('foreign', tmp('foreign.pem'), $key),
    name    => pem('wrong', 'other.test'),
    expired => both('expired', make_dated($csr, -9, -1, 'DNS:pas.test'), $key),
    own     => both('own', tmp('own.pem'), $key),
);
my ($client, $client_key) = make_cert('client', 'pasgate.test');

my $pas  = PasGate::StandIn->new('pas1');
my %bad  = map { $_ => PasGate::Relay->new($pas, bind => "ssl crt $pem{$_}") } keys %pem;
$bad{old}   = PasGate::Relay->new($pas, bind => "ssl crt $good ssl-max-ver TLSv1.1 ciphers ALL:\@SECLEVEL=0");
$bad{plain} = PasGate::Scripted->new(serve => sub { sysread $_[0], my $b, 9999; print { $_[0] } "HTTP/1.1 400 No\r\n\r\n" });
$bad{mtls}  = PasGate::Relay->new($pas, bind => "ssl crt $good verify required ca-file $ca");
$bad{mtls12} = PasGate::Relay->new($pas, bind => "ssl crt $good verify required ca-file $ca ssl-max-ver TLSv1.2");
my $lie = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nlie";
$bad{liar} = PasGate::Scripted->new(serve => sub { my ($s) = @_; print $s $lie; $s->flush; sysread $s, my $b, 9999; print $s $lie });
$bad{dies} = PasGate::Scripted->new(serve => sub { sysread $_[0], my $b, 9999 });
$bad{hangs} = PasGate::Scripted->new(serve => sub { sysread $_[0], my $b, 9999; sleep 60 });
my %reason = (
    ca      => qr/not from a CA that is trusted/,
    name    => qr/not valid for its name/,
    expired => qr/has expired/,
    own     => qr/self-signed/,
    old     => qr/neither TLS 1\.2 nor 1\.3|refuses the handshake/,
    plain   => qr/does not speak TLS|closed the connection/,
    liar    => qr/does not speak TLS/,
    mtls    => qr/certificate of ours/,
    mtls12  => qr/certificate of ours/,
    dies    => qr/closed the connection|closed during handshake/,
);
my @case  = $ENV{CASES} // '' ? split / /, $ENV{CASES} : sort keys %bad;
my $right = PasGate::Relay->new($pas, bind => "ssl crt $good alpn http/1.1");
my $asks  = PasGate::Relay->new($pas, bind => "ssl crt $good verify required ca-file $ca");
my $later = PasGate::Relay->new($pas, bind => "ssl crt $pem{ca}");

sub tls { return qq(tls = { enabled = true; name = "pas.test"; ca = "$ca"; @_ };) }
my $quick = 'interval = "200ms"; fast_interval = "100ms"; down_interval = "200ms"; timeout = "2s"; rise = 1; fall = 2;';
my $tcp   = qq(check = { type = "tcp"; tls = "off"; $quick }; eject = { failures = "off"; };);
my $http  = qq(check = { type = "http"; path = "/web/get"; $quick };);
my $both  = 'sticky = "none"; balance = "roundrobin";';
my $new_ca = spew(tmp('new-ca.pem'), slurp($ca));

# Of each pool "x-" of a case, healthd sees nothing wrong; that of "v-" it checks as requests go.
my @pools = (
    map({ qq(name = "x-$_"; $both $tcp ${\ tls()} backends = ( { name = "x-$_"; address = "127.0.0.1:$bad{$_}{port}"; weight = 1000; },
        { name = "right-$_"; address = "127.0.0.1:$right->{port}"; } ); ) } @case),
    map({ qq(name = "v-$_"; $http ${\ tls()} backends = ( { name = "v-$_"; address = "127.0.0.1:$bad{$_}{port}"; } ); ) }
        grep { $_ ne 'hangs' } @case),
    qq(name = "mutual"; $http ${\ tls(qq(certificate = "$client"; key = "$client_key";))}
        backends = ( { name = "mutual"; address = "127.0.0.1:$asks->{port}"; } ); ),
    qq(name = "later"; $http tls = { enabled = true; name = "pas.test"; ca = "$new_ca"; };
        backends = ( { name = "later"; address = "127.0.0.1:$later->{port}"; } ); ),
    qq(name = "any"; $http tls = { enabled = true; verify = false; };
        backends = ( { name = "any"; address = "127.0.0.1:$bad{own}{port}"; } ); ),
);
my $routes = join ', ', '{ path = "/pas"; pool = "pas"; upstream_path = "/web"; }',
  map({ qq({ path = "/x-$_"; pool = "x-$_"; upstream_path = "/web"; }) } @case),
  map { qq({ path = "/$_"; pool = "$_"; upstream_path = "/web"; }) } qw(mutual later any);
my $gate = PasGate->new(backends => [$right], pool => "$both $http ${\ tls()}", check => $quick, more_pools => \@pools,
    routes => $routes, global => 'timeouts = { connect = "500ms"; };');

my $row = sub { my ($name) = @_; (grep { $_->{name} eq $name } @{ $gate->status->{backends} })[0] };

subtest 'the right certificate serves' => sub {
    ok $gate->wait_health('pas1', 'UP'), 'the check speaks TLS';
    my @r = map { $gate->get('/pas/get')->{status} } 1 .. 6;
    is "@r", '200 200 200 200 200 200', 'requests are served';
    ok wait_for { $row->('pas1')->{tls_handshakes} }, '  through TLS';
    is $row->('pas1')->{tls_errors}, 0, '  without an error';
    is $row->('pas1')->{connects}, 1, '  over one connection';
    my $r = $gate->request('POST', '/pas/upload', body => 'x' x (3 << 20));
    is $r->{status}, 200, 'a body of 3 MiB goes there';
    like $r->{body}, qr/\b3145728\b/, '  complete';
    is length $gate->get('/pas/bytes?n=3000000')->{body}, 3_000_000, 'and one of 3 MB comes back';

    # Many at once need many connections.
    my @c = map { $gate->connect } 1 .. 6;
    $_->write($_->build('GET', '/pas/delay?ms=1000')) for @c;
    is join(' ', map { $_->response('GET')->{status} } @c), '200 200 200 200 200 200', 'six at once';
    $_->close for @c;
    ok wait_for { $row->('pas1')->{tls_resumed} }, '  new connections resume the session';
};

subtest 'a WebSocket passes' => sub {
    my $c = $gate->connect(timeout => 10);
    $c->write($c->build('GET', '/pas/ws', headers => [['Upgrade', 'websocket'], ['Connection', 'Upgrade'],
        ['Sec-WebSocket-Key', encode_base64('0123456789abcdef', '')], ['Sec-WebSocket-Version', 13]]));
    is $c->response('GET')->{status}, 101, 'it switches';
    my $payload = 'p' x 5000;
    my $mask = "\1\2\3\4";
    $c->write("\x82\xfe" . pack('n', 5000) . $mask . ($payload ^ substr($mask x 1250, 0, 5000)));
    my $want = "\x82\x7e" . pack('n', 5000) . $payload;
    wait_for { $c->fill(0.2); length $c->{buf} >= length $want || $c->{eof} };
    ok $c->{buf} eq $want, 'a frame comes back';
    $c->close;
};

for my $case (@case) {
    subtest "refused: $case" => sub {
        my @r = ($gate->request('POST', "/x-$case/upload", body => 'b' x 99), map { $gate->get("/x-$case/get") } 1 .. 3);
        is $r[0]{status}, 200, 'a POST goes elsewhere: nothing was processed';
        is join(' ', map { $_->{status} } @r[ 1 .. 3 ]), '200 200 200', '  and no GET is lost';
        ok !(grep { $_->{body} eq 'lie' } @r), '  none gets what came before the handshake';
        ok wait_for { my $r = $row->("x-$case"); $r->{connect_errors} + $r->{timeouts} }, '  and the failure is counted';
        my ($moved) = wait_for { (grep { ($_->{target} // '') eq "/x-$case/upload" } $gate->access)[0] };
        is $moved->{attempts}, 2, '  the POST was there first';
        is $row->("x-$case")->{completed}, 0, '  nothing was served there';
        my $why = $reason{$case} or return;
        ok wait_for { $row->("x-$case")->{tls_errors} }, '  as failures of TLS';
        like $gate->wait_log(qr/worker.*backend x-$case: no TLS connection/) // '', $why, 'the log of the worker says why';
        ok $gate->wait_health("v-$case", 'DOWN'), 'its check finds it down';
        my ($code, $out) = $gate->cli('why', "v-$case");
        like $out, $why, '  and why says why' or diag $gate->log_text =~ /(.*v-$case.*)/;
    };
}

subtest 'mTLS' => sub {
    ok $gate->wait_health('mutual', 'UP'), 'with our certificate it is up';
    is $gate->get('/mutual/get')->{status}, 200, '  and serves';
    is $gate->request('POST', '/mutual/upload', body => 'x')->{status}, 200, '  a POST, too';
};

subtest 'without verification' => sub {
    ok $gate->wait_health('any', 'UP'), 'any certificate will do';
    is $gate->get('/any/get')->{status}, 200, '  it serves';
    like $gate->log_text, qr/pools\.tls\.verify: .*anybody/, '  and there is a warning';
};

subtest 'a new CA' => sub {
    ok $gate->wait_health('later', 'DOWN'), 'the old one does not fit';
    spew($new_ca, 'rubbish');
    my ($code, $out) = $gate->cli('check');
    is $code, 78, 'a file that is no PEM is refused';
    like $out, qr/pools\.tls\.ca: \S+ is not a PEM file/, '  with its name';
    spew($new_ca, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    ($code, $out) = $gate->cli('check');
    is $code, 78, 'and so is one without a certificate';
    like $out, qr/pool later: ca \S+: no certificate/, '  with its name';
    spew($new_ca, slurp($other_ca));
    ($code, $out) = $gate->cli('reload');
    is $code, 0, 'reloaded with the new one' or diag $out;
    ok $gate->wait_health('later', 'UP'), '  it is up' or diag explain $row->('later')->{check};
    is $gate->get('/later/get')->{status}, 200, '  and serves';
};

$gate->stop_ok;
done_testing;
