#!/usr/bin/perl
# What only newer CAs have: ARI, profiles, certificates for addresses. With all of pasgate,
# before a Pebble of 2.10 or later (t/install-deps.sh).
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use PasGate;
use Pebble;
use POSIX qw(strftime);
use Test::More;

plan skip_all => 'no newer Pebble here (t/install-deps.sh)' unless Pebble::available(1);

my $hour = 3600_000;

sub pebble
{
    return Pebble->new(newer => 1, more => { profiles => {
        default    => { description => 'the usual one', validityPeriod => 7776000 },
        classic    => { description => 'of 90 days', validityPeriod => 7776000 },
        tlsserver  => { description => 'of 45 days', validityPeriod => 3888000 },
        shortlived => { description => 'of 160 hours', validityPeriod => 576000 },
        blink      => { description => 'of 30 seconds', validityPeriod => 30 },
    }, @_ });
}

# Seconds of its life, by openssl.
sub lifetime
{
    my ($pem) = @_;
    my ($code, $text) = run_cmd('openssl', 'x509', '-noout', '-dates', '-dateopt', 'iso_8601', '-in',
        spew(tmp('leaf.pem'), $pem));
    my ($from, $to) = map { my @d = /(\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+)/; POSIX::mktime(@d[5, 4, 3, 2], $d[1] - 1, $d[0] - 1900) }
      $text =~ /=(.*)/g;
    return $to - $from;
}

sub iso { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime($_[0])) }

sub window { my ($from, $to) = @_; return sprintf '{"suggestedWindow":{"start":"%s","end":"%s"},"explanationURL":"https://ca.test/why"}', iso($from), iso($to) }

