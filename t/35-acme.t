#!/usr/bin/perl
# ACME as acmed's network half speaks it, against Pebble: everything from the directory to the
# chain, with rejected nonces, external accounts, other roots, and a death at every step.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Pebble;
use Test::More;

my $try = tool('t/tools/acme-try');
plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();
plan skip_all => "no $try (make tools)" unless -x $try;

my $runs = 0;

# One job against $ca; returns (exit code, what it said).
sub try_job
{
    my ($ca, %arg) = @_;
    my %all = (
        directory => $ca->directory, ca_file => $ca->ca_file, http => $ca->{http_port},
        dns       => "http://127.0.0.1:$ca->{dns_management}",
        account   => tmp("account$ca->{n}"), key => tmp('key' . ++$runs), chain => tmp("chain$runs"),
        contact   => 'ops@a.test', names => 'a.test', deadline_ms => 240_000, %arg);
    return run_cmd($try, map { "$_=$all{$_}" } grep { defined $all{$_} } sort keys %all);
}

sub issued_ok
{
    my ($ca, $what, %arg) = @_;
    my $chain = tmp("issued$runs.pem");
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($code, $said) = try_job($ca, chain => $chain, %arg);
    is($code, 0, $what) or diag $said;
    unlike($said, qr/left over/, '  no challenge is left over');
    return ($said, $chain);
}

