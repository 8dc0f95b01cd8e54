#!/usr/bin/perl
# What CAs and networks do on bad days, in front of Pebble: each ends in a certificate or in one
# clear reason, and never in more orders than one.
use strict;
use warnings;
use lib 't/lib';
use FaultProxy;
use PasGate;
use Pebble;
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(time);

my $try = tool('t/tools/acme-try');
plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();
plan skip_all => "no $try (make tools)" unless -x $try;

my $ca = Pebble->new;
my $runs = 0;

sub run_through
{
    my ($proxy, %arg) = @_;
    my $n = ++$runs;
    my %all = (
        directory => $proxy->directory, ca_file => $ca->ca_file, http => $ca->{http_port},
        account   => tmp("account$n"), key => tmp("key$n"), chain => tmp("chain$n"),
        names     => "n$n.test", deadline_ms => 120_000, %arg);
    return run_cmd($try, map { "$_=$all{$_}" } sort keys %all);
}

# A conversation with these rules: it must end well, with one order.
sub survives
{
    my ($what, $rules, $more) = @_;
    subtest $what => sub {
        my $proxy = FaultProxy->new($ca, @$rules);
        my $start = time;
        my ($code, $said) = run_through($proxy);
        is($code, 0, 'issued') or diag $said;
        $more->($proxy, $said, time - $start) if $more;
        $proxy->end;
    };
}

# It must fail with this reason.
sub fails
{
    my ($what, $rules, $reason, $more) = @_;
    subtest $what => sub {
        my $proxy = FaultProxy->new($ca, @$rules);
        my ($code, $said) = run_through($proxy);
        is($code, 1, 'failed');
        like($said, $reason, 'for this reason');
        cmp_ok($proxy->seen(qr{^POST /order-plz}), '<=', 1, 'no second order');
        $more->($proxy, $said) if $more;
        $proxy->end;
    };
}

sub refuse
{
    my ($status, %headers) = @_;
    return sub {
        my ($reply) = @_;
        $reply->{status} = $status;
        $reply->{headers}{$_} = [$headers{$_}] for keys %headers;
        $reply->{body} = '{"type":"urn:ietf:params:acme:error:rateLimited","detail":"slow down"}';
        return;
    };
}

survives('429 with Retry-After in seconds', [[qr{^/order-plz}, 1, refuse('429 No', 'retry-after' => 2), 1]],
    sub { cmp_ok($_[2], '>=', 2, 'it was waited for'); is($_[0]->seen(qr{^POST /order-plz}), 2, 'then asked again') });
survives('429 with Retry-After as a date',
    [[qr{^/order-plz}, 1, sub {
        my ($reply) = @_;
        refuse('429 No', 'retry-after' => strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + 3)))->($reply);
    }, 1]],
    sub { cmp_ok($_[2], '>=', 1.5, 'it was waited for') });
survives('429 with a date that has passed',
    [[qr{^/order-plz}, 1, refuse('429 No', 'retry-after' => 'Thu, 01 Jan 2026 00:00:00 GMT'), 1]],
    sub { is($_[0]->seen(qr{^POST /order-plz}), 2, 'asked again') });
fails('429 with a time that is none', [[qr{^/order-plz}, 0, refuse('429 No', 'retry-after' => 'soon'), 1]],
    qr/failed rateLimited/, sub { is($_[0]->seen(qr{^POST /order-plz}), 1, 'is without a time') });
fails('429 for an hour', [[qr{^/order-plz}, 0, refuse('429 No', 'retry-after' => 3600), 1]],
    qr/failed rateLimited\|.*slow down.*retry=3600/,
    sub { is($_[0]->seen(qr{^POST /order-plz}), 1, 'asked once') });
for (['the directory', qr{^/dir}], ['a nonce', qr{^/nonce}], ['a new order', qr{^/order-plz}]) {
    my ($what, $path) = @$_;
    fails("503 for an hour, as a page, for $what", [[$path, 0,
        sub { %{ $_[0] } = (status => '503 No', headers => { 'retry-after' => [3600] }, body => '<html>'); return }, 1]],
        qr/failed net\.response\|.*503.*retry=3600/);
}
fails('a challenge that the CA does not want to begin', [[qr{^/chalZ}, 0, sub {
        %{ $_[0] } = (status => '400 No', headers => { 'content-type' => ['application/problem+json'] },
            body => '{"type":"urn:ietf:params:acme:error:malformed","detail":"no such challenge"}');
        return;
    }, 1]], qr/failed malformed\|.*no such challenge/);
survives('a challenge that was begun already', [[qr{^/chalZ}, 1, sub {
        %{ $_[0] } = (status => '400 No', headers => { 'content-type' => ['application/problem+json'] },
            body => '{"type":"urn:ietf:params:acme:error:malformed","detail":"it is not pending"}');
        return;
    }]]);
