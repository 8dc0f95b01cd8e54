#!/usr/bin/perl
# What an order can do without, and a CA refuses: `replaces` (after the account was closed, with a
# new account key, at a CA that lost its data, for other names), a profile, an address for mail.
# A certificate of 40 seconds comes through each, in the same try. With all of pasgate, before a
# newer Pebble.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no newer Pebble here (t/install-deps.sh)' unless Pebble::available(1);

use constant LIFE => 40;

my %profiles = (profiles => {
    default => { description => 'the usual one', validityPeriod => 7776000 },
    blink   => { description => 'of 40 seconds', validityPeriod => LIFE } });
my $blink = 'profile = "blink";';

sub pebble { return Pebble->new(newer => 1, more => {%profiles}) }

my %ca   = map { $_ => pebble() } qw(closed key lost names);
my %gate = map { $_ => acme_gate($ca{$_}, acme => $blink) } sort keys %ca;

ok wait_issued($gate{$_}, 2, 3 * LIFE), "$_: issued and renewed" or $gate{$_}->tell for sort keys %gate;

# What befalls them, all at once; most of the rest is waiting.
my ($code, $out) = $gate{closed}->cli('cert', 'deactivate', 'www.shop.test', '--force');
is $code, 0, 'closed: the account' or diag $out;
$gate{$_}->stop_ok for 'key', 'names';
unlink glob "$gate{key}{store}/accounts/*/{key.pem,account}";
$gate{names}->write_config(certs => '{ name = "www.shop.test"; names = [ "other.test" ]; }');
$gate{$_}->start for 'key', 'names';
$ca{lost}->end;
$ca{lost}->start;
my %first = map { $_ => cert_row($gate{$_})->{generation} } sort keys %gate;

for my $what (sort keys %gate) {
    my ($ca, $gate) = ($ca{$what}, $gate{$what});
    ok wait_issued($gate, $first{$what} + 2, 5 * LIFE), "$what: the next two certificates come" or $gate->tell;
    is verified($gate, $ca, $what eq 'names' ? 'other.test' : 'shop.test'), '', 'served, and verified';
    unlike $gate->log_text, qr/not ordered, failure [2-9]/, 'with one failure at the most';
}
like $gate{key}->log_text, qr/the CA refused the field "replaces"/,
    'a new account key: it is said what was left out';
like $gate{lost}->log_text, qr/the CA did not know our account; a new one was created with the same key/,
    'a CA that lost its data: a new account, in the same try';
$gate{$_}->stop_ok for sort keys %gate;

# ---- a profile, an address for mail, and an error in place of a refusal

my $plain = pebble();
my $refuses = FaultProxy->new($plain, [qr{^/dir$}, 0, sub { $_[0]{body} =~ s/"blink"/"blank"/; return }]);
my $stumbles = FaultProxy->new($plain, [qr{^/order-plz}, 1, sub { $_[0]{status} = '500 Internal Server Error'; return }, 1]);

subtest 'a profile that the CA has not' => sub {
    my $gate = acme_gate($plain, names => ['p.test'], directory => $refuses->directory, acme => $blink);
    ok wait_issued($gate), 'ordered without' or $gate->tell;
    like $gate->log_text, qr/this CA has no profile "blink"; ordered without a profile\. It has blank, default/, 'and it is said';
    like join(' ', @{ cert_row($gate)->{notes} // [] }), qr/has no profile "blink"/, 'in the status, too';
    $gate->stop_ok;
    my $strict = acme_gate($plain, names => ['q.test'], directory => $refuses->directory, acme => "$blink profile_required = true;");
    ok wait_row($strict, sub { $_->{error} }), 'where it is required, it is not ordered';
    like cert_row($strict)->{error}, qr/this CA has no profile "blink"; it has blank, default/, 'and the reason is told';
    $strict->stop_ok;
};

subtest 'an address for mail that the CA does not take' => sub {
    my $long = 'no such mail, ' . ('as one rule and another say, ' x 10) . 'see https://ca.test/mail';
    my $refuse = sub {
        my ($reply, $request) = @_;
        return if $reply->{status} =~ /^201/;
        $reply->{status} = '400 Bad Request';
        $reply->{headers}{'content-type'} = ['application/problem+json'];
        $reply->{body} = qq({"type":"urn:ietf:params:acme:error:invalidContact","detail":"$long","status":400});
        return;
    };
    my $proxy = FaultProxy->new($plain, [qr{^/sign-me-up}, 1, sub { $_[0]{status} = '400'; return $refuse->(@_) }, 1]);
    my $gate = acme_gate($plain, names => ['m.test'], directory => $proxy->directory, acme => 'email = "a@b.example";');
    ok wait_issued($gate), 'the account has none, and it is ordered' or $gate->tell;
    my $says = qr/the CA refused the email address a\@b\.example: the account has none \(\Q$long\E\)/;
    like $gate->log_text, $says, 'and it is said';
    like join("\n", @{ cert_row($gate)->{notes} }), $says, 'all of it in the status, too';
    like +($gate->cli('cert', 'list', 'm.test'))[1] =~ s/\s+/ /gr, $says, 'and for people';
    $gate->stop_ok;
};

subtest 'an error of the CA in place of a refusal' => sub {
    my $gate = acme_gate($plain, names => ['e.test'], directory => $stumbles->directory, acme => $blink);
    ok wait_issued($gate), 'ordered without what is optional' or $gate->tell;
    is cert_row($gate)->{failures} // 0, 0, 'in the same try';
    $gate->stop_ok;
};

done_testing;