sub verified_ok
{
    my ($ca, $root, $chain, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($code, $said) = run_cmd('openssl', 'verify', '-CAfile', $ca->root($root), '-untrusted',
        $chain, $chain);
    ok($code == 0, $what) or diag $said;
}

sub names_in
{
    my ($chain) = @_;
    my (undef, $text) = run_cmd('openssl', 'x509', '-noout', '-ext', 'subjectAltName', '-in', $chain);
    return join ' ', sort $text =~ /(?:DNS|IP Address):([^,\s]+)/g;
}

my $order = qr{POST /order-plz -> calling};

subtest 'an order, from nothing' => sub {
    my $ca = Pebble->new;
    my ($said, $chain) = issued_ok($ca, 'issued', names => 'a.test,b.test');
    like($said, qr/progress account .*\nprogress ordered .*(?s:.*)validated(?s:.*)finalized/,
        'every step was told before the next one');
    is(names_in($chain), 'a.test b.test', 'for both names');
    verified_ok($ca, 0, $chain, 'openssl verifies it');
    issued_ok($ca, 'another one, with the account that is known', names => 'c.test');

    ($said, $chain) = issued_ok($ca, 'P-384', names => 'd.test', key_type => 'p384');
    ($said, $chain) = issued_ok($ca, 'RSA', names => 'e.test', key_type => 'rsa2048');

    my $other = $ca->root_name(1);
    ($said, $chain) = issued_ok($ca, 'an alternate chain', prefer => $other);
    verified_ok($ca, 1, $chain, 'ends in the root that is preferred');
    ($said, $chain) = issued_ok($ca, 'one that the CA has not', prefer => 'No Such Root');
    verified_ok($ca, 0, $chain, 'the CA\'s own choice, then');
    $ca->end;
};

subtest 'dns-01, with a wildcard' => sub {
    my $ca = Pebble->new;
    my ($said, $chain) = issued_ok($ca, 'issued', names => '*.w.test,w.test',
        challenges => 'dns-01');
    is(names_in($chain), '*.w.test w.test', 'for the wildcard too');
    my ($code, $why) = try_job($ca, names => '*.x.test', challenges => 'http-01');
    is($code, 1, 'without dns-01');
    like($why, qr/failed net\.config.*\*\.x\.test/, 'it says that no challenge fits');
    $ca->end;
};

subtest 'tls-alpn-01' => sub {
    my $ca = Pebble->new;
    my ($said, $chain) = issued_ok($ca, 'issued', names => 'alpn.test,b.alpn.test',
        challenges => 'tls-alpn-01', http => undef, tls => $ca->{tls_port});
    like($said, qr/^tls 3/m, 'by a connection for acme-tls/1');
    verified_ok($ca, 0, $chain, 'openssl verifies it');
    ($said) = issued_ok($ca, 'the second kind, where the first is not offered', names => '*.alpn.test',
        challenges => 'tls-alpn-01,dns-01', tls => $ca->{tls_port});
    $ca->end;
};

# With 90 % the pauses between rounds take a minute; one build shows it.
for my $reject (PasGate::sanitized() ? (20) : (20, 90)) {
    subtest "$reject % of all nonces are rejected" => sub {
        my $ca = Pebble->new(nonce_reject => $reject);
        my ($said, $chain) = issued_ok($ca, 'issued all the same', deadline_ms => 600_000);
        verified_ok($ca, 0, $chain, 'and good');
        $ca->end;
    };
}

subtest 'authorizations are reused' => sub {
    my $ca = Pebble->new(authz_reuse => 100);
    issued_ok($ca, 'the first one');
    my ($said) = issued_ok($ca, 'the second one, with nobody to answer', http => undef);
    unlike($said, qr/^http/m, 'no challenge was asked for');
    $ca->end;
};

subtest 'an external account' => sub {
    my $secret = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';
    my $ca = Pebble->new(eab => { 'kid-1' => $secret });
    my ($code, $said) = try_job($ca);
    like($said, qr/failed net\.config.*acme\.eab = /, 'without: it says what to set');
    ($code, $said) = try_job($ca, eab_kid => 'kid-1', eab_hmac => 'not!base64');
    like($said, qr/failed net\.config.*acme\.eab\.hmac_key/, 'a key that is none: it says so');
    ($code, $said) = try_job($ca, eab_kid => 'kid-2', eab_hmac => $secret);
    is($code, 1, 'a kid that the CA does not know');
    like($said, qr/failed unauthorized/, 'is refused by the CA');
    issued_ok($ca, 'with the right ones', eab_kid => 'kid-1', eab_hmac => $secret);
    $ca->end;
};

subtest 'accounts' => sub {
    my $ca = Pebble->new;
    my $account = tmp('account-x');
    my ($code, $said) = try_job($ca, kind => 'account', account => $account, tos => 0);
    like($said, qr/failed net\.config.*agree_tos/, 'terms that were not agreed to');
    ($code, $said) = try_job($ca, kind => 'account', account => $account, must_exist => 1);
    like($said, qr/failed accountDoesNotExist.*account_gone=1/, 'none yet');
    ($code, $said) = try_job($ca, kind => 'account', account => $account);
    is($code, 0, 'made') or diag $said;
    my $url = slurp("$account.url");
    unlink "$account.url";
    ($code, $said) = try_job($ca, kind => 'account', account => $account, must_exist => 1);
    is(slurp("$account.url"), $url, 'its URL is found again by its key');
    ($code, $said) = try_job($ca, kind => 'account', account => $account, contact => 'new@a.test');
    is($code, 0, 'another contact') or diag $said;

    ($code, $said) = try_job($ca, kind => 'rollover', account => $account, next => tmp('next'));
    is($code, 0, 'another key') or diag $said;
    ($code, $said) = try_job($ca, account => $account);
    is($code, 1, 'the old key is no longer good');
    spew(tmp('next.url'), $url);
    issued_ok($ca, 'the new one is', account => tmp('next'));

    ($code, $said) = try_job($ca, kind => 'close', account => tmp('next'));
    is($code, 0, 'closed') or diag $said;
    ($code, $said) = try_job($ca, account => tmp('next'));
    is($code, 1, 'and then good for nothing');
    $ca->end;
};

subtest 'revocation' => sub {
    my $ca = Pebble->new;
    my ($said, $chain) = issued_ok($ca, 'issued', key => tmp('key-r'));
    my ($code, $why) = try_job($ca, kind => 'revoke', chain => $chain);
    is($code, 0, 'revoked by the account') or diag $why;
    ($code, $why) = try_job($ca, kind => 'revoke', chain => $chain);
    is($code, 0, 'twice is no error') or diag $why;
    ($said, $chain) = issued_ok($ca, 'another', key => tmp('key-s'));
    ($code, $why) = try_job($ca, kind => 'revoke', chain => $chain, key => tmp('key-s'),
        account => tmp('nobody'));
    is($code, 0, 'by its own key') or diag $why;
    $ca->end;
};

subtest 'a death at every step' => sub {
    my $ca = Pebble->new;
    my %arg = (names => 'k.test', key => tmp('key-k'), order => tmp('order-k'));
    for my $step (qw(account ordered validated finalized)) {
        my ($code, $said) = try_job($ca, %arg, stop_at => $step);
        is($code, 3, "killed at: $step") or diag $said;
    }
    my $before = slurp(tmp('order-k'));
    issued_ok($ca, 'the next one goes on', %arg);
    is(slurp(tmp('order-k')), $before, 'with the same order');
    my ($said) = issued_ok($ca, 'and again, after the end', %arg);
    is(slurp(tmp('order-k')), $before, 'it is downloaded once more');
    unlike($said, qr/validated/, 'with nothing else done');
    is($ca->said(qr/Added order "/), 1, 'one newOrder in all');

    ($said) = issued_ok($ca, 'an order that is for another name', %arg, names => 'l.test');
    isnt(slurp(tmp('order-k')), $before, 'is not used');
    spew(tmp('order-k'), "https://127.0.0.1:$ca->{port}/my-order/gone");
    issued_ok($ca, 'nor one that the CA does not know', %arg, names => 'l.test');
    $ca->end;
};

subtest 'what goes wrong' => sub {
    my $ca = Pebble->new;
    my ($code, $said) = try_job($ca, http => undef);
    is($code, 1, 'nobody answers the challenge');
    like($said, qr/failed connection\|a\.test\|.*order_gone=1/, 'the CA\'s words, with the name');
    unlike($said, qr/left over/, 'no challenge is left over');

    ($code, $said) = try_job($ca, refuse_at => 'ordered');
    like($said, qr/failed net\.refused/, 'acmed cannot keep the order: it ends there');

    ($code, $said) = try_job($ca, profile => 'shortlived');
    like($said, qr/failed invalidProfile.*no profile/, 'a profile that the CA has not');

    ($code, $said) = try_job($ca, directory => "https://127.0.0.1:$ca->{port}/nope");
    is($code, 1, 'a wrong directory URL');
    like($said, qr/failed net\.response/, 'says so');
    ($code, $said) = try_job($ca, ca_file => '');
    like($said, qr/failed net\.connect\|.*certificate/i, 'roots that do not know the CA');
    ($code, $said) = try_job($ca, directory => 'http://127.0.0.1/dir');
    is($code, 2, 'plain http is no CA');
    my $port = free_port();
    ($code, $said) = try_job($ca, directory => "https://127.0.0.1:$port/dir", deadline_ms => 3000);
    like($said, qr/failed net\.(connect|deadline)/, 'nobody there');
    $ca->end;
};

done_testing;
