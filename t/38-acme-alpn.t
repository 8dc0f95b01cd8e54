#!/usr/bin/perl
# tls-alpn-01 with all of pasgate: the workers prove the names on the port that serves them.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my $pas = PasGate::StandIn->new('pas1');
my $ca  = Pebble->new;
my $gate = PasGate->new(
    backends => [$pas], workers => 2, no_probe => 1,
    certs  => '{ names = [ "www.shop.test", "shop.test" ]; }',
    listen => qq({ address = "127.0.0.1:$ca->{tls_port}"; tls = true; }),
    global => sprintf('acme = { store = "%s"; directory = "%s"; ca_file = "%s"; challenges = [ "tls-alpn-01" ]; };',
        tmp('store'), $ca->directory, $ca->ca_file));

my $row;
my $issued = wait_for {
    ($row) = @{ $gate->status->{certificates} // [] };
    ($row->{source} // '') eq 'acme';
} 60;
ok $issued, 'issued' or $gate->tell;
is $row->{error}, '', 'no complaint';

my @client = ('openssl', 's_client', '-connect', "127.0.0.1:$gate->{tls}", '-servername', 'shop.test',
    '-verify_return_error', '-CAfile', $ca->root(0));
my ($code, $said) = run_cmd(@client, '-alpn', 'http/1.1');
is $code, 0, 'served, verified' or diag $said;
($code, $said) = run_cmd(@client, '-alpn', 'acme-tls/1');
isnt $code, 0, 'nobody is shown a challenge when none is pending';
like $said, qr/no application protocol/i, 'but refused';

$gate->stop_ok;
$ca->end;
done_testing;