my $asked = qr{renewalInfo/ -> calling};
my $replaces = qr/ARI: order "([^"]*)" is a replacement of/;
my $refused = qr/the CA refused the field "replaces"; ordered without it \(status 500/;

# Each with a CA of its own, and all of them at once, since most of it is waiting.
my %ca = map { $_ => pebble() } qw(six blink wrong http alpn mixed plain);
my $proxy = FaultProxy->new($ca{plain}, [qr{^/dir$}, 0,
    sub { $_[0]{body} =~ s/,?\s*"renewalInfo":\s*"[^"]*"//; return }]);
my $hook = spew(tmp('dns'), <<"END");
#!/bin/sh
[ "\$PASGATE_EVENT" != dns-put ] || curl -sf -d "{\\"host\\":\\"\$PASGATE_DNS_NAME.\\",\\"value\\":\\"\$PASGATE_DNS_VALUE\\"}" http://127.0.0.1:$ca{mixed}{dns_management}/set-txt
END
chmod 0755, $hook;
my $told = tmp('told');
my $teller = spew(tmp('teller'), qq(#!/bin/sh\necho "\$PASGATE_EVENT" >>$told\n));
chmod 0755, $teller;
spew($told, '');
chmod 0666, $told;
my %option = (
    six   => { acme => 'profile = "shortlived";' },
    blink => { acme => qq(profile = "blink"; hook = "$teller";) },
    wrong => { acme => q(profile = "shortlivd"; profile_required = true;) },
    http  => { names => ['shop.test', '127.0.0.1', '0:0:0::1'] },
    alpn  => { names => ['127.0.0.1', '::1', 'shop.test'], acme => 'profile = "tlsserver"; challenges = [ "tls-alpn-01" ];',
        listen => join ', ', map { qq({ address = "$_:$ca{alpn}{tls_port}"; tls = true; }) } '127.0.0.1', '[::1]' },
    mixed => { names => ['*.shop.test', 'shop.test', '127.0.0.1'],
        acme => qq(profile = "classic"; hook = "$hook"; challenges = [ "dns-01", "http-01" ];) },
    plain => { directory => $proxy->directory, acme => 'profile = "shortlived";' });
my %gate = map { $_ => acme_gate($ca{$_}, %{ $option{$_} }) } sort keys %ca;

subtest 'a life of 30 seconds' => sub {
    my ($ca, $gate) = ($ca{blink}, $gate{blink});
    ok wait_issued($gate), 'issued' or $gate->tell;
    my ($bad, $first) = (0, cert_row($gate)->{generation});
    ok wait_for(sub {
        $bad++ if verified($gate, $ca, 'shop.test') ne '';
        cert_row($gate)->{generation} >= $first + 2;
    }, 60), 'renewed twice within its life, by itself' or $gate->tell;
    is $bad, 0, 'and at no moment was one served that is not good';
    $ca->end;
    my @issued = $ca->issued;
    my %replaced = slurp($ca->{log}) =~ /$replaces "([^"]*)"/g;
    my $refusals = () = $gate->log_text =~ /$refused/g;
    for my $i (1 .. $#issued) {
        my ($serial, $before) = @{ $issued[$i - 1] };
        my $finds = $ca->finds($serial) || !$refusals--;
        is $replaced{ $issued[$i][1] } // 'none', $finds ? $before : 'none', "renewal $i replaces the one before, $serial"
          or diag slurp($ca->{log}), $gate->log_text;
    }
    my $trouble = qr/^(?:failed|expiring)$/m;    # which of them, its end being so near, is chance
    ok wait_for(sub { slurp($told) =~ $trouble }, 40), 'the CA goes: the hook is told';
    is scalar(() = slurp($told) =~ /$trouble/g), 1, 'and once';
    $gate->stop_ok;
};

subtest 'six days, and what the CA suggests' => sub {
    my ($ca, $gate) = ($ca{six}, $gate{six});
    ok wait_issued($gate), 'issued' or $gate->tell;
    is verified($gate, $ca, 'shop.test'), '', 'served, and verified';
    cmp_ok abs(lifetime(served($gate, 'shop.test')) - 576000), '<=', 1, 'of the profile that was asked for';
    ok wait_for(sub { state_of($gate)->{ari_start} }), 'the CA was asked when to renew';
    my $kept = state_of($gate);
    my $now = time * 1000;
    cmp_ok $kept->{ari_end} - $kept->{ari_start}, '>', 40 * $hour, 'its window is kept';
    cmp_ok abs($kept->{renew_at} - $now - 78.5 * $hour), '<', 2 * $hour,
        'but it is renewed at half of its life at the latest, a little earlier at random';
    cmp_ok abs($kept->{ask_at} - $now - 6 * $hour), '<', $hour, 'and asked again when the CA said, in 6 hours';
    is cert_row($gate)->{error}, '', 'no complaint';

    my $before = $ca->said($asked);
    $gate->stop_ok;
    $gate->start;
    is verified($gate, $ca, 'www.shop.test'), '', 'after a restart it is served at once';
    is state_of($gate)->{renew_at}, $kept->{renew_at}, 'to be renewed at the same moment';

    for (['no JSON', '<html>'], ['an end before its start', window(time + 86400, time)]) {
        my ($what, $answer) = @$_;
        $ca->renewal_info(served($gate), $answer);
        $gate->stop_ok;
        change_state($gate, ask_at => 1, ask_failures => 0);
        $gate->start;
        ok wait_for(sub { state_of($gate)->{ask_failures} }), "an answer with $what is none";
        cmp_ok state_of($gate)->{ask_at}, '>', time * 1000, 'it is asked again later';
        is state_of($gate)->{renew_at}, $kept->{renew_at}, 'nothing changes';
        is $ca->said($asked), ++$before, 'and between two times that are due nobody is asked';
        is cert_row($gate)->{error}, '', 'nor is it complained of';
    }

    my $soon = time + 3600;
    $ca->renewal_info(served($gate), window($soon, $soon + 3600));
    $gate->stop_ok;
    change_state($gate, ask_at => 1, issued_at => 1);
    $gate->start;
    ok wait_for(sub { state_of($gate)->{ari_start} == $soon * 1000 }), 'another window';
    my $at = state_of($gate)->{renew_at};
    ok $at >= $soon * 1000 && $at < ($soon + 3600) * 1000, 'a moment within it';
    like $gate->log_text, qr{the CA suggests renewal \(ARI\); planned for .*see https://ca\.test/why}, 'and it is said where it tells why';

    my $lost = $ca->finds(($ca->issued)[0][0]) ? 0 : 1;
    my $old = served($gate);
    $ca->renewal_info($old, window(time - 7200, time - 3600));
    $gate->stop_ok;
    change_state($gate, ask_at => 1, issued_at => 1);
    $gate->start;
    ok wait_issued($gate, 3), 'a window that has passed: renewed at once' or $gate->tell;
    is $ca->said($replaces), 1 - $lost, 'and the CA knows what it replaces';
    is $ca->said(qr/Added order "/), 2, 'of one more order';
    ok wait_for { verified($gate, $ca, 'shop.test') eq '' && served($gate) ne $old }, 'the new one is served';
    ok wait_for { state_of($gate)->{generation} == 3 && state_of($gate)->{ari_start} }, 'and has a window of its own';

    my ($code, $out) = $gate->cli('cert', 'rollback', 'www.shop.test');
    is $code, 0, 'back to the old one' or diag $out;
    ($code, $out) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
    is $code, 0, 'which was replaced already (409): ordered without saying so' or diag $out;
    is $ca->said(qr{POST /order-plz -> calling}) - $ca->said(qr/Added order "/), 1 + $lost, 'after one refusal';
    is cert_row($gate)->{error}, '', 'no complaint';
    $gate->stop_ok;
};

subtest 'a profile that the CA has not' => sub {
    my ($ca, $gate) = ($ca{wrong}, $gate{wrong});
    ok wait_row($gate, sub { $_->{error} }), 'is told';
    like cert_row($gate)->{error}, qr/this CA has no profile "shortlivd"; it has blink, classic, default, shortlived, tlsserver/, 'with those that there are';
    is $ca->said(qr/Added order "/), 0, 'nothing was ordered';
    $gate->stop_ok;
};

subtest 'addresses' => sub {
    my ($ca, $gate) = ($ca{http}, $gate{http});
    ok wait_issued($gate), 'http-01: a name and two addresses, one of them in another spelling' or $gate->tell;
    is verified($gate, $ca, $_), '', "good for $_" for 'shop.test', '127.0.0.1', '::1';
    is cert_row($gate)->{error}, '', 'no complaint';
    my $orders = $ca->said(qr/Added order "/);
    $gate->stop_ok;
    $gate->write_config(certs => '{ names = [ "shop.test", "127.0.0.1", "0000::0001" ]; }');
    $gate->start;
    is verified($gate, $ca, '::1'), '', 'spelled otherwise it is the same one';
    is $ca->said(qr/Added order "/), $orders, 'for which nothing is ordered';
    $gate->stop_ok;

    ($ca, $gate) = ($ca{alpn}, $gate{alpn});
    ok wait_issued($gate), 'tls-alpn-01: by the names of their reverse mapping' or $gate->tell;
    is verified($gate, $ca, $_), '', "good for $_" for '127.0.0.1', '::1', 'shop.test';
    cmp_ok abs(lifetime(served($gate, 'shop.test')) - 3888000), '<=', 1, 'profile tlsserver: 45 days';
    $gate->stop_ok;
};

subtest 'a wildcard, a name and an address in one order' => sub {
    my ($ca, $gate) = ($ca{mixed}, $gate{mixed});
    ok wait_issued($gate), 'each by the first kind of challenge that the CA offers for it' or $gate->tell;
    is verified($gate, $ca, $_), '', "good for $_" for 'any.shop.test', 'shop.test', '127.0.0.1';
    cmp_ok abs(lifetime(served($gate, 'shop.test')) - 7776000), '<=', 1, 'profile classic: 90 days';
    $gate->stop_ok;
};

subtest 'a CA without ARI' => sub {
    my ($ca, $gate) = ($ca{plain}, $gate{plain});
    ok wait_issued($gate), 'issued' or $gate->tell;
    ok wait_for(sub { state_of($gate)->{ask_failures} }), 'that it has none is seen';
    my $state = state_of($gate);
    cmp_ok abs($state->{renew_at} - time * 1000 - 78.5 * $hour), '<', 2 * $hour, 'renewed at half of its life';
    is cert_row($gate)->{error}, '', 'no complaint';
    my ($code, $out) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
    is $code, 0, 'renewed' or diag $out;
    is $ca->said($replaces), 0, 'without saying what it replaces';
    $gate->stop_ok;
};

done_testing;
