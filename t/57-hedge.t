# Hedges by default: a backend that hangs, is stopped or becomes slow costs no GET a second, and a
# long report on a backend that serves others is never run twice.
use strict;
use warnings;
use JSON::PP;
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time sleep);

use constant RATE => 60;    # requests per second, over three backends

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 3;

sub row_of
{
    my ($gate, $name) = @_;
    my ($row) = grep { $_->{name} eq $name } @{ $gate->status->{backends} // [] };
    return $row // {};
}

# What an instance was asked, as it wrote it down.
sub book
{
    my ($pas) = @_;
    my $c = PasGate::Conn->new($pas->{ctl}, timeout => 5);
    my $r = $c->request('GET', '/ctl/requests', close => 1);
    return @{ decode_json($r->{body})->{requests} };
}

sub asked_for { my ($what) = @_; return scalar grep { $_->{target} =~ /$what/ } map { book($_) } @pas }

sub up
{
    my ($gate) = @_;
    return ok !(grep { !$gate->wait_health($_->{id}, 'up', 60) } @pas), 'all are up';
}

# A gate whose pool is known to be quick.
sub gate_of
{
    my (%opt) = @_;
    my $gate = PasGate->new(backends => \@pas, workers => 2, check => 'type = "pasoe";', %opt);
    up($gate);
    $gate->get('/pas/get') for 1 .. 150;
    return $gate;
}

sub passes
{
    my ($load, $n) = @_;
    my $from = $load->now->{ok} // 0;
    return wait_for { ($load->now->{ok} // 0) >= $from + $n };
}

my %faults = (
    'hangs' => [sub { $pas[1]->ctl('mode=hang') }, sub { $pas[1]->ctl('mode=ok') }, qr/pas2 \w+ -> (?:ejected|down)/],
    'hangs, but its ping passes' => [sub { $pas[1]->ctl('mode=hangapp') }, sub { $pas[1]->ctl('mode=ok') }, qr/pas2 \w+ -> (?:ejected|down)/],
    'is frozen' => [sub { kill 'STOP', $pas[1]{pid} }, sub { kill 'CONT', $pas[1]{pid} }, qr/pas2 \w+ -> (?:ejected|down)/],
    'responds after 3 s' => [sub { $pas[1]->ctl('mode=slow&ms=3000&ping=ok') }, sub { $pas[1]->ctl('mode=ok') }],
);

for my $what (sort keys %faults) {
    my ($begin, $end, $found) = @{ $faults{$what} };
    subtest "one of three $what" => sub {
        my $gate = gate_of();
        my $load = PasGate::OpenLoop->new($gate, rate => RATE, path => '/pas/get', nice => -10);
        ok passes($load, 2 * RATE), 'there is load';
        my ($slow, $from) = ($load->now->{slow}, length $gate->log_text);
        $begin->();
        ok $found ? $gate->wait_log($found, 20, $from) : passes($load, 5 * RATE), $found ? 'it is found' : 'for five seconds';
        ok passes($load, RATE), 'and the load goes on';
        ok row_of($gate, 'pas2')->{hedges} > 0, row_of($gate, 'pas2')->{hedges} . ' requests were also sent elsewhere';
        $end->();
        my $r = $load->stop;
        is $r->{failed}, 0, "no GET failed of $r->{requests}" or diag(join "\n", @{ $r->{first_errors} });
        is $r->{slow} - $slow, 0, "none was slower than a second, the slowest $r->{max_ms} ms"
          or diag(join "\n", @{ $r->{first_slow} }, $gate->log_text =~ /(.*backend pas\d \w+ -> .*)/g);
        up($gate);
        $gate->stop_ok;
    };
}

# Its backend serves others meanwhile: by turns, or because it is asked (worker/upstream/silence.h), as the
# one with the fewest requests in flight would get no other.
for my $balance (qw(roundrobin leastconn)) {
    subtest "a long report under load, $balance" => sub {
        my $gate = gate_of(pool => qq(balance = "$balance";));
        my $load = PasGate::OpenLoop->new($gate, rate => RATE, path => '/pas/get', nice => -10);
        ok passes($load, RATE), 'there is load';
        my @r = PasGate::in_parallel(map {
            my $n = $_;
            sub { $gate->get("/pas/delay?ms=3000&$balance=$n", timeout => 20)->{status} }
        } 1 .. 3);
        is_deeply \@r, [(200) x 3], 'three reports of three seconds';
        is asked_for(qr/$balance=/), 3, 'each was run once';
        $load->stop_ok;
        $gate->stop_ok;
    };
}

subtest 'what is never sent twice' => sub {
    my $gate = gate_of();
    my $cookie;
    wait_for {
        my $r = $gate->get('/pas/session');
        ($cookie) = ($r->{h}{'set-cookie'} // '') =~ /^(JSESSIONID=[^;]+)/;
        $r->{h}{'x-instance'} eq 'pas2';
    };
    $gate->get('/pas/get') for 1 .. 100;
    my @slow = map { my $n = $_; sub { $gate->request('POST', "/pas/delay?ms=1500&once=$n", body => 'a=1', timeout => 20)->{status} } } 1 .. 3;
    push @slow, sub { $gate->get('/pas/delay?ms=1500&once=session', headers => [['Cookie', $cookie]], timeout => 20)->{status} };
    is_deeply [in_parallel(@slow)], [(200) x 4], 'POSTs, and a GET of a session, while nothing else is served';
    is asked_for(qr/once=/), 4, 'each was run once';
    my $r = $gate->get('/pas/delay?ms=1500&night', timeout => 20);
    is $r->{status}, 200, 'a report when nothing else is asked for';
    cmp_ok asked_for(qr/night/), '<=', 2, 'nobody can tell it from a hang: at most two backends run it';
    $gate->stop_ok;
};

# Its head comes in two pieces, with the hedge due between them.
subtest 'a response that has begun is waited for' => sub {
    my $raw = PasGate::Scripted->new(id => 'raw', reply => sub {
        my $head = "HTTP/1.1 200 OK\r\nX-Instance: raw\r\nContent-Length: 3\r\n\r\n";
        return $_[0] =~ /pieces/ ? (substr($head, 0, 20), 1.2, substr($head, 20) . 'raw') : "${head}raw";
    });
    my $gate = PasGate->new(backends => [$raw, $pas[0]], pool => 'balance = "roundrobin";',
        routes => '{ path = "/pas"; pool = "pas"; upstream_path = "/web"; hedge_after = "600ms"; }');
    ok $gate->wait_health($_, 'up'), "$_ is up" for qw(raw pas1);
    my @r = map { $gate->get('/pas/get?pieces') } 1 .. 4;
    is_deeply [map { "$_->{status} $_->{complete}" } @r], [('200 1') x 4], 'all are served';
    is scalar(grep { $_->{h}{'x-instance'} eq 'raw' && $_->{body} eq 'raw' } @r), 2, 'half of them by the one that is slow with its head';
    is scalar(grep { $_->{raced} } $gate->access(4)), 0, 'none was hedged';
    $gate->stop_ok;
};

subtest 'hedge_after = "off"' => sub {
    my $gate = gate_of(routes => '{ path = "/pas"; pool = "pas"; upstream_path = "/web"; hedge_after = "off"; }');
    is $gate->get('/pas/delay?ms=1500&off', timeout => 20)->{status}, 200, 'a report';
    is asked_for(qr/off/), 1, 'was run once';
    $gate->stop_ok;
};
done_testing;