fails('429 without a time', [[qr{^/order-plz}, 0, refuse('429 No'), 1]], qr/failed rateLimited/);
survives('503 in mid-order', [[qr{^/authZ}, 2, refuse('503 No'), 1]]);
fails('a 502 in HTML for a new order', [[qr{^/order-plz}, 0,
    sub { $_[0]{status} = '502 Bad Gateway'; $_[0]{body} = '<html>Bad Gateway</html>'; return }, 1]],
    qr/failed net\.response\|.*502/);
survives('a 502 in HTML for the directory', [[qr{^/dir}, 1,
    sub { $_[0]{status} = '502 Bad Gateway'; $_[0]{body} = '<html>Bad Gateway</html>'; return }, 1]]);
survives('the reply to finalize is lost', [[qr{^/finalize}, 1, sub { 'lost' }]],
    sub { is($_[0]->seen(qr{^POST /finalize}), 1, 'the CSR was sent once') });
fails('the reply to newOrder is lost', [[qr{^/order-plz}, 1, sub { 'lost' }]], qr/failed net\.connect/);
survives('a reply about an authorization is lost', [[qr{^/authZ}, 1, sub { 'lost' }]]);
survives('no nonce but by asking', [[qr{.}, 0, sub { delete $_[0]{headers}{'replay-nonce'} if $_[0]{body} ne ''; return }]]);

my $looks = 0;
survives('an order that is processing', [[qr{^/my-order}, 0, sub {
        my ($reply) = @_;
        return if $reply->{body} !~ /"valid"/ || ++$looks > 3;
        $reply->{body} =~ s/"status":\s*"valid"/"status":"processing"/;
        $reply->{headers}{'retry-after'} = [1];
        return;
    }], [qr{^/finalize}, 1, sub { $_[0]{body} =~ s/"status":\s*"valid"/"status":"processing"/; return }]],
    sub { cmp_ok($_[0]->seen(qr{^POST /my-order}), '>=', 4, 'is looked at until it is valid') });
survives('orderNotReady', [[qr{^/finalize}, 2, sub {
        $_[0]{status} = '403 Forbidden';
        $_[0]{body} = '{"type":"urn:ietf:params:acme:error:orderNotReady","detail":"wait"}';
        return;
    }, 1]], sub { is($_[0]->seen(qr{^POST /finalize}), 3, 'is finalized again') });

for (['500 Oops', 'serverInternal', 'the signer is away'], ['403 Forbidden', 'orderNotReady', 'still thinking']) {
    my ($status, $type, $detail) = @$_;
    fails("$type to each finalize", [[qr{^/finalize}, 0, sub {
        %{ $_[0] } = (status => $status, headers => { 'content-type' => ['application/problem+json'] },
            body => qq({"type":"urn:ietf:params:acme:error:$type","detail":"$detail"}));
        return;
    }, 1]], qr/failed $type\|.*\Q$detail\E/);
}

fails('10 MB of JSON', [[qr{^/order-plz}, 0, sub { $_[0]{body} = '{"a":"' . 'x' x 10_000_000 . '"}'; return }]],
    qr/failed net\.\w+\|.*larger than/);
fails('JSON 10,000 deep', [[qr{^/order-plz}, 0, sub { $_[0]{body} = '[' x 10_000 . ']' x 10_000; return }]],
    qr/failed net\.response/);
fails('a leaf that is swapped', [[qr{^/certZ}, 0, sub { $_[0]{body} = slurp($ca->{chain}); return }]],
    qr/failed net\.chain\|.*another key.*order_gone=1/);
fails('a chain that is cut', [[qr{^/certZ}, 0, sub { $_[0]{body} = substr $_[0]{body}, 0, 700; return }]],
    qr/failed net\.chain\|.*cannot be parsed/);
fails('a redirect', [[qr{^/order-plz}, 0, sub { $_[0]{status} = '307 There'; $_[0]{headers}{location} = ['https://127.0.0.1:1/x']; $_[0]{body} = ''; return }, 1]],
    qr/failed net\.response\|.*307/);
for my $days (1, -1) {
    survives("the CA's clock is off by $days day", [[qr{.}, 0,
        sub { $_[0]{headers}{date} = [strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + $days * 86400))]; return }]],
        sub { like($_[1], $days > 0 ? qr/done clock_off=86[34]\d\d\b/ : qr/done clock_off=-86[34]\d\d\b/, 'and told to be') });
}

subtest 'TLS that hangs' => sub {
    my $mute = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', LocalPort => 0);
    my ($code, $said) = run_cmd($try, "directory=https://127.0.0.1:" . $mute->sockport . '/dir',
        'names=a.test', 'account=' . tmp('account-h'), 'key=' . tmp('key-h'), 'deadline_ms=3000');
    is($code, 1, 'failed');
    like($said, qr/failed net\.(deadline|connect)/, 'at the deadline');
};

$ca->end;
done_testing;
