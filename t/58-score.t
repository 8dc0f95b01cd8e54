# The score, by default settings: a backend whose responses are unlike those of its neighbours gets
# 5 % of its weight after a handful of them, keeps its sessions, and gets its share back as soon as
# it is like the others. What all of them do is held against none.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

use constant RATE => 60;    # requests per second, over three backends

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 3;
my $gate;

sub row_of
{
    my ($name) = @_;
    my ($row) = grep { $_->{name} eq $name } @{ $gate->status->{backends} // [] };
    return $row // {};
}

sub start
{
    $gate->stop_ok if $gate;
    $gate = PasGate->new(backends => \@pas, workers => 2, check => 'type = "pasoe";', @_);
    return all_up();
}

sub all_up { return ok !(grep { !$gate->wait_health($_->{id}, 'up', 60) } @pas), 'all are up' }

sub passes
{
    my ($load, $n) = @_;
    my $from = $load->now->{requests} // 0;
    return wait_for { ($load->now->{requests} // 0) >= $from + $n } 60;
}

# pas2's share of the next n requests that the load sends.
sub share_of
{
    my ($load, $n) = @_;
    my @from = map { row_of("pas$_")->{measured} } 1 .. 3;
    passes($load, $n);
    my @more = map { row_of("pas$_")->{measured} - $from[ $_ - 1 ] } 1 .. 3;
    return $more[1] / ($more[0] + $more[1] + $more[2]);
}

sub is_reduced
{
    my ($load) = @_;
    my $share = share_of($load, 5 * RATE);
    return cmp_ok $share, '<', 0.1, sprintf 'it gets few requests: a share of %.3f', $share;
}

# A session of pas2.
sub session
{
    my $cookie;
    wait_for {
        my $r = $gate->get('/pas/session');
        ($cookie) = ($r->{h}{'set-cookie'} // '') =~ /^(JSESSIONID=[^;]+)/;
        ($r->{h}{'x-instance'} // '') eq 'pas2';
    };
    return $cookie;
}

my @faults = (
    ['500 to everything', 'mode=500&ping=ok', qr/answered with 5xx/, 12],
    ['500 to half', 'mode=half&ping=ok', qr/answered with 5xx/, 20],
    ['404 to everything', 'mode=500&code=404&ping=ok', qr/answered with 4xx/, 12],
    # "leastconn" hardly gives it any, as it is always the one with more in flight.
    # By turns it gets twenty in the second that it takes for any of them to be slow.
    ['bodies that trickle, by turns', 'mode=trickle&ms=400', qr/answered slowly/, 80, 'balance = "roundrobin";'],
);
for (@faults) {
    my ($what, $mode, $why, $most, $pool) = @$_;
    subtest $what => sub {
        start(pool => $pool // '');
        my $cookie = session();
        my $load = PasGate::OpenLoop->new($gate, rate => RATE, nice => -10);
        ok passes($load, 3 * RATE), 'there is load';
        my ($slow, $from) = ($load->now->{slow}, length $gate->log_text);
        $pas[1]->ctl($mode);
        ok $gate->wait_log(qr/pas2 up -> degraded: \d+ of \d+ requests $why, at other backends 0 of \d+; weight reduced to 5 %/, 30, $from),
          'it is found';
        is row_of('pas2')->{health}, 'degraded', 'it is degraded';
        is row_of('pas2')->{weight_percent}, 5, '  with 5 % of its weight';
        like +($gate->cli('status'))[1], qr/degraded: \d+ of \d+ requests $why/, '  and the status says why';
        is_reduced($load);
        is $gate->request('GET', '/pas/get', headers => [['Cookie', $cookie]], timeout => 20)->{h}{'x-instance'}, 'pas2',
          'its session stays'
          for 1 .. 2;
        my $now = $load->now;
        my $bad = $now->{failed} + $now->{slow} - $slow;
        cmp_ok $bad, '<=', $most, "$bad of $now->{requests} requests failed or were slow";
        $pas[1]->ctl('mode=ok');
        ok $gate->wait_log(qr/pas2 degraded -> up: \d+ requests in a row served as at other backends/, 60, $from), 'it is like the others again';
        my $share = share_of($load, 5 * RATE);
        cmp_ok $share, '>', 0.2, sprintf 'and gets its share: %.3f', $share;
        $load->stop;
        my ($out) = ($gate->cli('why', 'pas2'))[1];
        like $out, qr/up\s+-> degraded\s+\d+ of \d+ requests $why/, 'why tells it';
        all_up();
    };
}

subtest 'bodies that trickle, by default' => sub {
    start();
    my $load = PasGate::OpenLoop->new($gate, rate => RATE, nice => -10);
    ok passes($load, 3 * RATE), 'there is load';
    my $slow = $load->now->{slow};
    $pas[1]->ctl('mode=trickle&ms=400');
    is_reduced($load);
    $pas[1]->ctl('mode=ok');
    my $now = $load->stop;
    cmp_ok $now->{slow} - $slow, '<=', 20, $now->{slow} - $slow . " of $now->{requests} were slow";
    all_up();
};

subtest 'POSTs' => sub {
    my $load = PasGate::OpenLoop->new($gate, rate => RATE, path => '/pas/post', more => ['-m', 'POST']);
    ok passes($load, RATE), 'there is load';
    my $from = length $gate->log_text;
    $pas[1]->ctl('mode=500&ping=ok');
    ok $gate->wait_log(qr/pas2 up -> degraded: .*$faults[0][2]/, 30, $from), 'it is found';
    is_reduced($load);
    $pas[1]->ctl('mode=ok');
    all_up();
    $load->stop;
};

subtest 'what all of them do' => sub {
    my $load = PasGate::OpenLoop->new($gate, rate => RATE);
    ok passes($load, RATE), 'there is load';
    my ($from, $before) = (length $gate->log_text, row_of('pas2')->{measured_5xx});
    $_->ctl('mode=500&ping=ok') for @pas;
    ok wait_for { row_of('pas2')->{measured_5xx} >= $before + 3 * RATE }, 'all answer 500 for some seconds';
    $_->ctl('mode=ok') for @pas;
    ok passes($load, 2 * RATE), 'and well again';
    $load->stop;
    is_deeply [map { row_of("pas$_")->{health} } 1 .. 3], [('up') x 3], 'all are up';
    unlike substr($gate->log_text, $from), qr/pas[13] up -> degraded.*\n.*pas[123] up -> degraded.*\n.*pas[123] up -> degraded/, 'not all were degraded';
};
$gate->stop_ok;
done_testing;
