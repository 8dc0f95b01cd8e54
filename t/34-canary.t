# Going live: one worker, the canary, tests a new pair before all of them get it.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use IO::Socket::SSL;
use Test::More;

my $pas = PasGate::StandIn->new('pas1');
my ($chain, $key) = PasGate::make_cert('shop', 'shop.test');
my $told = tmp('told');
my $hook = spew(tmp('hook'), qq(#!/bin/sh\necho "\$PASGATE_EVENT \$PASGATE_CHAIN \$PASGATE_ERROR" >>$told\n));
chmod 0755, $hook;
my $gate = PasGate->new(backends => [$pas], workers => 3,
    certs  => qq({ names = [ "shop.test", "127.0.0.1" ]; name = "shop"; chain = "$chain"; key = "$key"; },)
      . ' { names = [ "own.test" ]; self_signed = true; }',
    store  => tmp('store'),
    global => sprintf('acme = { store = "%s"; hook = "%s"; };', tmp('store'), $hook));
my $ca = tmp('ca.pem');

sub row { return ($gate->status->{certificates} // [])->[$_[0] // 0] // {} }

sub served
{
    my $sock = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $gate->{tls}, SSL_hostname => 'shop.test',
        SSL_verify_mode => SSL_VERIFY_NONE, Timeout => 10) or return "no TLS: $SSL_ERROR";
    my $print = $sock->get_fingerprint;
    $sock->close;
    return $print;
}

sub live
{
    my ($generation) = @_;
    return wait_for { my $r = row(); $r->{generation} == $generation && $r->{loaded} == $r->{workers} };
}

# Puts a pair where the files are, in the place of what is there.
sub replace
{
    my ($new_chain, $new_key) = @_;
    PasGate::spew($chain, PasGate::slurp($new_chain));
    PasGate::spew($key, PasGate::slurp($new_key));
}

sub s_client
{
    my (@arg) = @_;
    my $ask = spew(tmp('ask'), "GET /pas/get HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n");
    return (run_cmd('sh', '-c', 'exec timeout 20 openssl s_client "$@" <' . $ask, 'sh', '-connect',
        "127.0.0.1:$gate->{tls}", '-servername', 'shop.test', '-CAfile', $ca, '-ign_eof', @arg))[1];
}

subtest 'a new pair is tested, and then live everywhere' => sub {
    ok live(1), 'the first one is live at once: there was nothing to go on with';
    unlike $gate->log_text, qr/generation 1 passed its self-test/, 'nobody had to prove it';
    my $session = tmp('session');
    like s_client('-tls1_3', '-sess_out', $session), qr/HTTP\/1.1 200/, 'a client';
    my $first = served();
    PasGate::make_cert('shop', 'shop.test', '127.0.0.1');
    ok live(2), 'a new one is live in every worker' or $gate->tell;
    my @proofs = $gate->log_text =~ /generation 2 passed its self-test/g;
    is @proofs, 1, 'one of them tested it';
    isnt served(), $first, 'it is served';
    is $gate->status->{reload}{count}, 0, 'without a reload';
    like s_client('-sess_in', $session), qr/Reused, TLSv1\.3/, 'sessions go on';
    like +($gate->cli('cert', 'list'))[1], qr/^shop +file +P-256 +2 +3 of 3 /m, 'cert list tells';
    is readlink("$gate->{store}/certs/shop/current"), 2, 'so does the store';
    ok wait_for { slurp($told) =~ m{^renewed \S+/2/fullchain.pem $}m }, 'and the hook is called' or diag slurp($told);
};

subtest 'one that the workers cannot use' => sub {
    my $good = served();
    my @old  = map { slurp($_) } $chain, $key;
    my ($code, $said) = run_cmd('openssl', 'req', '-x509', qw(-newkey ec -pkeyopt ec_paramgen_curve:secp256k1 -nodes),
        '-subj', '/CN=shop.test', '-addext', 'subjectAltName=DNS:shop.test,IP:127.0.0.1', '-days', 9,
        '-keyout', tmp('odd.key'), '-out', tmp('odd.pem'));
    is $code, 0, 'a pair that fits together, on a curve that TLS does not have' or diag $said;
    replace(tmp('odd.pem'), tmp('odd.key'));
    ok wait_for { row()->{error} }, 'is refused';
    my $row = row();
    is $row->{error}, 'generation 3 was not accepted: no TLS handshake for shop.test succeeded with it: no shared cipher', 'in plain words, with the cause';
    is "$row->{generation} $row->{candidate}", '2 0', 'the old generation goes on';
    is served(), $good, 'and is served';
    my @findings = $gate->log_text =~ /generation 3: no handshake for shop\.test: no shared cipher/g;
    is @findings, 2, 'the log says more, and that two of them agree';
    ok wait_for { slurp($told) =~ m{^failed \S+/2/fullchain.pem generation 3 was not accepted}m }, 'the hook hears of it';
    ok -d "$gate->{store}/certs/shop/.bad-3" && !-e "$gate->{store}/certs/shop/3", 'it is set aside';
    $gate->stop_ok;
    $gate->start;
    ok live(2), 'a restart does not take it either';
    is served(), $good, 'the old one is served';
    ok wait_for { row()->{error} =~ /was not accepted/ }, 'and it is told again';
    PasGate::spew($chain, $old[0]);
    PasGate::spew($key, $old[1]);
    ok wait_for { row()->{error} eq '' }, 'repaired: no complaint is left';
    is row()->{generation}, 2, 'and nothing has changed';
};

subtest 'the canary is killed' => sub {
    my $before = served();
    my ($canary) = $gate->workers;
    kill 'STOP', $canary;
    PasGate::make_cert('shop', 'shop.test', '127.0.0.1');
    my $candidate;
    ok wait_for { $candidate = row()->{candidate} }, 'it is being tested';
    like +($gate->cli('cert', 'list'))[1], qr/generation $candidate is being tested/, 'cert list tells';
    like +($gate->cli('status'))[1], qr/generation $candidate is being tested/, 'status too';
    kill 'KILL', $canary;
    ok live($candidate), 'another worker tests it' or $gate->tell;
    isnt served(), $before, 'it is served';
};

subtest 'acmed is killed while one is tested' => sub {
    my ($canary) = $gate->workers;
    my ($acmed)  = $gate->pids('acmed');
    kill 'STOP', $canary;
    PasGate::make_cert('shop', 'shop.test', '127.0.0.1');
    my $candidate;
    ok wait_for { $candidate = row()->{candidate} }, 'it is being tested';
    kill 'KILL', $acmed;
    kill 'CONT', $canary;
    ok wait_for { row()->{generation} > $candidate }, 'its successor has it tested anew' or $gate->tell;
    ok live(row()->{generation}), 'and live';
    is readlink("$gate->{store}/certs/shop/current"), row()->{generation}, 'the store says the same';
};

subtest 'files near their end' => sub {
    PasGate::spew($chain, slurp(make_dated(tmp('shop.csr'), -80, 10, 'DNS:shop.test,IP:127.0.0.1')));
    ok wait_for { slurp($told) =~ m{^expiring \S+/fullchain.pem $}m }, 'the hook is told' or diag slurp($told);
    ok $gate->wait_log(qr/certificate shop: it expires soon; replace its files/), 'so is the log';
    PasGate::spew($chain, slurp(make_dated(tmp('shop.csr'), -90, -1, 'DNS:shop.test')));
    ok wait_for { row()->{error} eq 'the certificate has expired' }, 'one that has expired is served, with a warning';
    ok live(row()->{generation}), 'everywhere';
    my @told = slurp($told) =~ /^expiring/mg;
    is @told, 1, 'the hook is not told all the time';
};

subtest 'a self-signed one near its end' => sub {
    my $folder = "$gate->{store}/certs/own.test";
    my $before = row(1)->{generation};
    my $old = $before + 1;
    PasGate::make_cert('own', 'own.test');
    mkdir "$folder/$old" or die "$folder/$old: $!";
    # Self-signed indeed: what it is shows in it, whatever the store has noted.
    run_cmd('openssl', 'req', '-x509', '-new', '-key', tmp('own.key'), '-subj', '/CN=own.test', '-days', 20,
        '-addext', 'subjectAltName=DNS:own.test', '-out', "$folder/$old/fullchain.pem");
    PasGate::spew("$folder/$old/key.pem", slurp(tmp('own.key')));
    PasGate::spew("$folder/$old/meta", "source=self\n");
    chown((stat "$folder/$before")[4, 5], "$folder/$old", glob "$folder/$old/*");
    unlink "$folder/current";
    symlink $old, "$folder/current" or die "$folder/current: $!";
    kill 'KILL', $gate->pids('acmed');
    ok wait_for { my $r = row(1); $r->{generation} == $old + 1 && $r->{loaded} == $r->{workers} }, 'is made anew' or $gate->tell;
    like $gate->log_text, qr/certificate own\.test: generation @{[$old + 1]} passed its self-test/, 'and tested';
};

$gate->stop_ok;
done_testing;
