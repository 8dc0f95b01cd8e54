#!/usr/bin/perl
# An order that the CA says is `processing` for more than a minute: acmed looks at it as often as
# the CA says, in both forms of Retry-After, and no more often; then the certificate is live. It
# lasts so long because nothing but waiting shows that nobody gives up.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use PasGate;
use Pebble;
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

use constant MINUTE => 62;
my @waits = (5, 20, 17);    # seconds that the CA asks for, in turn

# Each answer about the order, from finalize on: "time seconds-asked-for".
my $looks = tmp('looks');
my ($since, $n);
my $processing = sub {
    my ($reply) = @_;
    return if $reply->{body} !~ /"status":\s*"(?:valid|processing)"/;
    $since //= time;
    return if time - $since > MINUTE;
    my $wait = $waits[$n++ % @waits];
    $reply->{body} =~ s/"status":\s*"\w+"/"status":"processing"/;
    $reply->{body} =~ s/,\s*"certificate":\s*"[^"]*"//;
    $reply->{headers}{'retry-after'} = [$n % 2 ? $wait : strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + $wait))];
    open my $out, '>>', $looks or die;
    print $out time, " $wait\n";
    close $out;
    return;
};
my $ca    = Pebble->new;
my $proxy = FaultProxy->new($ca, [qr{^/(?:finalize|my-order)}, 0, $processing]);
my $gate  = acme_gate($ca, directory => $proxy->directory);

ok wait_for { -s $looks }, 'the order is processing' or $gate->tell;
my $start = time;
ok wait_row($gate, sub { $_->{busy} && $_->{doing} }), 'the status says what is done: ' . cert_row($gate)->{doing};
ok wait_row($gate, sub { $_->{source} eq 'acme' }, MINUTE + 60), 'the certificate comes' or $gate->tell;
cmp_ok time - $start, '>=', MINUTE - 2, 'after more than a minute';
is verified($gate, $ca, 'www.shop.test'), '', 'and is served';

my @looks = map { [split] } split /\n/, slurp($looks);
my @gaps = map { [$looks[$_ + 1][0] - $looks[$_][0], $looks[$_][1]] } 0 .. $#looks - 1;
# A date has whole seconds.
is scalar(grep { $_->[0] < $_->[1] - 1.1 } @gaps), 0, 'it was never looked at before the CA said'
  or diag join ', ', map { sprintf '%.1f for %d s', @$_ } @gaps;
my ($most, $sum) = (1, 0);
$most++ while ($sum += $waits[($most - 1) % @waits] - 1.1) < MINUTE;
cmp_ok scalar(@looks), '<=', $most, 'nor more often: ' . @looks . ' times';
cmp_ok scalar(@looks), '>=', 4, 'and it was looked at';
is $proxy->seen(qr{^POST /finalize}), 1, 'the CSR was sent once';
is $ca->said(qr/Added order "/), 1, 'of one order';
is state_of($gate)->{failures}, 0, 'which is no failure';
unlike $gate->log_text, qr/not ordered/, 'not for a moment';
$gate->stop_ok;
done_testing;
