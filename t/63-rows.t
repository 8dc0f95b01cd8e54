# A wrong value in the table does not stay: who wrote the row repairs it within a second.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my @pas   = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my $other = PasGate::StandIn->new('stranger');
# A worker may connect to no port that the configuration does not name, so that of the stranger has a
# pool. Checks are rare: it is not the next one that repairs the row.
my $gate = PasGate->new(workers => 2, backends => \@pas, pool => 'max_in_flight = 10; queue = { timeout = "60s"; };',
    check => 'type = "tcp"; interval = "1h"; fast_interval = "100ms"; timeout = "2s"; rise = 1; fall = 2;',
    more_pools => [qq(name = "strange"; backends = ({ name = "strange"; address = "127.0.0.1:$other->{port}"; }); check = { port = $other->{port}; type = "tcp"; };)]);
my $here = length $gate->log_text;

sub poke
{
    my ($code, $out) = run_cmd(tool('t/tools/table-poke'), $gate->{pidfile}, @_);
    is $code, 0, "written: @_" or diag $out;
}

sub backend { my ($name) = @_; return (grep { $_->{name} eq $name } @{ $gate->status->{backends} // [] })[0] // {} }

subtest 'nothing is wrong in ordinary work' => sub {
    my @load = map { PasGate::Load->new($gate, clients => 3, close => $_) } 0, 1;
    wait_for { (() = slurp($gate->{access}) =~ /\n/g) > 300 };
    $_->stop_ok for @load;
    unlike $gate->log_text, qr/repaired/, 'no repair';
};

subtest 'the port that workers connect to' => sub {
    my $from = length $gate->log_text;
    poke('port', 0, $other->{port});
    ok $gate->wait_log(qr/healthd.*rows of the table.*health.*repaired/, undef, $from), 'healthd repairs its row';
    my %by;
    $by{ $gate->get('/pas/get', plain => 1)->{h}{'x-instance'} // '?' }++ for 1 .. 20;
    is $by{stranger}, undef, 'and nobody else serves' or diag explain \%by;
};

subtest 'a row that looks half-written' => sub {
    poke('odd', 1, 0);
    ok wait_for { (run_cmd(tool('t/tools/table-poke'), $gate->{pidfile}, 'seq', 1, 0))[1] % 2 == 0 }, 'it can be read again';
};

subtest 'what a worker has in flight' => sub {
    my ($row) = map { $_->{row} // 0 } grep { $_->{kind} eq 'worker' } @{ $gate->status->{children} };
    my $from = length $gate->log_text;
    poke('in_flight', $_, 1000, 0) for 0, 1;
    is $gate->get('/pas/get', plain => 1)->{status}, 200, 'a request is served';
    ok $gate->wait_log(qr/worker.*cells? of the table.*repaired/, undef, $from), 'the worker repaired its cell';
};

subtest 'the supervisor\'s rows' => sub {
    my $from = length $gate->log_text;
    poke('override', $_, 2) for 0, 1;    # maint
    ok $gate->wait_log(qr/supervisor.*rows of the table.*repaired/, undef, $from), 'it repairs them';
    is $gate->get('/pas/get', plain => 1)->{status}, 200, 'and workers look again';
};

subtest 'what acmed says of a certificate' => sub {
    my $from   = length $gate->log_text;
    my $number = sub { ($gate->status->{certificates} // [])->[0]{generation} };
    my $now    = $number->();
    poke('cert', 0, $now + 7);
    ok $gate->wait_log(qr/acmed.*rows of the table overwritten.*repaired/, undef, $from), 'acmed repairs its row';
    is $number->(), $now, 'which is as it was';
};

subtest 'rows that nobody uses' => sub {
    my $children = @{ $gate->status->{children} };
    poke('used',  250, 1);
    poke('child', 60,  2);
    ok wait_for { @{ $gate->status->{pools} } == 2 && @{ $gate->status->{children} } == $children }, 'are repaired, too: no further pool and no process comes of them';
    ok wait_for { $gate->status->{health}{text} eq 'all well' }, 'and nothing is missed';
};

subtest 'a backend that has moved: kept connections do not stay at the old address' => sub {
    $gate->cli('maint', 'pas2');
    my ($c, $busy) = map { $gate->connect(plain => 1) } 1 .. 2;
    my $where = sub { $c->request('GET', '/pas/get')->{h}{'x-instance'} // '' };
    ok wait_for(sub { $where->() eq 'pas1' }), 'a connection is kept';
    $busy->write($busy->build('GET', '/pas/delay?ms=3000'));
    ok wait_for { backend('pas1')->{in_flight} == 1 }, 'another is in use';
    my ($healthd) = $gate->pids('healthd');
    kill 'STOP', $healthd;    # or it would repair the row, which here stands for another answer of DNS
    poke('moved', 0, $other->{port});
    $gate->cli('drain', 'pas2');    # rings the workers
    ok wait_for(sub { $where->() eq 'stranger' }, 8), 'the next request goes to the new address';
    is $busy->response('GET')->{h}{'x-instance'}, 'pas1', 'what runs at the old one ends well';
    is $_->request('GET', '/pas/get')->{h}{'x-instance'}, 'stranger', 'but its connection is not used again' for ($busy, $c) x 5;
    my $from = length $gate->log_text;
    kill 'CONT', $healthd;
    ok wait_for(sub { $where->() eq 'pas1' }), 'and back';
};

$gate->stop_ok;
done_testing;
