# ECDSA and RSA for one name: the client's offer decides, each is renewed by itself.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here' unless Pebble::available();

my $ca = Pebble->new;
my $rsa_only   = 'rsa_pss_rsae_sha256:rsa_pkcs1_sha256';
my $ecdsa_only = 'ecdsa_secp256r1_sha256';

# What a client with this offer gets for shop.test: the kind of its key and its serial number, or
# what went wrong.
sub got
{
    my ($gate, @offer) = @_;
    my (undef, $said) = run_cmd('openssl', 's_client', '-connect', "127.0.0.1:$gate->{tls}", '-servername', 'shop.test',
        '-showcerts', @offer);
    my ($pem) = $said =~ /(-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n)/s or return 'none';
    spew(tmp('leaf.pem'), $pem);
    my (undef, $text) = run_cmd('openssl', 'x509', '-in', tmp('leaf.pem'), '-noout', '-text', '-serial');
    my ($serial) = $text =~ /serial=(\w+)/;
    return $text =~ /Public Key Algorithm: rsaEncryption/ ? "RSA $serial" : $text =~ /id-ecPublicKey/ ? "ECDSA $serial" : $text;
}

sub kind { return got(@_) =~ s/ .*//r }

sub keys_of { return { map { $_->{name} => "$_->{source} $_->{key}" } @{ $_[0]->status->{certificates} // [] } } }

sub kinds_ok
{
    my ($gate, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $version (qw(-tls1_3 -tls1_2)) {
        is kind($gate, $version), 'ECDSA', "$what, $version: ECDSA for who can have either";
        is kind($gate, $version, '-sigalgs', $ecdsa_only), 'ECDSA', "$what, $version: and for who knows no other";
        is kind($gate, $version, '-sigalgs', $rsa_only),   'RSA',   "$what, $version: RSA for who knows no other";
    }
    is kind($gate, '-tls1_2', '-cipher', 'aRSA'), 'RSA', "$what: RSA for who offers only its ciphers";
}

# A pair with a key of RSA for shop.test, made anew with each call.
my @rsa = map { tmp("rsa.$_") } qw(pem key);

sub make_rsa
{
    run_cmd('openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=shop.test', '-keyout', $rsa[1], '-out', tmp('rsa.csr'));
    run_cmd('openssl', 'x509', '-req', '-in', tmp('rsa.csr'), '-CA', tmp('ca.pem'), '-CAkey', tmp('ca.key'), '-CAcreateserial',
        '-days', 20, '-extfile', tmp('shop.ext'), '-out', $rsa[0]);
    chmod 0644, $rsa[1];
}

subtest 'two orders' => sub {
    # By tls-alpn-01, which has one place for each name.
    my $gate = acme_gate($ca, workers => 2, acme => 'challenges = [ "tls-alpn-01" ];',
        listen => qq({ address = "127.0.0.1:$ca->{tls_port}"; tls = true; }),
        certs => '{ names = [ "shop.test", "www.shop.test" ]; name = "shop"; key_type = [ "p256", "rsa2048" ]; }');
    my $both = { shop => 'acme P-256', 'shop-rsa' => 'acme RSA 2048' };
    ok wait_for(sub { my $has = keys_of($gate); 2 == grep { ($has->{$_} // '') eq $both->{$_} } keys %$both }, 60), 'both come'
      or $gate->tell;
    is_deeply keys_of($gate), $both, 'and are shown as what they are';
    ok wait_for { kind($gate, '-sigalgs', $rsa_only) eq 'RSA' }, 'in the workers';
    kinds_ok($gate, 'by ACME');
    my (undef, $list) = $gate->cli('cert', 'list');
    like $list, qr/^shop\s+acme\s+P-256\s.*^shop-rsa\s+acme\s+RSA 2048\s/ms, 'cert list has both' or diag $list;

    my ($ecdsa, $rsa) = (got($gate), got($gate, '-sigalgs', $rsa_only));
    is +($gate->cli('cert', 'renew', 'shop-rsa', '--force'))[0], 0, 'one is renewed';
    ok wait_for { got($gate, '-sigalgs', $rsa_only) ne $rsa }, 'that of RSA is new';
    is got($gate), $ecdsa, 'and only that one';
    my ($code, $said) = $gate->cli('cert', 'renew', '--all', '--force');
    is $code, 0, 'both at once' or diag $said;
    ok wait_for { got($gate) ne $ecdsa }, 'the other one is new, too';
    kinds_ok($gate, 'renewed');
    is_deeply keys_of($gate), $both, 'of the same kinds';
    $gate->stop_ok;
    $gate->start;
    kinds_ok($gate, 'after a restart');

    # Of two that are there already, one alone.
    $gate->write_config(certs => '{ names = [ "shop.test", "www.shop.test" ]; name = "shop"; }');
    is +($gate->cli('reload'))[0], 0, 'one kind is taken out';
    ok wait_for { kind($gate, '-sigalgs', $rsa_only) eq 'none' }, 'RSA has gone';
    is kind($gate), 'ECDSA', 'ECDSA goes on';

    # The one that is there is of the kind that the second is to have now.
    $gate->write_config(
        certs => '{ names = [ "shop.test", "www.shop.test" ]; name = "shop"; key_type = [ "rsa2048", "p256" ]; }');
    is +($gate->cli('reload'))[0], 0, 'two again, in the other order';
    my $want = { shop => 'acme RSA 2048', 'shop-ecdsa' => 'acme P-256' };
    ok wait_for(sub { my $has = keys_of($gate); 2 == grep { ($has->{$_} // '') eq $want->{$_} } keys %$want }, 60), 'both come'
      or $gate->tell;
    ok wait_for { kind($gate, '-sigalgs', $rsa_only) eq 'RSA' && kind($gate) eq 'ECDSA' }, 'and are served';
    $gate->stop_ok;
};

# As long as only one has come, the self-signed one that stands in for the other is nobody's.
subtest 'only one is there' => sub {
    PasGate::make_cert('shop', 'shop.test');
    make_rsa();
    my $files = qq({ names = [ "shop.test" ]; name = "files"; chain = "$rsa[0]"; key = "$rsa[1]"; });
    my $order = '{ names = [ "shop.test" ]; name = "order"; }';
    my $gate  = acme_gate($ca, certs => "$order, $files", directory => 'https://127.0.0.1:1/dir', workers => 1);
    my $want  = { files => 'file RSA 2048', order => 'self-signed P-256' };
    ok wait_for { my $has = keys_of($gate); 2 == grep { ($has->{$_} // '') eq $want->{$_} } keys %$want },
      'one of files, one still to come';
    ok wait_for { kind($gate) eq 'RSA' }, 'the real one is served to all, also after the other';
    is kind($gate, '-sigalgs', $ecdsa_only), 'none', 'only who cannot have it gets none';
    $gate->write_config(certs => "$files, $order");
    is +($gate->cli('reload'))[0], 0, 'in the other order';
    ok wait_for { kind($gate) eq 'RSA' && ($gate->status->{certificates}[0]{loaded} // 0) == 1 }, 'too';
    $gate->stop_ok;
};

subtest 'two pairs of files' => sub {
    my @ecdsa = PasGate::make_cert('shop', 'shop.test');
    make_rsa();
    my $certs = join ', ', map { qq({ names = [ "shop.test" ]; chain = "$_->[0]"; key = "$_->[1]"; }) } \@rsa, \@ecdsa;
    my $gate = PasGate->new(backends => [PasGate::StandIn->new('pas1')], workers => 2, certs => $certs);
    my $want = { 'shop.test' => 'file RSA 2048', 'shop.test-2' => 'file P-256' };
    ok wait_for { my $has = keys_of($gate); 2 == grep { ($has->{$_} // '') eq $want->{$_} } keys %$want }, 'both are there'
      or $gate->tell;
    ok wait_for { kind($gate) eq 'ECDSA' && kind($gate, '-sigalgs', $rsa_only) eq 'RSA' }, 'in the workers';
    kinds_ok($gate, 'of files');
    my $rsa = got($gate, '-sigalgs', $rsa_only);
    make_rsa();
    ok wait_for { got($gate, '-sigalgs', $rsa_only) ne $rsa }, 'one is replaced';
    is kind($gate), 'ECDSA', 'the other one goes on';
    $gate->stop_ok;

    # Nobody is given one that has ended as long as there is the other.
    my $good = slurp($ecdsa[0]);
    spew($ecdsa[0], slurp(PasGate::make_dated(tmp('shop.csr'), -20, -1, 'DNS:shop.test')));
    $gate->start;
    ok wait_for { kind($gate) eq 'RSA' }, 'one that has expired is no choice';
    $gate->stop_ok;
    spew($ecdsa[0], $good);

    my ($code, $said) = $gate->cli('check');
    unlike $said, qr/same kind/, 'check has nothing to say';
    $gate->write_config(certs => join ', ', map { qq({ names = [ "shop.test" ]; name = "$_"; chain = "$ecdsa[0]"; key = "$ecdsa[1]"; }) } qw(one two));
    ($code, $said) = $gate->cli('check');
    like $said, qr/certificates one and two have the same names and the same kind of key, so only one is served/,
      'of two with one kind of key it says so' or diag $said;
};

done_testing;
