# Certificates from a CA, kept: the first one, a killed acmed, a CA that is down, the operator.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Pebble;
use IO::Socket::SSL;
use Test::More;

plan skip_all => 'no pebble here' unless Pebble::available();

my $pas = PasGate::StandIn->new('pas1');
my $stores = 0;
my $ca  = Pebble->new(nonce_reject => 20);

# A gate whose plain listener is where this CA looks for http-01.
sub gate
{
    my ($ca, %opt) = @_;
    my $acme = delete $opt{acme} // '';
    my $store = tmp('store' . ++$stores);
    return PasGate->new(
        backends => [$pas], workers => 2,
        certs  => '{ names = [ "www.shop.test", "shop.test" ]; }',
        listen => qq({ address = "127.0.0.1:$ca->{http_port}"; redirect = "https"; redirect_port = 443; }),
        global => sprintf('acme = { store = "%s"; directory = "%s"; ca_file = "%s"; resolver = "127.0.0.1:%s"; http_port = %s; %s };',
            $store, $ca->directory, $ca->ca_file, $ca->{dns_port}, $ca->{http_port}, $acme),
        store => $store, no_probe => 1, %opt);
}

sub row
{
    my ($gate, $name) = @_;
    my ($row) = grep { $_->{name} eq ($name // 'www.shop.test') } @{ $gate->status->{certificates} // [] };
    return $row // {};
}

sub wait_row
{
    my ($gate, $what, $seconds) = @_;
    local $_;
    return wait_for { local $_ = row($gate); $what->() } $seconds // 60;
}

# What is served, verified by the CA's root: '' or what is wrong with it.
sub verified
{
    my ($gate, $name) = @_;
    my $sock = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $gate->{tls}, SSL_hostname => $name,
        SSL_verifycn_name => $name, SSL_verifycn_scheme => 'http', SSL_ca_file => $ca->root(0), Timeout => 10)
      or return $SSL_ERROR;
    $sock->close;
    return '';
}

subtest 'from self-signed to real, without a reload' => sub {
    my $told = tmp('told');
    my $hook = spew(tmp('hook'), qq(#!/bin/sh\necho "\$PASGATE_EVENT \$PASGATE_CERTIFICATE \$PASGATE_NAMES" >>$told\n)
          . qq(openssl x509 -in "\$PASGATE_CHAIN" -noout -checkhost shop.test >>$told 2>&1\n));
    chmod 0755, $hook;
    my $gate = gate($ca, acme => qq(hook = "$hook";));
    isnt verified($gate, 'www.shop.test'), '', 'at once something is served';
    ok wait_row($gate, sub { $_->{source} eq 'acme' }), 'soon the real one is live' or $gate->tell;
    ok wait_for { !grep { verified($gate, $_) } ('www.shop.test', 'shop.test') x 4 }, 'in every worker, for each name';
    my $row = row($gate);
    is $row->{error}, '', 'no complaint';
    like $gate->log_text, qr/generation 2 passed its self-test/, 'a worker had tested it';
    is $gate->status->{config_generation} // 1, 1, 'no reload';
    ok wait_row($gate, sub { ($_->{next_try} // '') gt '2028' }), 'and the status says when it is renewed';
    ok wait_for { slurp($told) =~ /does match/ }, 'the hook was told' or diag slurp($told);
    like slurp($told), qr/^issued www\.shop\.test www\.shop\.test shop\.test$/m, 'of what';
    is $ca->said(qr/Added order/), 1, 'one order';

    my ($code, $out) = $gate->cli('cert', 'list');
    like $out, qr/^www\.shop\.test +acme +P-256 +2 +2 of 2 /m, 'cert list';
    ($code, $out) = $gate->cli('cert', 'renew', 'www.shop.test');
    is $code, 1, 'it is not due';
    like $out, qr/not due yet/, 'and that is said';
    ($code, $out) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
    is $code, 0, 'renewed by force' or diag $out;
    like $out, qr/generation 3 is live/, 'another generation';
    ok wait_for { slurp($told) =~ /^renewed /m }, 'the hook was told that, too';
    ok wait_for { !glob "$gate->{store}/certs/www.shop.test/*/event" }, 'nothing is left to be told';
    ($code, $out) = $gate->cli('cert', 'rollback', 'www.shop.test');
    is $code, 0, 'rolled back' or diag $out;
    like $out, qr/generation 4 is live again/, 'as a generation of its own';
    is verified($gate, 'shop.test'), '', 'and is served';
    ($code, $out) = $gate->cli('cert', 'renew', 'nobody.test');
    is $code, 2, 'no such certificate';
    like $out, qr/there is no certificate "nobody\.test"/, 'is told';
    is +($gate->cli('cert', 'burn', 'shop.test'))[0], 2, 'no such verb';
    my @modes = map { sprintf '%o', (stat $_)[2] & 07777 } map { glob "$gate->{store}/$_" } 'accounts', 'accounts/*',
      'orders', 'accounts/*/*', 'orders/*/*';
    is_deeply [grep { !/^[67]00$/ } @modes], [], 'nobody else may look into accounts and orders';

    my $orders = $ca->said(qr/Added order/);
    $gate->stop_ok;
    $gate->start;
    is verified($gate, 'www.shop.test'), '', 'after a restart it is served at once';
    is $ca->said(qr/Added order/), $orders, 'and nothing is ordered';
    is scalar(() = slurp($told) =~ /^(?:issued|renewed) /mg), 2, 'nor is the hook called again';

    # The hook is away when a renewal goes live, and acmed ends before it is back.
    rename $hook, "$hook.away" or die;
    ($code, $out) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
    is $code, 0, 'renewed by force' or diag $out;
    ok $gate->wait_log(qr/hook \Q$hook\E, renewed: No such file/), 'the hook cannot be called';
    $gate->stop_ok;
    rename "$hook.away", $hook or die;
    $gate->start;
    ok wait_for { 3 == (() = slurp($told) =~ /^(?:issued|renewed) /mg) }, 'a successor calls it for that renewal' or diag slurp($told);
    ok wait_for { !glob "$gate->{store}/certs/www.shop.test/*/event" }, 'once';
    $gate->stop_ok;
};

# At OpenSSL's security level 3 a worker takes no chain with an RSA-2048 key, as Pebble's has.
subtest 'one that the workers cannot use' => sub {
    my $gate = gate($ca, acme => '}; tls = { ciphers = "ECDHE+AESGCM:@SECLEVEL=3";');
    ok wait_row($gate, sub { $_->{error} }), 'is refused' or $gate->tell;
    my $row = row($gate);
    is $row->{error}, 'generation 2 was not accepted: the workers cannot load it: a key in its chain is too small for OpenSSL\'s security level (@SECLEVEL in tls.ciphers)', 'in plain words';
    like $gate->log_text, qr/generation 2: \S+fullchain\.pem: ca key too small/, 'the log says more';
    is "$row->{source} $row->{generation} $row->{candidate} $row->{loaded}", 'self-signed 1 0 2', 'what was live goes on';
    ok $row->{next_try} && $row->{failures} == 1 && !$row->{busy}, 'another order comes later';
    ok !-e "$gate->{store}/orders/www.shop.test/order", 'and not the same one again';
    $gate->stop_ok;
    $gate->start;
    is row($gate)->{generation}, 1, 'a restart does not take it';
    is row($gate)->{failures}, 1, 'nor forgets it';
    $gate->stop_ok;
};

subtest 'acmed is killed in the middle of an order' => sub {
    my $slow = Pebble->new(env => { PEBBLE_VA_NOSLEEP => 0, PEBBLE_VA_SLEEPTIME => 3 });
    my $gate = gate($slow);
    my ($pid) = $gate->pids('acmed');
    ok wait_for(sub { my @o = glob "$gate->{store}/orders/*/order"; scalar @o }, 30), 'an order is on disk';
    kill 'KILL', $pid;
    ok wait_row($gate, sub { $_->{source} eq 'acme' }), 'its successor brings the certificate' or $gate->tell;
    is $slow->said(qr/Added order/), 1, 'of the same order';
    like $gate->log_text, qr/continues its order/, 'and says so';
    $gate->stop_ok;
};

subtest 'the CA is down' => sub {
    my $later = Pebble->new;
    $later->end;
    my $told = tmp('told-trouble');
    my $hook = spew(tmp('hook-trouble'), qq(#!/bin/sh\necho "\$PASGATE_EVENT \$PASGATE_ERROR" >>$told\n));
    chmod 0755, $hook;
    my $gate = gate($later, acme => qq(hook = "$hook";));
    ok wait_row($gate, sub { $_->{error} }), 'the status says so';
    my $row = row($gate);
    is $row->{source}, 'self-signed', 'the temporary one serves';
    like $row->{error}, qr/\S/, "in words: $row->{error}";
    ok $row->{next_try}, "and when the next try comes: $row->{next_try}";
    is $gate->get('/pas/get')->{status} // 0, 200, 'requests are served';
    ok wait_for { slurp($told) =~ /^failed \S/m }, 'the hook is told';
    $gate->stop_ok;
    $gate->start;
    is row($gate)->{next_try}, $row->{next_try}, 'a restart';
    is row($gate)->{error}, $row->{error}, 'forgets nothing';
    my ($code, $out) = $gate->cli('cert', 'renew', 'www.shop.test');
    is $code, 1, 'a try by hand fails, too';
    $later->start;
    ($code, $out) = $gate->cli('cert', 'renew', 'www.shop.test');
    is $code, 0, 'the CA is back: a try by hand brings it' or diag $out;
    ok wait_for { slurp($told) =~ /^issued /m }, 'which the hook is told';
    is scalar(() = slurp($told) =~ /^failed \S/mg), 1, 'and that was told of failures once in this hour, also after a restart' or diag slurp($told);
    is row($gate)->{error}, '', 'nothing is wrong any more';
    $gate->stop_ok;
};

subtest 'a name that the CA refuses' => sub {
    my $strict = Pebble->new(more => { domainBlocklist => ["shop.test"] });
    my $gate = gate($strict);
    ok wait_row($gate, sub { $_->{error} }), 'is told' or $gate->tell;
    like row($gate)->{error}, qr/^the CA does not sign shop\.test; remove it from names \(rejectedIdentifier: /,
      'in plain words, and the CA\'s: ' . (row($gate)->{error} // '');
    is row($gate)->{source}, 'self-signed', 'and the temporary one serves';
    $gate->stop_ok;
};

subtest 'killed again and again' => sub {
    my $slow = Pebble->new(nonce_reject => 20, env => { PEBBLE_VA_NOSLEEP => 0, PEBBLE_VA_SLEEPTIME => 2 });
    my $gate = gate($slow);
    my $kills = 0;
    ok wait_for(sub { my @o = glob "$gate->{store}/orders/*/order"; scalar @o }, 30), 'an order is on disk';
    for (1 .. 4) {
        my ($pid) = $gate->pids('acmed');
        kill 'KILL', $pid and $kills++ if $pid && row($gate)->{source} ne 'acme';
        wait_for(sub { my ($next) = $gate->pids('acmed'); $next && $next != ($pid // 0) }, 10);
        my $n = $_;
        wait_for(sub { $gate->log_text =~ /(?:continues its order.*){$n}/s }, 5);
    }
    ok wait_row($gate, sub { $_->{source} eq 'acme' }, 90), "killed $kills times, and yet it came" or $gate->tell;
    is $slow->said(qr/Added order/), 1, 'of one order';
    $gate->stop_ok;
};

subtest 'a wildcard, by dns-01' => sub {
    my $dns = Pebble->new;
    my $hook = spew(tmp('dns'), <<"END");
#!/bin/sh
case \$PASGATE_EVENT in
dns-put) curl -sf -d "{\\"host\\":\\"\$PASGATE_DNS_NAME.\\",\\"value\\":\\"\$PASGATE_DNS_VALUE\\"}" http://127.0.0.1:$dns->{dns_management}/set-txt ;;
dns-drop) echo "\$PASGATE_DNS_NAME" >>@{[tmp('dropped')]} ;;
esac
END
    chmod 0755, $hook;
    my $gate = gate($dns, certs => '{ names = [ "*.shop.test", "shop.test" ]; }',
        acme => qq(hook = "$hook"; challenges = [ "dns-01" ];));
    ok wait_for(sub { row($gate, 'wildcard.shop.test')->{source} eq 'acme' }, 60), 'it comes' or $gate->tell;
    ok wait_for { slurp(tmp('dropped')) =~ /^_acme-challenge\.shop\.test$/m }, 'and the record is taken away';
    $gate->stop_ok;
};

subtest 'nothing is ordered that was not meant' => sub {
    my $gate = PasGate->new(backends => [$pas], no_probe => 1,
        certs => '{ names = [ "localhost" ]; acme = true; }, { names = [ "shop.internal" ]; }, { names = [ "own.internal" ]; self_signed = true; }');
    ok $gate->wait_log(qr/certificate localhost: not ordered: no public CA signs a private name/), 'it is said why';
    is row($gate, 'localhost')->{error}, '', 'but is no error';
    my ($code, $out) = $gate->cli('cert', 'renew', 'localhost', '--force');
    is $code, 1, 'not by force either';
    like $out, qr/localhost: not ordered: no public CA signs a private name/, 'which is told, with what helps';
    ok wait_for { $gate->status->{health}{text} =~ /shop\.internal/ }, 'one for another private name is missed';
    is $gate->status->{health}{text}, 'certificate shop.internal: a self-signed one is served instead', 'and the status tells';
    my %row = map { $_ => row($gate, $_) } qw(localhost shop.internal own.internal);
    like $row{'shop.internal'}{notes}[0], qr/^not ordered: no public CA signs a private name/, 'and why';
    is $row{$_}{next_try}, undef, "$_: no other one is to come" for 'localhost', 'shop.internal';
    ok $row{'own.internal'}{next_try}, 'one that is meant to be self-signed is renewed';
    $gate->stop_ok;
};

done_testing;
