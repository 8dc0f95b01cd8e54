#!/usr/bin/perl
# acmed's halves are confined by the kernel while certificates come: the network helper has no
# program, file or key, the signing half no network. The operator's program has all that it needs.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

# /proc/PID/status: { key => first word }
sub facts
{
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/status" or return {};
    return { map { /^(\w+):\s*(\S+)/ ? ($1 => $2) : () } <$in> };
}

sub children_of
{
    my ($parent, $name) = @_;
    my %all = map { m{(\d+)$} ? ($1 => facts($1)) : () } glob '/proc/[0-9]*';
    return grep { ($all{$_}{PPid} // 0) == $parent && $all{$_}{Name} eq $name } keys %all;
}

# A container may have put a filter on all of us already.
my $outside = facts('self')->{Seccomp_filters} // 0;

sub filters { return (facts($_[0])->{Seccomp_filters} // 0) - $outside }

# Whether a text stands anywhere in its memory; undef: only root may look.
sub has_in_memory
{
    my ($pid, $text) = @_;
    no warnings 'portable';
    open my $mem, '<:raw', "/proc/$pid/mem" or return undef;
    for (split /\n/, slurp("/proc/$pid/maps")) {
        my ($from, $to) = /^(\w+)-(\w+) r/ or next;
        my ($left, $got, $all) = (hex($to) - hex $from, '', '');
        sysseek $mem, hex $from, 0 or next;
        while ($left > 0 && sysread $mem, $got, $left < 1 << 20 ? $left : 1 << 20) {
            $all .= $got;
            $left -= length $got;
        }
        return 1 if index($all, $text) >= 0;
    }
    return 0;
}

my $secret = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';
my $ca     = Pebble->new(eab => { 'kid-1' => $secret });
my $told = tmp('told');
my $hook = spew(tmp('hook'), <<"END");
#!/bin/sh
echo "\$PASGATE_EVENT" \$(grep Seccomp_filters /proc/self/status) >>$told
[ "\$PASGATE_EVENT" != dns-put ] || curl -sf -d "{\\"host\\":\\"\$PASGATE_DNS_NAME.\\",\\"value\\":\\"\$PASGATE_DNS_VALUE\\"}" http://127.0.0.1:$ca->{dns_management}/set-txt
END
chmod 0755, $hook;
$ENV{THE_SECRET} = $secret;
my $gate = acme_gate($ca, listen => '', acme => qq(hook = "$hook"; challenges = [ "dns-01" ];)
      . qq(eab = { kid = "kid-1"; hmac_key = "$secret"; };));
my $acmed;
wait_for { ($acmed) = $gate->pids('acmed') };
my ($forkserver) = children_of($acmed, 'acmed-net');
my ($runner)  = children_of($acmed, 'acmed-hook');
ok $forkserver && $runner, 'acmed has two processes that know no key' or $gate->tell;

SKIP: {
    skip 'this kernel has no filters', 1 unless exists facts('self')->{Seccomp};
    ok wait_for { grep { filters($_) == 4 } children_of($forkserver, 'acmed-net') }, 'a conversation is confined, more than the fork server'
      or $gate->tell;
    for ([acmed => $acmed], ['the fork server' => $forkserver]) {
        my ($who, $pid) = @$_;
        # The second comes last, when all is forked; with the leak checker, which starts a process
        # at the end, acmed has none.
        my $want = $pid == $acmed && PasGate::sanitized() ? 1 : 2;
        wait_for { filters($pid) == $want };
        my $facts = facts($pid);
        is $facts->{Seccomp}, 2, "$who is confined";
        is filters($pid), $want, 'by filters of its own, one of them for this very process';
        is $facts->{NoNewPrivs}, 1, 'it gets no privileges';
        like slurp("/proc/$pid/limits"), PasGate::sanitized() ? qr// : qr/^Max core file size\s+0\s+0\s/m, 'it leaves no core';
    }
    is filters($runner), 0, 'what starts the hook is not sandboxed';
}

SKIP: {
    my $kept = PasGate::sanitized() ? undef : has_in_memory($acmed, substr $secret, 0, 30);
    if (!defined $kept) {
        pass 'nobody may look into their memory';
        last SKIP;
    }
    ok $kept, 'acmed knows a secret of the configuration';
    is has_in_memory($forkserver, substr $secret, 0, 30), 0, 'the network helper does not';
}

ok wait_issued($gate), 'a certificate comes' or $gate->tell;
is verified($gate, $ca, 'www.shop.test'), '', 'and is served';
ok wait_for { slurp($told) =~ /^issued/m }, 'the hook was told';
is scalar(my @other = grep { !/ $outside$/ } grep { /\d$/ } split /\n/, slurp($told)), 0, 'and never confined' or diag slurp($told);
unlike $gate->log_text, qr/not confined|cannot be hidden/, 'nothing failed';

kill KILL => $acmed;
ok wait_for { !-e "/proc/$forkserver" && !-e "/proc/$runner" }, 'they end with acmed';
ok wait_for { my ($next) = $gate->pids('acmed'); $next && $next != $acmed && children_of($next, 'acmed-hook') },
  'a successor has its own';

$gate->stop_ok;
done_testing;
