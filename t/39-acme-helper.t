#!/usr/bin/perl
# The process that starts the network helpers ends (no memory, an operator's kill), or cannot be
# started: the status and each command say that nothing is ordered for a while, and another one
# comes by itself.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my $ca = Pebble->new;
my $gate = acme_gate($ca);
ok wait_issued($gate), 'issued' or $gate->tell;

# Another one, that has to wait for a minute, too.
my $full = spew(tmp('full'), '');
my $hook = spew(tmp('hook'), "#!/bin/sh\n");
chmod 0755, $hook;
my $other = preloaded('fork', { TEST_FORK => $full }, sub {
    return acme_gate($ca, names => ['other.test'], address => '127.0.0.2', acme => qq(hook = "$hook";));
});
my $cannot = qr/the network helper cannot be started: Resource temporarily unavailable; it is started again within a minute, and until then nothing is ordered/;
ok wait_row($other, sub { grep { $_ =~ $cannot } @{ $_->{notes} } }), 'no process can be started: the row tells it' or $other->tell;
ok verified($other, $ca, 'other.test') ne '' && served($other, 'other.test'), 'a self-signed certificate is served';
is +($other->cli('cert', 'renew', 'other.test'))[0], 1, 'nothing is renewed';
like $other->log_text, qr/hook \S+ cannot be called: Resource temporarily unavailable; the process that runs it is started again in a minute/, 'nor is the hook called';
my ($without) = $other->pids('acmed');
unlink $full or die "$full: $!";

my ($acmed) = $gate->pids('acmed');
my ($helper) = map { m{/(\d+)/status$} } grep { slurp($_) =~ /^Name:\s*acmed-net\n.*^PPid:\s*$acmed$/ms } glob '/proc/[0-9]*/status';
ok $helper, 'there is a helper';
kill 'KILL', $helper;
my $words = qr/the network helper exited; it is started again within a minute, and until then nothing is ordered/;
ok wait_row($gate, sub { grep { $_ =~ $words } @{ $_->{notes} } }), 'the row tells it' or $gate->tell;
my ($code, $out) = $gate->cli('status');
unlike $out, qr/^all well$/m, 'not all is well';
like $out =~ s/\s+/ /gr, $words, 'for that reason';
is scalar(() = $gate->log_text =~ /$words/g), 1, 'the log tells it once';
for my $command (['renew', 'www.shop.test', '--force'], ['rollover']) {
    ($code, $out) = $gate->cli('cert', @$command);
    is $code, 1, "$command->[0] is refused";
    like $out, $words, 'with the reason, and until when';
}
my $live = "$gate->{store}/certs/www.shop.test/" . cert_row($gate)->{generation};
rename $live, "$gate->{store}/gone" or die "$live: $!";
ok wait_row($gate, sub { $_->{error} =~ /missing in the store/ }), 'its certificate is deleted';
is cert_row($gate)->{error}, 'missing in the store: a new one is ordered as soon as that is possible', 'it is not said to be ordered';
ok +(wait_for { my ($new) = $gate->pids('acmed'); $new && $new != $acmed } 120), 'another acmed' or $gate->tell;
ok wait_row($gate, sub { !@{ $_->{notes} } && !$_->{error} && -d "$gate->{store}/certs/www.shop.test/$_->{generation}" }), 'it orders, and all is well again' or $gate->tell;
is +($gate->cli('cert', 'renew', 'www.shop.test', '--force'))[0], 0, 'and once more, by hand' or $gate->tell;
$gate->stop_ok;

ok wait_issued($other, 1, 90), 'processes can be started: it orders, too' or $other->tell;
isnt +($other->pids('acmed'))[0], $without, 'by another acmed';
ok wait_row($other, sub { !@{ $_->{notes} } }), 'and all is well' or $other->tell;
is scalar(() = $other->log_text =~ /$cannot/g), 1, 'which was told once';
$other->stop_ok;
$ca->end;
done_testing;
