#!/usr/bin/perl
# testssl.sh rates what pasgate serves, with a certificate of a newer Pebble and with HSTS.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use JSON::PP;
use PasGate;
use Pebble;
use Test::More;

# That of t/install-deps.sh, or the machine's own, if it is one that rates.
my ($testssl) = grep { -x } PasGate::test_tools() . '/testssl', '/usr/bin/testssl';
plan skip_all => 'no newer Pebble here (t/install-deps.sh)' unless Pebble::available(1);
plan skip_all => 'no testssl.sh here (t/install-deps.sh)'   unless $testssl;
my $data = PasGate::test_tools() . '/etc/testssl';
$ENV{TESTSSL_INSTALL_DIR} = $data if -d $data;

my $ca   = Pebble->new(newer => 1);
my $gate = acme_gate($ca);
ok wait_issued($gate), 'a certificate of the CA' or $gate->tell;
is verified($gate, $ca, $_), '', "openssl verifies it for $_" for 'www.shop.test', 'shop.test';
my ($certs) = glob "$gate->{store}/certs/*/current";
my ($code, $said) = run_cmd('openssl', 'verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', $ca->root(0),
    '-untrusted', "$certs/fullchain.pem", "$certs/fullchain.pem");
is $code, 0, 'and what the store holds, strictly' or diag $said;

# What its rating is made of, and no more: of the rest nothing changes it, and the whole takes
# several times as long. Bash and a sanitizer at once would: there, the protocols do.
my $rated  = !PasGate::sanitized();
my @checks = $rated ? qw(-p -s -f -S -h -H -I -T --BB -R -C -O -Z -D -A -4 -J) : qw(-p -S -h);
my $report = tmp('report.json');
($code, $said) = run_cmd($testssl, @checks, qw(--warnings batch --color 0 --quiet --nodns none --ip 127.0.0.1),
    '--add-ca', $ca->root(0), '--jsonfile', $report, "https://shop.test:$gate->{tls}/pas/get");
is $code, 0, 'testssl.sh has run to its end' or diag $said;
my $found = eval { decode_json(slurp($report)) } // [];
my %of = map { $_->{id} => $_ } @$found;

is $of{overall_grade}{finding}, 'A+', 'its rating' if $rated;
like $of{$_}{finding}, qr/^not offered/, "$_ is not offered" for qw(SSLv2 SSLv3 TLS1 TLS1_1);
like $of{$_}{finding}, qr/^offered/, "$_ is" for qw(TLS1_2 TLS1_3);
like $of{cert_chain_of_trust}{finding}, qr/^passed/, 'the chain';
cmp_ok $of{HSTS_time}{finding} =~ /^(\d+) days/ ? $1 : 0, '>=', 365, 'HSTS';

# A test CA names no place to ask for revocations; other headers are the application's.
my @bad = grep { $_->{severity} =~ /^(?:LOW|MEDIUM|HIGH|CRITICAL)$/ && $_->{id} !~ /^(?:cert_revocation|security_headers)$/ } @$found;
is_deeply [map { "$_->{severity} $_->{id}: $_->{finding}" } @bad], [], 'it has found nothing else';

is verified($gate, $ca, 'shop.test'), '', 'and all its questions have done no harm';
$gate->stop_ok;
$ca->end;
done_testing;
