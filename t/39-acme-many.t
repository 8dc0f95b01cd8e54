#!/usr/bin/perl
# 132 challenges at once: two certificates of 66 names each, one by http-01, the other one by
# tls-alpn-01, at a CA that takes its time to validate. Each name is validated and then served,
# and no challenge is left.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

use constant { NAMES => 66, SLEEP => 20 };

my %kind  = (web => 'http-01', alpn => 'tls-alpn-01');
my %names = map { my $cert = $_; $cert => [map { "n$_.$cert.test" } 1 .. NAMES] } keys %kind;

# Each of three looks at a name comes 0 to 19 seconds after the CA was told that it can look.
my $ca   = Pebble->new(env => { PEBBLE_VA_NOSLEEP => 0, PEBBLE_VA_SLEEPTIME => SLEEP });
my $gate = acme_gate($ca, workers => 2, acme => 'preflight = false; staging = "off";',
    certs => join(', ', map {
            my $names = join ', ', map { qq("$_") } @{ $names{$_} };
            qq({ name = "$_"; names = [ $names ]; challenges = [ "$kind{$_}" ]; })
    } sort keys %names),
    listen => qq({ address = "127.0.0.1:$ca->{http_port}"; redirect = "https"; redirect_port = 443; }, )
      . qq({ address = "127.0.0.1:$ca->{tls_port}"; tls = true; }));

for my $cert (sort keys %names) {
    my $live = sub { my $row = cert_row($gate, $cert); return $row->{source} eq 'acme' && $row->{loaded} == 2 };
    ok wait_for(sub { $live->() || cert_row($gate, $cert)->{error} }, 300) && $live->(), "$cert is live" or $gate->tell;
    is verified($gate, $ca, $_), '', "$_ is verified" for @{ $names{$cert} }[0, 35, -1];
    my $leaf = spew(tmp("$cert.leaf"), served($gate, $names{$cert}[-1]));
    my (undef, $text) = run_cmd('openssl', 'x509', '-noout', '-text', '-in', $leaf);
    is_deeply [sort $text =~ /DNS:([^,\s]+)/g], [sort @{ $names{$cert} }], 'and has all names';
}

# acmed takes the challenges of an order back when the last one is decided.
my ($before) = split /is fully authorized/, slurp($ca->{log});
is scalar(() = $before =~ /Pulled a task from the Tasks queue/g), NAMES * keys %names, 'all challenges were pending at one time';
is $ca->said(qr/Added order "/), 2, 'of two orders';
unlike $gate->log_text, qr/not ordered|slots for challenges/, 'without a failure';
my %token = reverse slurp($ca->{log}) =~ m{http://(\S+?):\d+/\.well-known/acme-challenge/([\w-]+)}g;
is_deeply [sort values %token], [sort @{ $names{web} }], 'each name by http-01 had a token of its own';
my $shown = sub { return grep { $gate->get("/.well-known/acme-challenge/$_", plain => 1, port => $ca->{http_port})->{status} == 200 } keys %token };
ok wait_for(sub { !$shown->() }), 'which is not shown any more';
$gate->stop_ok;
done_testing;
