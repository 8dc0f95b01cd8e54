#!/usr/bin/perl
# Several certificates with several names each, one for each type of key, ordered by a service
# that starts for the first time; and what is then served, verified by openssl up to Pebble's root.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my %type = (    # what openssl calls it
    p256    => qr/ASN1 OID: prime256v1/,
    p384    => qr/ASN1 OID: secp384r1/,
    rsa2048 => qr/Public-Key: \(2048 bit\)/,
    rsa4096 => qr/Public-Key: \(4096 bit\)/,
);
my %names = map { ($_ => [map { "$_.test" } "www.$_", $_, "api.$_"]) } keys %type, 'default';

my $ca   = Pebble->new;
my $gate = acme_gate($ca, workers => 2, certs => join(', ', map {
        my $names = join ', ', map { qq("$_") } @{ $names{$_} };
        my $type  = $_ eq 'default' ? '' : qq(key_type = "$_";);
        "{ names = [ $names ]; $type }"
} sort keys %names));

# The chain that is served for this name, in files of its own: leaf, and what is between it and
# the root.
sub served_files
{
    my ($name) = @_;
    my ($code, $said) = run_cmd('openssl', 's_client', '-connect', "127.0.0.1:$gate->{tls}", '-servername', $name, '-showcerts');
    my ($leaf, @others) = $said =~ /(-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n)/sg;
    return (spew(tmp("$name.leaf"), $leaf // ''), spew(tmp("$name.others"), join '', @others));
}

sub run_says
{
    my ($code, $said) = run_cmd(@_);
    return $code ? "exit code $code: $said" : $said;
}

for my $type (sort keys %names) {
    my ($first) = @{ $names{$type} };
    ok wait_row($gate, sub { my $row = cert_row($gate, $first); $row->{source} eq 'acme' && $row->{loaded} == 2 }, 120),
      "$type: live in both workers" or $gate->tell;
    my ($leaf, $others) = served_files($first);
    my $text = run_says('openssl', 'x509', '-in', $leaf, '-noout', '-text');
    like $text, $type{ $type eq 'default' ? 'p256' : $type }, '  with such a key';
    is_deeply [sort $text =~ /DNS:([^,\s]+)/g], [sort @{ $names{$type} }], '  for its names, and no other';
    for my $name (@{ $names{$type} }) {
        is run_says('openssl', 'verify', '-CAfile', $ca->root(0), '-untrusted', $others, '-verify_hostname', $name,
            '-purpose', 'sslserver', (served_files($name))[0]), tmp("$name.leaf") . ": OK\n", "  $name is verified up to the root";
    }
}
is $ca->said(qr/Added order "/), keys(%names) + 0, 'one order for each';
is $ca->said(qr/There are now \d+ accounts in memory/), 1, 'by one account';
my ($rate_log) = glob "$gate->{store}/accounts/*/ledger";
is scalar(() = slurp($rate_log) =~ /^a/mg), 1, 'which the rate log has as one';
unlike $gate->log_text, qr/not ordered/, 'and none had to wait for it';
$gate->stop_ok;
done_testing;
