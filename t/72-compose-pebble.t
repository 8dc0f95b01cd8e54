#!/usr/bin/perl
# docker/compose.pebble.yml: the whole path to a certificate, with Pebble as the CA, from one
# command; without a domain.
use strict;
use warnings;
use lib 't/lib';
use Compose;
use PasGate;
use Test::More;

my $it = Compose->new('pebble');
my ($https, $http) = free_ports(2);
delete @ENV{qw(ACME_DIRECTORY ACME_CA_FILE PAS_IMAGE)};
@ENV{qw(DOMAIN EMAIL HTTPS_PORT HTTP_PORT)} = ('www.shop.test', '', $https, $http);
push @{ $it->{file} }, '-f', 'docker-compose.yml', '-f', 'docker/compose.pebble.yml';

sub row { return $it->status->{certificates}[0] // {} }

$it->ok('it is valid', 'config', '-q');
$it->ok('up', 'up', '-d', '--build', 'pebble', 'pasgate', 'pas1');
ok wait_for(sub { (row()->{source} // '') eq 'acme' }, 60), 'the certificate comes' or diag(join "\n", map { ($it->compose('logs', $_))[1] } qw(pasgate pebble));
is row()->{error}, '', 'no complaint';
like row()->{issuer}, qr/^Pebble Intermediate/, 'of Pebble';

my $root;
ok wait_for(sub { my ($code, $pem) = $it->exec('pebble', 'cat', '/ca/root.pem'); $root = spew(tmp('root.pem'), $pem) if !$code }, 30),
    'its root can be had';
my $said;
ok wait_for(sub {
    my $code;
    ($code, $said) = run_cmd(qw(curl -sS -m 10 --cacert), $root, '--resolve', "www.shop.test:$https:127.0.0.1",
        "https://www.shop.test:$https/pas/get");
    !$code && $said =~ /"instance"/;
}, 30), 'a client that trusts it is served' or diag $said;
my ($code, $text) = run_cmd('openssl', 's_client', '-connect', "127.0.0.1:$https", '-servername', 'www.shop.test',
    '-verify_hostname', 'www.shop.test', '-verify_return_error', '-CAfile', $root);
is $code, 0, 'and openssl verifies it' or diag $text;
($code, $text) = $it->cli('cert', 'renew', 'www.shop.test', '--force');
is $code, 0, 'it can be renewed' or diag $text;
$it->down;
done_testing;
