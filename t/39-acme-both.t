#!/usr/bin/perl
# Two commands at once about one certificate or its account: each gets its own result, and never
# the other one's.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my $ca = Pebble->new;
my $gate = acme_gate($ca, certs => '{ names = [ "a.test" ]; name = "a"; }', acme => 'staging = "off";');
ok wait_issued($gate), 'issued' or $gate->tell;

# The exit code and the output of each command.
sub both
{
    my @pids;
    for my $i (0 .. $#_) {
        my $pid = fork;
        if (!$pid) {
            open STDOUT, '>', tmp("said$i");
            open STDERR, '>&', \*STDOUT;
            exec PasGate::binary(), 'cert', @{ $_[$i] }, '-c', $gate->{conf};
        }
        push @pids, $pid;
    }
    my @codes = map { waitpid $_, 0; $? >> 8 } @pids;
    return map { "$codes[$_]: " . slurp(tmp("said$_")) } 0 .. $#_;
}

my $busy = qr/^1: .*(in progress|is being tested): try again$/;

for my $round (1 .. 2) {
    my $before = cert_row($gate)->{generation};
    my ($did, $not) = sort { $a cmp $b } both(['revoke', 'a'], ['revoke', 'a']);
    like $did, qr/^0: certificate a: revoked; generation \d+ is live/, "revoke twice: one is told that it is done";
    like $not, qr/^1: .*(try again|it is already revoked: a new one is ordered)$/, 'the other one that it did nothing';
    is cert_row($gate)->{generation}, $before + 1, 'one was revoked';

    ($did, $not) = sort { $a cmp $b } both(['rollover'], ['rollover']);
    like $did, qr/^0: the account has a new key$/, 'rollover twice: done';
    like $not, qr/$busy|^0: the account has a new key$/, 'and not, unless it came after the first';

    ($did, $not) = both(['renew', 'a', '--force'], ['rollback', 'a']);
    my $live = cert_row($gate)->{generation};
    if ($not =~ /^0/) {
        like $not, qr/^0: certificate a: generation \d+ is live again/, 'rollback beside renew: done';
    } else {
        like $not, qr/^1: .*(there is no older generation that is still good|being tested)/, 'rollback beside renew: its own words';
    }
    unlike $did, qr/no older generation|live again/, 'which are not those of the order';
}
$gate->stop_ok;
done_testing;
