# A hook that ends acmed, or the process that runs it, is called a bounded number of times, also over
# the restarts that it causes; then the log says once what was given up, and the status shows it.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use PasGate;
use Pebble;
use Test::More;

my $pas = PasGate::StandIn->new('pas1');

# Finds acmed: the process that runs the hook is a child of acmed-hook, which is one of acmed.
my $acmed = 'of() { sed -n "s/^PPid:[^0-9]*//p" "/proc/$1/status"; }; acmed=$(of "$(of "$PPID")")';

# A hook that notes each call, then does this.
sub hook
{
    my ($name, $does) = @_;
    my $told = spew(tmp("$name.told"), '');
    chmod 0666, $told;
    my $hook = spew(tmp($name), qq(#!/bin/sh\necho "\$PASGATE_EVENT" >>$told\n$does\n));
    chmod 0755, $hook;
    return ($hook, sub { my ($event) = @_; return scalar grep { $_ eq $event } split /\n/, slurp($told) });
}

# A pair of files that was replaced, and a hook for it.
sub renewed
{
    my ($name, $does) = @_;
    my ($hook, $told) = hook($name, $does);
    my ($chain, $key) = PasGate::make_cert($name, 'shop.test');
    my $gate = PasGate->new(
        backends => [$pas], certs => qq({ names = [ "shop.test" ]; chain = "$chain"; key = "$key"; }),
        global   => sprintf('acme = { store = "%s"; hook = "%s"; };', tmp("store-$name"), $hook), store => tmp("store-$name"));
    ok wait_row($gate, sub { $_->{source} eq 'file' }), 'a pair is live' or $gate->tell;
    PasGate::make_cert($name, 'shop.test');
    return ($gate, $told);
}

sub given_up
{
    my ($gate, $told, $restarts) = @_;
    my $line = qr/certificate shop\.test: hook \S+, renewed of generation 2: given up, because acmed or the process that runs/;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $gate->wait_log($line, 60), 'it is given up' or $gate->tell;
    is $told->('renewed'), 3, 'after three calls';
    my $note = qr/acme\.hook was given up at "renewed": acmed or the process/;
    ok wait_row($gate, sub { grep { $_ =~ $note } @{ $_->{notes} // [] } }), 'a note' or $gate->tell;
    is $gate->log_text =~ /acmed \(pid \d+\) was ended by signal 9/ ? 1 : 0, $restarts, 'acmed was ended, or was not';
    ok !-e "$gate->{store}/certs/shop.test/2/event", 'no successor calls it';
    is +($gate->cli('reload'))[0], 0, 'a reload';
    ok wait_row($gate, sub { !@{ $_->{notes} // [] } }), 'brings another acmed' or $gate->tell;
    is scalar(() = $gate->log_text =~ /$line/g), 1, 'told once';
    is $told->('renewed'), 3, 'and is not called again';
}

subtest 'acmed is ended at a renewal' => sub {
    my ($gate, $told) = renewed('ends', "$acmed; kill -9 \$acmed");
    given_up($gate, $told, 1);
    $gate->stop_ok;
};

subtest 'the process that runs it is ended' => sub {
    my ($gate, $told) = renewed('orphan', 'kill -9 $PPID');
    given_up($gate, $told, 0);
    $gate->stop_ok;
};

# Configured files that expire soon: told once a day.
subtest 'acmed is ended at an expiry' => sub {
    my ($hook, $told) = hook('expires', "$acmed; kill -9 \$acmed");
    PasGate::make_cert('soon', 'soon.test');
    my $chain = PasGate::make_dated(tmp('soon.csr'), -88, 2, 'DNS:soon.test');
    my $gate = PasGate->new(
        backends => [$pas], certs => sprintf('{ names = [ "soon.test" ]; chain = "%s"; key = "%s"; }', $chain, tmp('soon.key')),
        global   => sprintf('acme = { store = "%s"; hook = "%s"; };', tmp('store-expires'), $hook));
    ok $gate->wait_log(qr/acmed.*signal 9/), 'it ends acmed' or $gate->tell;
    ok wait_for { 2 == (() = $gate->log_text =~ /acmed.*ready, starting -> running/g) }, 'another one comes' or $gate->tell;
    ok !(wait_for { $told->('expiring') > 1 } 5), 'which does not call it again' or $gate->tell;
    $gate->stop_ok;
};

SKIP: {
    skip 'no pebble here (t/install-deps.sh)', 1 unless Pebble::available();
    subtest 'acmed is ended at each record' => sub {
        my $ca = Pebble->new;
        my ($hook, $told) = hook('records', "$acmed; [ \$PASGATE_EVENT = failed ] || kill -9 \$acmed");
        my $gate = acme_gate($ca, names => ['dns.test'], acme => qq(hook = "$hook"; challenges = [ "dns-01" ];));
        ok wait_row($gate, sub { $_->{error} =~ /acmed was ended during each call of acme\.hook for dns-put/ }, 90), 'the order fails'
          or $gate->tell;
        is $told->('dns-put'), 3, 'after three calls';
        is $ca->said(qr/Added order "/), 1, 'of one order';
        $gate->stop_ok;
        $ca->end;
    };
}

done_testing;
