#!/usr/bin/perl
# Keys are in acmed's secure heap and nowhere else in its memory: before, during and after orders,
# whatever their type. Looked for in all that a core dump would have.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use MIME::Base64;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

# [from, to, flags] of the memory that it has written to or could, from smaps: "dd" is not for a
# core dump, "lo" locked. (Read-only and shared is what others have in the table.)
sub regions
{
    my ($pid) = @_;
    no warnings 'portable';
    my (@regions, @it);
    for (split /\n/, slurp("/proc/$pid/smaps")) {
        @it = (hex $1, hex $2) if /^(\w+)-(\w+) /;
        push @regions, [@it, $1] if /^VmFlags: ((?=.*\b(?:wr|ac)\b)rd .*)/;
    }
    return @regions;
}

# Which of these texts stand in its memory, outside of what is kept from core dumps; undef: only
# root may look. Pieces overlap, so that none is missed between two.
sub found
{
    my ($pid, %text) = @_;
    open my $mem, '<:raw', "/proc/$pid/mem" or return undef;
    my ($piece, $overlap, %found) = (1 << 20, 4096);
    my %name = reverse %text;
    my $any = join '|', map { quotemeta } keys %name;
    for (grep { $_->[2] !~ /\bdd\b/ } regions($pid)) {
        my ($from, $to) = @$_;
        my $kept = '';
        while ($from < $to) {
            sysseek $mem, $from, 0 or last;
            my $got = sysread $mem, my $bytes, $to - $from < $piece ? $to - $from : $piece or last;
            $kept .= $bytes;
            $found{ $name{$1} }++ while $kept =~ /($any)/g;
            $kept = substr $kept, -$overlap if length $kept > $overlap;
            $from += $got;
        }
    }
    return [sort keys %found];
}

sub lines { return grep { !/^-/ && length > 16 } split /\n/, $_[0] }

# A key as it may stand in memory: lines of PEM; its private numbers, in both orders of bytes. Not
# the lines that are of its public half alone: these stand in requests and certificates as well.
sub forms
{
    my ($file, $what) = @_;
    my %forms;
    my (undef, $pem) = run_cmd('openssl', 'pkey', '-in', $file, '-pubout');
    my $public = decode_base64(join '', lines($pem));
    my @lines = lines(slurp($file));
    for (grep { index($public, decode_base64($lines[$_])) < 0 } 0 .. $#lines) {
        $forms{"$what, line $_"} = $lines[$_];
    }
    my (undef, $text) = run_cmd('openssl', 'pkey', '-in', $file, '-noout', '-text');
    while ($text =~ /^(priv|privateExponent|prime1|prime2|exponent1|exponent2|coefficient):\n((?:\s+[\da-f:]+\n)+)/mg) {
        my ($name, $hex) = ($1, $2);
        $hex =~ s/[^\da-f]//g;
        my $number = pack('H*', $hex) =~ s/^\0+//r;
        $forms{"$what, $name"} = $number;
        $forms{"$what, $name from its end"} = reverse $number;
    }
    return %forms;
}

my $secret = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';
my $ca     = Pebble->new(eab => { 'kid-1' => $secret });
my $held   = tmp('held');
my $go     = tmp('go');
# Each order stops here, its account and its key in use.
my $proxy = FaultProxy->new($ca, [qr{^/finalize}, 0, sub { spew($held, ''); wait_for { -e $go } 60; return }]);
my %names = map { ($_ => "$_.shop.test") } qw(p256 p384 rsa2048 rsa4096);
my $gate  = acme_gate($ca, directory => $proxy->directory,
    certs => join(', ', map { qq({ names = [ "$names{$_}" ]; key_type = "$_"; }) } sort keys %names),
    acme => qq(eab = { kid = "kid-1"; hmac_key = "$secret"; };));
my $acmed = wait_for { ($gate->pids('acmed'))[0] };
my $watched = !PasGate::sanitized() && defined found($acmed, none => $secret x 2);

# Whatever is in the store, and the key of the external account.
sub nothing_ok
{
    my ($when, $least) = @_;
    my @files = glob "$gate->{store}/{accounts,orders,certs}/*/{,*/}*.pem";
    my %text = ('hmac_key, text' => $secret);
    for my $file (grep { !/fullchain|current/ } @files) {
        %text = (%text, forms($file, $file =~ s/^\Q$gate->{store}\E//r));
    }
    cmp_ok keys(%text), '>=', $least, "$when: " . keys(%text) . ' texts and numbers of keys are looked for';
    SKIP: {
        # A sanitizer keeps what was freed; and without root nobody may look.
        $watched or do { pass 'nobody may look'; last SKIP };
        is_deeply found($acmed, %text), [], 'and none is found';
    }
}

SKIP: {
    $watched or do { pass 'nobody may look' for 1 .. 3; last SKIP };
    is_deeply found($acmed, its => 'pasgate: acmed #1', none => $secret . 'x'), ['its'], 'what is there is found';
    my @secret = grep { $_->[2] =~ /\bdd\b/ && $_->[2] =~ /\blo\b/ } regions($acmed);
    is scalar @secret, 1, 'it has memory that is locked and not for core dumps';
    cmp_ok $secret[0][1] - $secret[0][0], '>=', 256 * 1024, 'of this size';
}

ok wait_for(sub { -e $held }, 120), 'an order is under way' or $gate->tell;
my @keys = glob "$gate->{store}/orders/*/key.pem";
cmp_ok @keys, '>=', 1, 'with its key on disk';
nothing_ok('in the middle of an order', 20);
is(($gate->pids('acmed'))[0], $acmed, 'it is the same process');
spew($go, '');
for my $type (sort keys %names) {
    ok wait_for(sub { cert_row($gate, $names{$type})->{source} eq 'acme' }, 120), "$type is live" or $gate->tell;
    is verified($gate, $ca, $names{$type}), '', 'and is served';
}
nothing_ok('after them', 100);
unlink $go, $held;
my $renewal = fork // die;
if (!$renewal) { exec PasGate::binary(), 'cert', 'renew', $names{rsa4096}, '--force', '-c', $gate->{conf} }
ok wait_for(sub { -e $held }, 120), 'a renewal is under way' or $gate->tell;
nothing_ok('in the middle of a renewal', 160);
spew($go, '');
waitpid $renewal, 0;
is $?, 0, 'it came';
nothing_ok('in the end', 160);
unlike $gate->log_text, qr/keys: /, 'nothing is missing';
is(($gate->pids('acmed'))[0], $acmed, 'it was one process all the time');
$gate->stop_ok;
done_testing;
