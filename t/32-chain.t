# A chain without its intermediate is served, and told of: from files, from the store, by an import.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use IO::Socket::SSL;
use Test::More;

# Whether one is missing is known by the CAs of the host.
plan skip_all => 'this host knows no CA' unless -e '/etc/ssl/certs/ca-certificates.crt';

my $pas   = PasGate::StandIn->new('pas1');
my $inter = tmp('inter');

sub sign
{
    my ($csr, $ca, $extension, $out) = @_;
    spew("$inter.ext", "$extension\n");
    my ($code, $said) = run_cmd('openssl', 'x509', '-req', '-in', $csr, '-CA', "$ca.pem", '-CAkey', "$ca.key",
        '-CAcreateserial', '-days', 90, '-extfile', "$inter.ext", '-out', $out);
    die $said if $code;
}

PasGate::make_cert($_, "$_.test") for qw(shop store);
run_cmd('openssl', 'req', qw(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes), '-subj', '/CN=the one between',
    '-keyout', "$inter.key", '-out', "$inter.csr");
sign("$inter.csr", tmp('ca'), 'basicConstraints=critical,CA:true', "$inter.pem");
sign(tmp("$_.csr"), $inter, "subjectAltName=DNS:$_.test\nauthorityInfoAccess=caIssuers;URI:http://127.0.0.1/inter.der", tmp("$_.leaf"))
  for qw(shop store);

my ($chain, $key) = map { tmp("shop.$_") } qw(pem key);
my $whole = slurp(tmp('shop.leaf')) . slurp("$inter.pem");
spew($chain, slurp(tmp('shop.leaf')));
my $gate = PasGate->new(
    backends => [$pas], workers => 2, start => 0,
    certs => qq({ names = [ "shop.test" ]; chain = "$chain"; key = "$key"; }, { names = [ "store.test" ]; }));
my $missing = qr/the chain is incomplete: the certificate of "the one between" is missing/;

sub row
{
    my ($name) = @_;
    return (grep { $_->{name} eq $name } @{ $gate->status->{certificates} // [] })[0] // {};
}

sub served
{
    my ($name) = @_;
    my $sock = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $gate->{tls}, SSL_hostname => $name,
        SSL_verify_mode => SSL_VERIFY_NONE, Timeout => 10) or return "no TLS: $SSL_ERROR";
    my $said = $sock->peer_certificate('issuer');
    $sock->close;
    return $said;
}

subtest 'an import' => sub {
    my ($code, $said) = $gate->cli('cert', 'import', tmp('store.leaf'), '--key', tmp('store.key'));
    is $code, 0, 'is done' or diag $said;
    like $said, qr/is generation 1 of store\.test.*warning: .*store\.leaf: $missing/s, 'with a warning';
};

subtest 'what is served' => sub {
    $gate->start;
    ok wait_for { row('shop.test')->{source} eq 'file' }, 'files';
    for my $name (qw(shop.test store.test)) {
        like served($name), qr/the one between/, "$name: served";
        my $row = row($name);
        is +(grep { /$missing/ } @{ $row->{notes} // [] }), 1, "$name: a note";
        is $row->{error}, '', "$name: no error";
        ok $gate->wait_log(qr/warn.*certificate \Q$name\E: $missing: some clients will refuse it/i), "$name: a warning in the log";
    }
    is row('store.test')->{source}, 'acme', 'the one in the store is of a CA';
    my ($code, $said) = $gate->cli('cert', 'list');
    is +(() = $said =~ /note: $missing/g), 2, 'cert list has both' or diag $said;
    like $gate->get('/', plain => 1, port => $gate->{status_port})->{body}, qr/the certificate of &#34;the one between&#34; is missing/, 'and the page';
};

subtest 'mended' => sub {
    spew($chain, $whole);
    my $noted = sub { scalar grep { /$missing/ } @{ row($_[0])->{notes} // [] } };
    ok wait_for { row('shop.test')->{generation} == 2 && !$noted->('shop.test') }, 'no note is left';
    is $noted->('store.test'), 1, 'the other one has its own';
};

$gate->stop_ok;
done_testing;
