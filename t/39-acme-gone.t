#!/usr/bin/perl
# What stands in the way of a certificate is shown and got around: a store that cannot be made at
# a first start, one that is deleted or replaced while pasgate runs, names that are not ordered,
# and what a CA says at length.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use File::Path qw(remove_tree);
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

# A rule of FaultProxy: orders are refused, while there is a file $when if one is named. The CA does
# not hear of them: Debian's Pebble stands still now and then when a validation fails while the
# client looks at it.
sub refuse
{
    my ($detail, $when) = @_;
    return [sub { $_[0] =~ m{^/order-plz} && (!$when || -e $when) }, 0, sub {
        return "HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n"
          . qq({"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"$detail","status":403});
    }, 1];
}

sub orders { my ($ca) = @_; return $ca->said(qr/Added order "/) }

my $ca = Pebble->new;

subtest 'a store that cannot be had at the first start' => sub {
    my $store = tmp('blocked');
    mkdir $store;
    chmod 0777, $store;
    spew("$store/certs", "a file is in the way\n");
    my $gate = acme_gate($ca, store => $store);
    my $first = served($gate, 'www.shop.test');
    like $first, qr/BEGIN CERTIFICATE/, 'TLS is served' or $gate->tell;
    is cert_row($gate)->{generation}, 0, 'from memory';
    my ($code, $out) = $gate->cli('status');
    is $code, 1, 'status exits with 1';
    like $out, qr{the store \S+/blocked: Not a directory}, 'and says why';
    like((map { $_->cli('cert', 'list') } $gate)[1], qr/serves a self-signed certificate of its own, from memory/, 'cert list tells what is served');
    like $gate->connect(port => $gate->{status_port}, plain => 1)->request('GET', '/')->{body}, qr{blocked: Not a directory}, 'the page, too';
    is orders($ca), 0, 'nothing is ordered';
    cmp_ok scalar(() = $gate->log_text =~ m{acmed.*blocked: Not}g), '<=', 3, 'the log does not say it again and again';
    unlink "$store/certs";
    ok wait_issued($gate), 'it can be had: the certificate comes by itself' or $gate->tell;
    is verified($gate, $ca, 'shop.test'), '', 'and is served';
    is +($gate->cli('status'))[0], 0, 'all is well';
    $gate->stop_ok;
};

subtest 'a store that may not be read at the first start' => sub {
    my $store = tmp('shut');
    my @owner = $> == 0 ? (getpwnam 'nobody')[2, 3] : ($>, -1);
    for ($store, "$store/certs") { mkdir $_; chown @owner, $_ }
    chmod 0, "$store/certs";
    my $gate = acme_gate($ca, store => $store);
    like served($gate, 'www.shop.test'), qr/BEGIN CERTIFICATE/, 'TLS is served' or $gate->tell;
    is cert_row($gate)->{generation}, 0, 'from memory';
    my ($code, $out) = $gate->cli('status');
    is $code, 1, 'status exits with 1';
    like $out, qr{the store \Q$store\E: Permission denied; make the user that the children run as its owner}, 'and says why, and what helps';
    chmod 0750, "$store/certs";
    ok wait_issued($gate), 'readable: the certificate comes by itself' or $gate->tell;
    $gate->stop_ok;
};

subtest 'a store that is deleted' => sub {
    my $proxy = FaultProxy->new($ca, refuse('not now', tmp('not-now')));
    my $gate = acme_gate($ca, workers => 2, directory => $proxy->directory, acme => 'challenges = [ "http-01" ]; staging = "off";');
    ok wait_issued($gate), 'issued' or $gate->tell;
    my ($old, $generation, $orders) = (served($gate), cert_row($gate)->{generation}, orders($ca));
    my ($account) = map { slurp($_) } glob "$gate->{store}/accounts/*/account";
    spew(tmp('not-now'), '');
    remove_tree($gate->{store});
    ok wait_row($gate, sub { $_->{error} }), 'it is told' or $gate->tell;
    is served($gate), $old, 'the certificate serves on' for 1 .. 3;
    my ($pid) = $gate->pids('acmed');
    kill 'KILL', $pid;
    ok wait_for { my ($new) = $gate->pids('acmed'); $new && $new != $pid }, 'another acmed';
    ok wait_row($gate, sub { $_->{failures} }), 'orders one' or $gate->tell;
    is served($gate), $old, 'which puts no self-signed one in its place';
    unlink tmp('not-now');
    ok wait_for { ($gate->cli('cert', 'renew', 'www.shop.test'))[0] == 0 }, 'another one comes' or $gate->tell;
    cmp_ok cert_row($gate)->{generation}, '>', $generation, 'with a new number';
    is verified($gate, $ca, 'shop.test'), '', 'and is served';
    ok -e "$gate->{store}/certs/www.shop.test/current/key.pem", 'of a store that is there again';
    is slurp(glob "$gate->{store}/accounts/*/account"), $account, 'with the account that there was';
    $gate->stop_ok;

    $gate->start;
    $generation = cert_row($gate)->{generation};
    remove_tree("$gate->{store}/$_") for 'certs', 'accounts';
    ok wait_row($gate, sub { $_->{generation} > $generation }), 'a part of it is deleted: ordered again' or $gate->tell;
    $gate->stop_ok;
    $proxy->end;
};

subtest 'a store that cannot be read any more' => sub {
    my $gate = acme_gate($ca);
    ok wait_issued($gate), 'issued' or $gate->tell;
    my ($old, $orders) = (served($gate), orders($ca));
    my $mode = (stat $gate->{store})[2] & 07777;
    chmod 0, $gate->{store};
    my $says = qr{cannot read the store \Q$gate->{store}\E: Permission denied; make the user that the children run as its owner; workers keep what they have};
    ok wait_row($gate, sub { ($_->{notes}[0] // '') =~ /^$says/ }), 'it is noticed' or $gate->tell;
    like +($gate->cli('cert', 'list'))[1] =~ s/\s+/ /gr, $says, 'cert list tells';
    my ($code, $out) = $gate->cli('status');
    is $code, 1, 'status exits with 1';
    like $out =~ s/\s+/ /gr, qr/certificate www\.shop\.test: $says/, 'and says why';
    is +($gate->cli('status', '--live'))[0], 0, 'but it lives';
    is $gate->connect(port => $gate->{status_port}, plain => 1)->request('GET', '/readyz')->{status}, 200, 'and is ready for clients';
    ($code, $out) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
    is $code, 1, 'nothing can be ordered';
    like $out =~ s/\s+/ /gr, $says, 'for that reason';
    is orders($ca), $orders, 'nor was it';
    is served($gate), $old, 'what was loaded is served';
    kill 'KILL', $gate->workers;
    ok $gate->wait_log(qr{cannot be loaded: \S+: Permission denied}), 'a worker that cannot read it says why' or $gate->tell;
    chmod $mode, $gate->{store};
    ok wait_row($gate, sub { !@{ $_->{notes} } }), 'readable again: it gets well by itself' or $gate->tell;
    is +($gate->cli('status'))[0], 0, 'status, too';
    is +($gate->cli('cert', 'renew', 'www.shop.test', '--force'))[0], 0, 'it can be renewed' or $gate->tell;
    $gate->stop_ok;
};

subtest 'what is not ordered' => sub {
    my $shown = sub {
        my ($gate, %why) = @_;
        my $page = $gate->connect(port => $gate->{status_port}, plain => 1)->request('GET', '/')->{body};
        for my $name (sort keys %why) {
            my $says = qr/not ordered: \Q$why{$name}\E/;
            like +($gate->cli('cert', 'list', $name))[1] =~ s/\s+/ /gr, $says, "$name: cert list says why";
            like $page, $says, 'and the page';
        }
        $gate->stop_ok;
    };
    $shown->(acme_gate($ca, names => ['*.shop.test']), 'wildcard.shop.test' => 'a wildcard needs acme.challenges');
    my %why = ('shop.org' => 'set acme.email', 'shop.internal' => 'no public CA signs a private name');
    my $gate = PasGate->new(backends => [PasGate::StandIn->new('pas2')], no_probe => 1,
        certs => join(', ', map { qq({ names = [ "$_" ]; }) } keys %why), global => sprintf('acme = { store = "%s"; };', tmp('store-unordered')));
    $shown->($gate, %why);
    my $check = sub {
        my ($name, $acme) = @_;
        my $file = spew(tmp('check.conf'), qq(listen = ( { address = "*:$gate->{tls}"; tls = true; } );\n)
              . qq(certificates = ( { names = [ "$name" ]; } );\nacme = { $acme };\n)
              . qq(pools = ( { name = "pas"; backends = ( { name = "a"; address = "127.0.0.1:1"; } ); } );\n)
              . qq(routes = ( { path = "/"; pool = "pas"; } );\n));
        my ($code, $out) = run_cmd(PasGate::binary(), 'check', '-c', $file);
        return "$code: $out";
    };
    like $check->('*.shop.org', 'email = "a@shop.org"; agree_tos = true;'), qr/^0: .*a wildcard needs/s, 'check warns of it';
    like $check->('shop.org', ''), qr/^0: .*not ordered: set acme.email/s, 'and of an email that is not there';
    like $check->("shop.$_", 'email = "a@shop.org"; agree_tos = true;'), qr/^0: .*not ordered: no public CA signs a private name/s, "and of .$_" for 'local', 'internal';
    unlike $check->('localhost', ''), qr/not ordered/, 'not of localhost';
};

subtest 'what a CA says at length' => sub {
    my $long = 'Policy forbids issuing for this name because ' . ('of one rule and another, ' x 12) . 'see https://ca.test/why';
    my $proxy = FaultProxy->new($ca, refuse($long));
    my $gate = acme_gate($ca, directory => $proxy->directory, acme => 'staging = "off";');
    ok wait_row($gate, sub { $_->{failures} }), 'refused' or $gate->tell;
    my $text = (map { $_->cli('cert', 'list', 'www.shop.test') } $gate)[1];
    $text =~ s/\s+/ /g;
    like $text, qr/\Q$long/, 'cert list NAME has all of it';
    like +($gate->cli('cert', 'list'))[1] =~ s/\s+/ /gr, qr/\.\.\. \(`pasgate cert list www\.shop\.test` shows all of it\)/, 'and cert list tells so';
    is +($gate->cli('cert', 'list', 'other.test'))[0], 2, 'a name that there is not';
    my ($pid) = $gate->pids('acmed');
    kill 'KILL', $pid;
    ok wait_for { my ($new) = $gate->pids('acmed'); $new && $new != $pid }, 'acmed is killed';
    ok wait_row($gate, sub { index($_->{error}, $long) >= 0 }), 'and its successor knows it still' or $gate->tell;
    $gate->stop_ok;
    $proxy->end;
};

$ca->end;
done_testing;
