#!/usr/bin/perl
# Good certificates that the store has are found again: by a rollback, and when the configuration
# calls them otherwise while the CA is down. What is no good is refused, in words.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my $ca   = Pebble->new;
my $no   = tmp('no-orders');    # while this is there
my $proxy = FaultProxy->new($ca, [sub { -e $no && $_[0] =~ m{^/order-plz} }, 0, sub {
    return "HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n"
      . '{"type":"urn:ietf:params:acme:error:unauthorized","detail":"no orders now","status":403}';
}, 1]);
my $gate = acme_gate($ca, directory => $proxy->directory);
ok wait_issued($gate), 'issued' or $gate->tell;
my $folder = "$gate->{store}/certs/www.shop.test";

sub says
{
    my ($want, $pattern, $name, @words) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($code, $out) = $gate->cli('cert', @words);
    is $code, $want, $name or diag $out;
    return like $out =~ s/\s+/ /gr, $pattern, "$name: in words";
}

subtest 'rollback' => sub {
    my ($first, $generation) = (served($gate), cert_row($gate)->{generation});
    says 1, qr/no older generation that is still good \(1 is self-signed\); get a new one with `pasgate cert renew www\.shop\.test --force`/,
        'not to the self-signed one', 'rollback', 'www.shop.test';
    is served($gate), $first, 'what was live serves on';
    says 0, qr/generation 3 is live/, 'renewed', 'renew', 'www.shop.test', '--force';
    my $second = served($gate);
    says 0, qr/generation 4 is live again/, 'rolled back', 'rollback', 'www.shop.test';
    ok wait_for { served($gate) eq $first }, 'to the one before';
    says 1, qr/\(3 was rolled back from, 1 is self-signed\)/, 'not to the one that it came from', 'rollback',
        'www.shop.test';
    is served($gate), $first, 'what was live serves on';
    says 0, qr/generation 5 is live,/, 'renewed', 'renew', 'www.shop.test', '--force';
    my $third = served($gate);
    says 0, qr/generation 6 is live again/, 'back', 'rollback', 'www.shop.test';
    is served($gate), $first, 'to what was live before';
    $gate->stop_ok;    # what was rolled back from is on disk
    $gate->start;
    says 0, qr/generation 7 is live again/, 'after a restart, once more', 'rollback', 'www.shop.test';
    is served($gate), $second, 'to one that is older than that';
    says 1, qr/\(6 was rolled back from, 5 was rolled back from\)/, 'there are three pairs', 'rollback', 'www.shop.test';
    says 0, qr/generation 8 is live,/, 'renewed', 'renew', 'www.shop.test', '--force';
    $second = served($gate);

    # The one before has expired, and no other one is left.
    $gate->stop_ok;
    my (undef, $key) = PasGate::make_cert('old', 'www.shop.test', 'shop.test');
    my $chain = PasGate::make_dated(tmp('old.csr'), -30, -1, 'DNS:www.shop.test,DNS:shop.test');
    for my $n (6, 7) {
        spew("$folder/$n/fullchain.pem", slurp($chain));
        spew("$folder/$n/key.pem", slurp($key));
    }
    $gate->start;
    says 1, qr/\(7 has expired, 6 has expired\)/, 'not to an expired one', 'rollback', 'www.shop.test';
    is served($gate), $second, 'what was live serves on';
};

# What was revoked under one name stands in the folders of others, too, and outside.
subtest 'revoked' => sub {
    my $bad = served($gate);
    $gate->write_config(certs => '{ name = "other"; names = [ "www.shop.test", "shop.test" ]; }');
    is +($gate->cli('reload'))[0], 0, 'it gets another name, a reload';
    ok wait_for { cert_row($gate, 'other')->{source} eq 'acme' && served($gate) eq $bad }, 'and has a copy there'
      or $gate->tell;
    spew($no, '');
    says 1, qr/certificate other: revoked; .*generation 1 stays live/, 'revoked, and nothing comes', 'revoke', 'other',
        '--reason', 'keyCompromise';
    is served($gate), $bad, 'it is served until something comes';
    my $revoked = qr/revoked at \d{4}-[^ ]*Z: browsers may refuse it/;
    says 0, qr/$revoked error: .*no orders now/, 'which the list has, with why nothing came', 'list', 'other';
    my ($code, $out) = $gate->cli('status');
    is $code, 1, 'status: exit code 1';
    like $out, qr/certificate other: it was revoked: browsers may refuse it\n/, 'and not all is well';
    like $out, $revoked, 'and when it was';
    is +($gate->cli('status', '--live'))[0], 0, 'the process lives';
    like cert_row($gate, 'other')->{revoked}, qr/^\d{4}-/, 'JSON has it';
    my ($file, $key) = map { spew(tmp("revoked-$_"), slurp("$gate->{store}/certs/other/1/$_.pem")) } 'fullchain', 'key';

    $gate->write_config(certs => '{ names = [ "www.shop.test", "shop.test" ]; }');
    is +($gate->cli('reload'))[0], 0, 'it gets its first name back, a reload';
    ok wait_for { cert_row($gate, 'www.shop.test')->{generation} && served($gate) ne $bad }, 'it does not go live again'
      or $gate->tell;
    unlike +(says 1, qr/is revoked/, 'a rollback', 'rollback', 'www.shop.test'), qr/is live again/, 'does not lead there';
    $gate->stop_ok;
    says 1, qr/revoked-fullchain: this certificate, or another one with its key, was revoked at \d{4}-.* browsers may refuse it/,
        'an import of it', 'import', $file, 'www.shop.test', '--key', $key;
    unlink $no;    # before an order begins
    $gate->start;
    isnt served($gate), $bad, 'nor after a restart';
    says 0, qr/is live/, 'another one comes', 'renew', 'www.shop.test', '--force';
};

subtest 'while the CA is down' => sub {
    my $old = served($gate);
    $_->end for $proxy, $ca;
    $gate->write_config(certs => '{ names = [ "shop.test", "www.shop.test" ]; }');
    is +($gate->cli('reload'))[0], 0, 'names in another order, a reload';
    ok wait_for { cert_row($gate, 'shop.test')->{source} eq 'acme' }, 'the store has one for them' or $gate->tell;
    ok wait_for { served($gate) eq $old }, 'which is served' or $gate->tell;
    $gate->stop_ok;
    $gate->write_config(certs => '{ name = "front"; names = [ "www.shop.test", "shop.test" ]; }');
    $gate->start;
    is served($gate), $old, 'it is called otherwise, a restart: the same one';
    is cert_row($gate, 'front')->{source}, 'acme', 'of the CA';
    is cert_row($gate, 'front')->{error}, '', 'nothing is wrong';
    $gate->stop_ok;
    unlink glob "$gate->{store}/certs/front/*/meta";
    $gate->start;
    is served($gate), $old, 'the note where it is from is lost: the same one';
    is cert_row($gate, 'front')->{source}, 'acme', 'of the CA';
    $gate->stop_ok;
    $gate->write_config(certs => '{ name = "more"; names = [ "www.shop.test", "new.shop.test" ]; }');
    $gate->start;
    is cert_row($gate, 'more')->{source}, 'self-signed', 'a name that it is not for: not taken';
    $gate->stop_ok;
};

done_testing;
