#!/usr/bin/perl
# A renewal that the operator wants of a certificate that is not due: the acmed that comes after
# the one that began it goes on with it, or gives it up and says so; its TXT records go in the end.
# And a rate log that is full when a lost order is to be replaced.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my $ca = Pebble->new(authz_reuse => 0);
my ($told, $slow, $broken) = map { spew(tmp($_), '') } 'told', 'slow', 'broken';
chmod 0666, $told;

# Publishes; waits first, or fails, as long as there is the file for that.
my $hook = spew(tmp('hook'), <<"END");
#!/bin/sh
if [ -e $slow -a "\$PASGATE_EVENT" = dns-put ]; then echo dns-put >>$told; exec sleep 100; fi
echo "\$PASGATE_EVENT" >>$told
case \$PASGATE_EVENT in
dns-put)
    [ ! -e $broken ] || exit 7
    curl -sf -d "{\\"host\\":\\"\$PASGATE_DNS_TARGET.\\",\\"value\\":\\"\$PASGATE_DNS_VALUE\\"}" http://127.0.0.1:$ca->{dns_management}/set-txt ;;
dns-drop)
    curl -sf -d "{\\"host\\":\\"\$PASGATE_DNS_TARGET.\\"}" http://127.0.0.1:$ca->{dns_management}/clear-txt ;;
esac
END
chmod 0755, $hook;
unlink $slow, $broken;

my $gate = acme_gate($ca, names => ['again.test'], acme => qq(hook = "$hook"; challenges = [ "dns-01" ]; dns_wait = "20s"; limits = { orders = 1000; };));
ok wait_issued($gate), 'a certificate' or $gate->tell;

sub heard  { my ($event) = @_; return scalar grep { $_ eq $event } split /\n/, slurp($told) }
sub orders { return $ca->said(qr/Added order/) }
sub left   { my @left = glob "$gate->{store}/orders/*/$_[0]"; return scalar @left }

ok wait_for { !left('records') }, 'its record is gone';

# Pebble is asked not to take the proof of an order before, and yet does for one in a hundred: then
# the hook is not called, and it is asked once more.
use constant TRIES => 5;

# The renewal is under way, its hook called. Returns what ends_well() wants.
my $commands = 0;
sub begin
{
    my ($puts, $pid, $said, $generation, $orders) = heard('dns-put');
    spew($slow, '');
    for (1 .. TRIES) {
        $said = tmp('said-' . ++$commands);
        ($generation, $orders) = (cert_row($gate)->{generation}, orders());
        $pid = PasGate::spawn($said, PasGate::binary(), 'cert', '-c', $gate->{conf}, 'renew', 'again.test', '--force');
        wait_for { heard('dns-put') > $puts || slurp($said) =~ /\n/ } 60;
        last if heard('dns-put') > $puts;
        PasGate::reap($pid, 60);
    }
    ok heard('dns-put') > $puts, 'a renewal is under way' or $gate->tell;
    return ($pid, $said, $generation + 1, $orders, heard('dns-put') - heard('dns-drop'));
}

sub ends_well
{
    my ($pid, $said, $generation, $orders, $more) = @_;
    ok wait_issued($gate, $generation), 'yet it comes' or $gate->tell;
    is PasGate::reap($pid, 60), 0, 'which the command has waited for' or diag slurp($said);
    like slurp($said), qr/^certificate again\.test: generation $generation is live, until /, 'and tells';
    is orders() - $orders, 1, 'of the order that was begun';
    ok wait_for { !left('records') && !left('order') }, 'nothing is left of it';
    is heard('dns-put') - heard('dns-drop'), $more, 'each record was taken away';
    is cert_row($gate)->{error}, '', 'and nothing is wrong';
    return;
}

subtest 'acmed is killed' => sub {
    my @begun = begin();
    unlink $slow;
    kill 'KILL', $gate->pids('acmed');
    ends_well(@begun);
};

subtest 'a reload' => sub {
    my @begun = begin();
    unlink $slow;
    is +($gate->cli('reload'))[0], 0, 'the configuration is read again';
    ends_well(@begun);
};

