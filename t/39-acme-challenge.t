#!/usr/bin/perl
# Challenges that are pending: who answers them, before what, and for how long; each certificate
# by its own kind. Besides, what the CA is told of the operator, and a CA whose clock is ahead.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use IO::Socket::SSL;
use JSON::PP;
use PasGate;
use Pebble;
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

use constant DAY => 86400;

# Each challenge is held when the CA has been told that it can look: "TYPE.held" has its token,
# and it goes on with "TYPE.go". What the CA says of the account is in "account".
my %challenge;
my $proxy_rule = sub {
    my ($reply) = @_;
    my $json = eval { decode_json($reply->{body}) } // {};
    $reply->{headers}{date} = [strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + DAY))];
    spew(tmp('account'), join ' ', @{ $json->{contact} // [] }) if $json->{orders};
    $challenge{ $_->{url} =~ s{^https://[^/]+}{}r } = $_ for @{ $json->{challenges} // [] };
    my $asked = $json->{token} && $json->{url} && $challenge{ $json->{url} =~ s{^https://[^/]+}{}r } or return;
    spew(tmp("$asked->{type}.new"), $asked->{token});
    rename tmp("$asked->{type}.new"), tmp("$asked->{type}.held");
    wait_for { -e tmp("$asked->{type}.go") } 60;
    return;
};
my $ca    = Pebble->new;
my $proxy = FaultProxy->new($ca, [qr{.}, 0, $proxy_rule]);
my $gate  = acme_gate($ca, directory => $proxy->directory, workers => 3,
    acme   => 'email = "ops@shop.test"; preflight = false;',
    certs  => '{ names = [ "www.shop.test" ]; challenges = [ "http-01" ]; }, { names = [ "alpn.shop.test" ]; challenges = [ "tls-alpn-01" ]; }',
    listen => qq({ address = "127.0.0.1:$ca->{http_port}"; redirect = "https"; redirect_port = 443; }, )
      . qq({ address = "127.0.0.1:$ca->{tls_port}"; tls = true; }),
    pool   => 'max_in_flight = 1; queue = { size = 0; };',
    routes => '{ path = "/"; pool = "pas"; upstream_path = "/web"; }, { path = "/.well-known"; pool = "pas"; }');
$gate->write_config(global => $gate->{global} . ' timeouts = { handshake = "2s"; };');
is +($gate->cli('reload'))[0], 0, 'a deadline for handshakes';

# The first message of a handshake.
sub client_hello
{
    my ($name, $protocol) = @_;
    my $ctx = Net::SSLeay::CTX_new();
    Net::SSLeay::CTX_set_alpn_protos($ctx, [$protocol]);
    my $ssl = Net::SSLeay::new($ctx);
    my ($in, $out) = map { Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem()) } 1 .. 2;
    Net::SSLeay::set_bio($ssl, $in, $out);
    Net::SSLeay::set_tlsext_host_name($ssl, $name);
    Net::SSLeay::connect($ssl);
    my $hello = Net::SSLeay::BIO_read($out);
    Net::SSLeay::free($ssl);
    Net::SSLeay::CTX_free($ctx);
    return $hello;
}

sub check_http
{
    my ($token) = @_;
    my $path  = "/.well-known/acme-challenge/$token";
    my ($answer, %worker);
    my $ask = sub { my $r = $gate->get($path, plain => 1, port => $ca->{http_port}); return "$r->{status} $r->{body}" };
    like $answer = $ask->(), qr/^200 \Q$token\E\.[\w-]{43}$/, 'it is answered, where all else is redirected';
    my %other = map { $_ => 1 } map { $ask->() } 1 .. 60;
    is_deeply [keys %other], [$answer], 'always the same';
    wait_for {
        $worker{ $_->{worker} }++ for grep { ($_->{target} // '') eq $path } $gate->access;
        keys %worker == 3;
    };
    is join(' ', sort keys %worker), '0 1 2', 'by every worker';
    my $r = $gate->get($path);
    is "$r->{status} $r->{body}", $answer, 'by TLS as well, before any route';
    my $busy = $gate->connect;
    $busy->write($busy->build('GET', '/delay?ms=60000'));
    ok wait_for { $gate->get('/get')->{status} == 503 }, 'no request gets through any more, because of a limit';
    $r = $gate->get($path);
    is "$r->{status} $r->{body}", $answer, 'but this one';
    $busy->close;
    is $gate->get($path . 'x', plain => 1, port => $ca->{http_port})->{status}, 404, 'another token is none';
}

sub check_tls_alpn
{
    my @client = ('openssl', 's_client', '-connect', "127.0.0.1:$gate->{tls}", '-servername', 'alpn.shop.test');
    my ($code, $said) = run_cmd(@client, '-alpn', 'acme-tls/1');
    like $said, qr/ALPN protocol: acme-tls\/1/, 'a handshake for it, on the port that serves';
    my ($leaf) = $said =~ /(-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n)/s;
    my (undef, $text) = run_cmd('openssl', 'x509', '-noout', '-text', '-in', spew(tmp('leaf'), $leaf // ''));
    like $text, qr/1\.3\.6\.1\.5\.5\.7\.1\.31: critical/, 'shows the certificate for it';
    like $text, qr/DNS:alpn\.shop\.test$/m, 'of this one name';

    my $sock = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $gate->{tls}, SSL_hostname => 'alpn.shop.test',
        SSL_alpn_protocols => ['acme-tls/1'], SSL_verify_mode => SSL_VERIFY_NONE, Timeout => 10);
    ok $sock, 'a handshake' or diag $SSL_ERROR;
    $sock->timeout(10);
    is sysread($sock, my $bytes, 1) || 0, 0, 'is all: then it is closed';

    my $slow = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gate->{tls}) or die "connect: $!";
    my $start = time;
    syswrite $slow, client_hello('alpn.shop.test', 'acme-tls/1');
    $slow->blocking(0);
    ok wait_for { my $n = sysread $slow, my $more, 65536; defined $n && $n == 0 }, 'one that says hello and no more is cut';
    cmp_ok time - $start, '>=', 1.5, 'at the deadline of any other';
    unlike +(run_cmd(@client, '-alpn', 'http/1.1,acme-tls/1'))[1], qr/ALPN protocol: acme-tls/, 'among others it is not taken for it';
}

my %check = ('http-01' => \&check_http, 'tls-alpn-01' => \&check_tls_alpn);
while (%check) {
    my ($kind) = wait_for { (grep { -e tmp("$_.held") } keys %check)[0] } 60;
    $kind or do { fail "none of these is pending: @{[keys %check]}"; last };
    my $check = delete $check{$kind};
    subtest $kind => sub { $check->(slurp(tmp("$kind.held"))) };
    spew(tmp("$kind.go"), '');
}
for my $name (qw(www.shop.test alpn.shop.test)) {
    ok wait_for(sub { cert_row($gate, $name)->{source} eq 'acme' }, 60), "$name is live" or $gate->tell;
    is verified($gate, $ca, $name), '', 'and verified';
}
is slurp(tmp('account')), 'mailto:ops@shop.test', 'the CA knows whom to write to';
ok $gate->wait_log(qr/the clock here is 24 hours behind that of the CA; set it right/), 'a clock that differs by a day is told';
$gate->stop_ok;
done_testing;
