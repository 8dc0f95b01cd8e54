#!/usr/bin/perl
# What is set wrong, or is refused by the CA: one clear line says what to change, the status
# shows it, and the site goes on with the certificate that it has.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my $secret = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';
(my $other = $secret) =~ s/^..../AAAA/;
my $ca  = Pebble->new(more => { domainBlocklist => ['blocked.test'] });
my $eab = Pebble->new(eab => { 'kid-1' => $secret });

# The directory's URL at a CA that answers so to this path.
sub answering
{
    my ($path, $status, $body) = @_;
    return FaultProxy->new($ca, [$path, 0, sub { @{ $_[0] }{qw(status body)} = ($status, $body); return }, 1])->directory;
}

sub eab { my ($kid, $key) = @_; return (acme => qq(eab = { kid = "$kid"; hmac_key = "$key"; };)) }

my $nobody = 'https://127.0.0.1:' . free_port() . '/dir';
my $caa = '{"type":"urn:ietf:params:acme:error:caa","status":403,"detail":"CAA record for www.shop.test prevents issuance"}';
my %store = (store => tmp('store-roots'));

# What is wrong, the CA, options, and what has to be said.
my @cases = (
    ['no such path', $ca, [directory => "https://127.0.0.1:$ca->{port}/nope"], qr{no ACME directory at https://\S+/nope \(status 404\); check acme\.directory}],
    ['a web page', $ca, [directory => answering(qr{^/dir}, '200 OK', '<html>')], qr{https://\S+/dir is not an ACME directory; check acme\.directory}],
    ['another JSON', $ca, [directory => answering(qr{^/dir}, '200 OK', '{}')], qr{is not an ACME directory; check acme\.directory}],
    ['an unknown host', $ca, [directory => 'https://acme.nowhere.invalid/dir'], qr{^acme\.nowhere\.invalid: not found in DNS; check acme\.directory}],
    ['nobody there', $ca, [directory => $nobody], qr{no connection; check acme\.directory}],
    ['unknown roots', $ca, [%store, global => sprintf 'acme = { store = "%s"; directory = "%s"; };', $store{store}, $ca->directory], qr{certificate.*; for a CA with roots of its own, set acme\.ca_file}],
    ['a name that is refused', $ca, [names => ['www.shop.test', 'blocked.test']], qr{rejectedIdentifier.*blocked\.test|blocked\.test.*rejectedIdentifier}],
    ['CAA', $ca, [listen => undef, directory => answering(qr{^/finalize}, '403 Forbidden', $caa)], qr{\bcaa\b.*prevents issuance}],
    ['no EAB', $eab, [], qr{requires external account binding: write acme\.eab = }],
    ['an EAB kid that is wrong', $eab, [eab('kid-2', $secret)], qr{unauthorized.*'kid'.*not known}],
    ['an EAB key that is wrong', $eab, [eab('kid-1', $other)], qr{unauthorized.*external account binding}],
);

# All at once: most of it is waiting.
for my $case (@cases) {
    my ($what, $at, $options) = @$case;
    my %option = (listen => '', @$options);
    delete $option{listen} unless defined $option{listen};
    push @$case, acme_gate($at, %option);
}

# Of an order that was never made, nothing counts against the limits of the CA.
sub tries_spend_nothing
{
    my ($gate, $error) = @_;
    $gate->cli('cert', 'renew', 'www.shop.test') for 1 .. 4;
    is cert_row($gate)->{error}, $error, 'five tries spend none of what the CA allows';
}

for my $case (@cases) {
    my ($what, $at, $options, $words, $gate) = @$case;
    subtest $what => sub {
        ok wait_row($gate, sub { $_->{error} }, 90), 'the status tells it' or $gate->tell;
        my $row = cert_row($gate);
        like $row->{error}, $words, "in words: $row->{error}";
        ok $row->{next_try}, 'with the time of the next try';
        my ($code, $text) = $gate->cli('status');
        like $text, qr/^\s+error: \S/m, 'for people, too';
        my @lines = grep { /warn.*not ordered, failure 1: / } split /\n/, $gate->log_text;
        is scalar @lines, 1, 'one line in the log';
        is $row->{source}, 'self-signed', 'the site goes on with what it has';
        is $gate->get('/pas/get')->{status}, 200, 'and serves';
        tries_spend_nothing($gate, $row->{error}) if $what =~ /^(?:a web page|no EAB)$/;
        $gate->stop_ok;
    };
}

subtest 'a limit that the operator sets' => sub {
    my $gate = acme_gate($ca, names => ['limit.test'], acme => 'limits = { orders = 1; };');
    ok wait_issued($gate), 'one order' or $gate->tell;
    my ($code, $text) = $gate->cli('cert', 'renew', 'limit.test', '--force');
    is $code, 1, 'is all';
    like $text =~ s/\s+/ /gr, qr/limit reached: 1 orders?\b.* \(acme\.limits\)/, 'in words, with the setting';
    $gate->stop_ok;
};

for (['http://127.0.0.1/dir', qr{acme\.directory: "http://127\.0\.0\.1/dir" is not an ACME directory; write .*"https://}],
    ['letsencrypt"; eab = { kid = "kid-1"; }; email = "a@shop.test', qr{acme\.eab: hmac_key is missing; write both}],
    ['letsencrypt"; eab = { kid = "kid-1"; hmac_key = "not!base64"; }; email = "a@shop.test', qr{acme\.eab\.hmac_key: is not a base64url key.*copy it again}]) {
    my ($directory, $words) = @$_;
    my ($code, $text) = acme_gate($ca, directory => $directory, start => 0)->cli('check');
    is $code, 78, 'the configuration is refused';
    like $text, $words, 'in words';
}

done_testing;