# The hook fails, so the order stays open.
my $live;
sub fail_open
{
    spew($broken, '');
    my ($code, $out) = (0, '');
    for (1 .. TRIES) {
        ($code, $out) = $gate->cli('cert', 'renew', 'again.test', '--force') if $code == 0;
    }
    is $code, 1, 'a renewal fails' or diag $out;
    like $out, qr/acme\.hook failed at dns-put/, 'at the hook' or $gate->tell;
    is left('order'), 1, 'its order is open';
    unlink $broken;
    $live = cert_row($gate)->{generation};
    $gate->stop_ok;
    change_state($gate, next_try => 1, failures => 0);
    return;
}

subtest 'a try later' => sub {
    fail_open();
    my $orders = orders();
    $gate->start;
    ok wait_issued($gate, $live + 1), 'it is gone on with, although the certificate is not due' or $gate->tell;
    is orders(), $orders, 'it is the same order';
    ok wait_for { !left('records') && !left('order') }, 'nothing is left of it';
};

subtest 'an order of which the CA knows nothing' => sub {
    fail_open();
    my $orders = orders();
    my ($file) = glob "$gate->{store}/orders/*/order";
    spew($file, slurp($file) =~ s/^(url=.*)$/$1x/mr);
    $gate->start;
    ok $gate->wait_log(qr/the unfinished order is abandoned: the CA no longer has it; the live certificate is good/),
      'it is given up, and the log says so' or $gate->tell;
    ok wait_for { !left('records') && !left('order') }, 'nothing is left of it';
    is orders(), $orders, 'no other one is made';
    is cert_row($gate)->{generation}, $live, 'the live one goes on';
    $gate->stop_ok;
};

# Of other names, at this time.
sub fill_rate_log
{
    my ($at) = @_;
    my ($file) = glob "$gate->{store}/accounts/*/ledger";
    spew($file, "f=$at:0123456789abcdef\n" x 8192);
    return;
}

subtest 'a full rate log' => sub {
    $gate->start;
    fail_open();
    my $orders = orders();
    my ($file) = glob "$gate->{store}/orders/*/order";
    spew($file, slurp($file) =~ s/^(url=.*)$/$1x/mr);
    fill_rate_log(time);
    change_state($gate, wanted => 1);
    $gate->start;
    ok wait_row($gate, sub { $_->{error} =~ /^the rate log of \S+ is full; nothing is ordered$/ }),
      'no other order is made, and the row says why' or $gate->tell;
    is orders(), $orders, 'the CA has heard of none';
    $gate->stop_ok;
    fill_rate_log(time - 3601);
    unlink $file;
    change_state($gate, wanted => 1, next_try => 1, failures => 0);
    $gate->start;
    ok wait_issued($gate, $live + 1), 'when all of it is old, it is ordered' or $gate->tell;
    is orders(), $orders + 1, 'once';
    $gate->stop_ok;
};

subtest 'a failure of long ago' => sub {
    $gate->start;
    fail_open();
    unlink glob "$gate->{store}/orders/*/{order,key.pem,records}";
    $gate->start;
    ok wait_row($gate, sub { $_->{error} =~ /^acme\.hook failed/ }), 'it is an error for an hour' or $gate->tell;
    $gate->stop_ok;
    change_state($gate, failed_at => (time - 2 * 24 * 3600) . '000');
    $gate->start;
    ok wait_row($gate, sub { $_->{error} eq '' && @{ $_->{notes} // [] } }), 'then it is none, as nothing is due' or $gate->tell;
    my $past = qr/nothing is due; the last try \(\d{4}-\d\d-\d\d\) failed: acme\.hook failed at dns-put/;
    like cert_row($gate)->{notes}[0], qr/^$past/, 'but a note, with its day';
    is cert_row($gate)->{failures} // 0, 0, 'and no failure of now';
    my $list = ($gate->cli('cert', 'list', 'again.test'))[1] =~ s/\s+/ /gr;
    like $list, $past, '`cert list` has it';
    unlike $list, qr/error/, 'as a note only';
    $gate->stop_ok;
};

$ca->end;
done_testing;
