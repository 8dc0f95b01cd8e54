#!/usr/bin/perl
# The CA says that the clock here is wrong. An order goes out nevertheless, since it may be the
# CA's that is; but when one has failed, every second one is held back, the status says what to
# set right, and with the right time it goes on. Whoever asks by hand is not held back.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use PasGate;
use Pebble;
use POSIX qw(strftime);
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

use constant OFF => 7500;    # seconds; an hour is what holds an order back

my $ca    = Pebble->new;
my $right = tmp('right');

# That CA, with its clock so far off until $right is there; so many times it makes no order.
sub with_clock
{
    my ($off, $failures) = @_;
    my $date = sub {
        my ($reply) = @_;
        $reply->{headers}{date} = [strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + $off))] if !-e $right;
        return;
    };
    my $fails = sub {
        my ($reply) = @_;
        $reply->{status} = '500 Internal Server Error';
        return $date->($reply);
    };
    return FaultProxy->new($ca, $failures ? [qr{^/order-plz}, $failures, $fails, 1] : (), [qr{^/}, 0, $date]);
}

sub gate { return acme_gate($ca, names => ['clock.test'], directory => $_[0]->directory) }

sub orders { return $_[0]->seen(qr{^POST /order-plz}) }

sub notes { return join "\n", @{ cert_row($_[0])->{notes} // [] } }

sub failures { my ($gate, $n) = @_; return wait_row($gate, sub { ($_->{failures} // 0) >= $n }) }

# As if the time of its next try had come.
sub next_try
{
    my ($gate) = @_;
    $gate->stop_ok;
    change_state($gate, next_try => 1);
    $gate->start;
}

my $behind = qr/the clock here is 2 hours behind that of the CA; set it right/;
my $held   = qr/not ordered, to save the CA's limits: $behind/;

subtest 'two hours behind' => sub {
    my $proxy = with_clock(OFF, 2);
    my $gate  = gate($proxy);
    ok failures($gate, 1), 'an order fails' or $gate->tell;
    is orders($proxy), 1, 'which the CA was asked for, since no other had failed';
    like notes($gate), qr/^$behind$/m, 'the status says at once what is wrong, and with it what to do';
    unlike cert_row($gate)->{error}, qr/not ordered, to save/, 'nothing was held back';

    next_try($gate);
    ok failures($gate, 2), 'the next one' or $gate->tell;
    is orders($proxy), 1, 'never reaches the CA';
    my $row = cert_row($gate);
    like $row->{error}, qr/^$held$/, 'the status says why, and what to set right';
    ok $row->{next_try} gt strftime('%Y-%m-%dT%H:%M:%SZ', gmtime), "and when the next try comes: $row->{next_try}";
    is $row->{source}, 'self-signed', 'the temporary one serves';
    is $gate->get('/pas/get')->{status} // 0, 200, 'requests, too';
    my $for_people = ($gate->cli('status'))[1] =~ s/\s+/ /gr;
    like $for_people, qr/error: $held next try \d{4}-/, 'people see the same';
    ok $gate->wait_log(qr/not ordered, failure 2: $held; next try \d{4}-/), 'so does the log';

    next_try($gate);
    ok failures($gate, 3), 'the one after that' or $gate->tell;
    is orders($proxy), 2, "is not held back: it may be the CA's clock that is wrong";
    unlike cert_row($gate)->{error}, qr/not ordered, to save/, 'and says so';
    next_try($gate);
    ok failures($gate, 4), 'once more' or $gate->tell;
    is orders($proxy), 2, 'none is made';
    like cert_row($gate)->{error}, qr/^$held$/, 'for that reason';

    spew($right, '');
    next_try($gate);
    ok wait_issued($gate), 'with the right time it comes by itself' or $gate->tell;
    is orders($proxy), 3, 'of one order';
    is verified($gate, $ca, 'clock.test'), '', 'and is served';
    is cert_row($gate)->{error} . notes($gate), '', 'there is nothing to complain of any more';
    $gate->stop_ok;
    $proxy->end;
    unlink $right;
};

subtest 'by hand' => sub {
    my $proxy = with_clock(OFF, 1);
    my $gate  = gate($proxy);
    ok failures($gate, 1), 'an order fails' or $gate->tell;
    my ($code, $said) = $gate->cli('cert', 'renew', 'clock.test');
    is $code, 0, 'the next one is not held back when somebody asks for it' or diag $said;
    is orders($proxy), 2, 'it comes';
    is cert_row($gate)->{error}, '', 'nothing is wrong with it';
    like notes($gate), qr/^$behind$/m, 'but with the clock';
    spew($right, '');
    is +($gate->cli('cert', 'renew', 'clock.test', '--force'))[0], 0, 'with the right time';
    is notes($gate), '', 'that is over';
    $gate->stop_ok;
    $proxy->end;
    unlink $right;
};

subtest 'two hours ahead' => sub {
    my $proxy = with_clock(-(OFF), 1);
    my $gate  = gate($proxy);
    ok failures($gate, 1), 'an order fails' or $gate->tell;
    next_try($gate);
    ok wait_issued($gate), 'the next one is not held back, since what comes of it is good at once' or $gate->tell;
    is orders($proxy), 2, 'nor is any other';
    like notes($gate), qr/^the clock here is 2 hours ahead of that of the CA; set it right$/m, 'but the status says it';
    ok $gate->wait_log(qr/certificate clock\.test: the clock here is 2 hours ahead/), 'and the log';
    $gate->stop_ok;
    $proxy->end;
    unlink $right;
};

$ca->end;
done_testing;
