# What the operator asks of the CA by hand: revocation, another key for the account, its end; and
# which key and chain a certificate has.
use strict;
use warnings;
use lib 't/lib';
use FaultProxy;
use PasGate;
use Pebble;
use IO::Socket::SSL;
use Test::More;

plan skip_all => 'no pebble here' unless Pebble::available();

my $pas   = PasGate::StandIn->new('pas1');
my $ca    = Pebble->new;
my $proxy = FaultProxy->new($ca, [qr{^/rollover-account-key}, 1, sub { 'lost' }]);
my $other = $ca->root_name(1);
my ($chain, $key) = PasGate::make_cert('mine', 'mine.test');
my $store = tmp('store');
my $gate  = PasGate->new(
    backends => [$pas], workers => 2, no_probe => 1,
    certs => '{ names = [ "shop.test" ]; key_type = "p384"; }, '
      . '{ names = [ "one.test" ]; key_type = "rsa2048"; }, '
      . qq({ names = [ "mine.test" ]; chain = "$chain"; key = "$key"; }, { names = [ "own.test" ]; self_signed = true; }),
    listen => qq({ address = "127.0.0.1:$ca->{http_port}"; redirect = "https"; redirect_port = 443; }),
    global => sprintf('acme = { store = "%s"; directory = "%s"; ca_file = "%s"; preferred_chain = "%s"; };',
        $store, $proxy->directory, $ca->ca_file, $other));

sub row { return (grep { $_->{name} eq 'shop.test' } @{ $gate->status->{certificates} // [] })[0] // {} }

sub served
{
    my $sock = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $gate->{tls}, SSL_hostname => 'shop.test',
        SSL_verifycn_name => 'shop.test', SSL_verifycn_scheme => 'http', SSL_ca_file => $ca->root(1), Timeout => 10)
      or return "no TLS: $SSL_ERROR";
    my $leaf   = $sock->peer_certificate;
    my $serial = Net::SSLeay::P_ASN1_INTEGER_get_hex(Net::SSLeay::X509_get_serialNumber($leaf));
    $sock->close;
    return $serial;
}

# What the CA says of a serial number.
sub ca_says { return $ca->fetch("127.0.0.1:$ca->{management_port}/cert-status-by-serial/$_[0]") // '' }

sub says
{
    my ($args, $want, $re, $name) = @_;
    my ($code, $said) = $gate->cli('cert', @$args);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $code == $want && $said =~ $re, $name or diag "exit code $code: $said";
}

ok wait_for(sub { (grep { $_->{source} eq 'acme' && $_->{loaded} == 2 } @{ $gate->status->{certificates} }) == 2 }, 60),
  'certificates' or $gate->tell;

subtest 'its key and its chain' => sub {
    like served(), qr/^[0-9A-F]+$/, 'the preferred chain is served';
    my ($code, $text) = run_cmd('openssl', 'pkey', '-in', "$store/certs/shop.test/current/key.pem", '-noout', '-text');
    like $text, qr/secp384r1|P-384/, 'a P-384 key';
};

subtest 'revoke' => sub {
    my $serial = served();
    says ['revoke', 'mine.test'], 1, qr/mine\.test: it comes from files/, 'not one of files';
    says ['revoke', 'own.test'], 1, qr/own\.test: it is self-signed/, 'not a self-signed one';
    says ['revoke', 'shop.test', '--reason', 'bored'], 2, qr/a reason is one of unspecified, keyCompromise/, 'not for any reason';
    says ['revoke'], 2, qr/which certificate\?/, 'not without a name';
    my $old = PasGate::slurp("$store/certs/shop.test/current/key.pem");
    says ['revoke', 'shop.test', '--reason', 'keyCompromise'], 0, qr/shop\.test: revoked; generation 3 is live/, 'revoked';
    my $status = ca_says(lc $serial);
    like $status, qr/Revoked/, 'the CA says so';
    like $status, qr/"Reason":\s*1/, 'and for which reason' if $status =~ /Reason/;
    isnt served(), $serial, 'another one is served';
    isnt PasGate::slurp("$store/certs/shop.test/current/key.pem"), $old, 'with another key';
};

subtest 'revoked, and killed' => sub {
    my $serial = served();
    my $generation = row()->{generation};
    $gate->stop_ok;
    my $list = "$store/certs/.revoked";    # killed before it was added there
    PasGate::spew("$store/certs/shop.test/$generation/revoked", "reason=1\n");
    $gate->start;
    ok wait_for(sub { row()->{generation} > $generation }, 60), 'a successor replaces it' or $gate->tell;
    is scalar(() = PasGate::slurp($list) =~ /^[0-9a-f]+=[0-9a-f]+ \d+ 1 /mg), 2, 'and the list has it, with the reason that its key is known to others';
    ok wait_for { served() ne $serial }, 'it is served';
    says ['rollback', 'shop.test'], 1, qr/there is no older generation that is still good/, 'no way leads back';
};

subtest 'another key for the account, of which the reply is lost' => sub {
    my ($file) = glob "$store/accounts/*/key.pem";
    my $old = slurp($file);
    says ['rollover'], 0, qr/the account has a new key/, 'rollover';
    is $ca->said(qr/There are now \d+ accounts in memory/), 1, 'the same account';
    isnt slurp($file), $old, 'another key';
    ok !-e $file =~ s/key\.pem/next.pem/r, 'only one';
    says ['rollover', 'shop.test'], 0, qr/the account has a new key/, 'once more, by name';

    # Killed after the CA took it: the old key is what acmed had.
    my $new = slurp($file);
    $gate->stop_ok;
    rename $file, $file =~ s/key\.pem/next.pem/r or die;
    PasGate::spew($file, $old);
    chown((stat "$store/certs")[4, 5], $file);
    $gate->start;
    ok wait_for { slurp($file) eq $new && !-e $file =~ s/key\.pem/next.pem/r }, 'a successor finds out which key holds';
    says ['renew', 'one.test', '--force'], 0, qr/is live/, 'orders go on';

    # Killed before the CA heard of it.
    $gate->stop_ok;
    my $stranger = $file =~ s/key\.pem/next.pem/r;
    run_cmd('openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', $stranger);
    chown((stat "$store/certs")[4, 5], $stranger);
    $gate->start;
    ok wait_for { !-e $stranger }, 'a key that the CA does not know is dropped';
    is slurp($file), $new, 'the old one stays';
    is $ca->said(qr/There are now \d+ accounts in memory/), 1, 'the same account';
};

subtest 'the end of an account' => sub {
    says ['deactivate'], 2, qr/closing an account cannot be undone: if you are sure, add --force/, 'not by mistake';
    says ['deactivate', '--force'], 0, qr/the account is closed/, 'closed';
    my @left = glob "$store/accounts/*/*.pem";
    is @left, 0, 'its key is gone';
    says ['rollover'], 1, qr/there is no account yet/, 'nothing can be done with it';
    says ['renew', 'one.test', '--force'], 0, qr/is live/, 'an order makes another one';
    is $ca->said(qr/There are now 2 accounts in memory/), 1, 'which is the second';
};

$gate->stop_ok;
done_testing;
