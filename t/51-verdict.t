# When a verdict turns to down: what waits at the instance goes elsewhere, if it may.
use strict;
use warnings;
use JSON::PP;
use lib 't/lib';
use PasGate;
use Test::More;

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 2;
my $check = 'type = "pasoe"; path = "/rest/_oepingService/_oeping"; interval = "300ms"; '
  . 'fast_interval = "100ms"; down_interval = "200ms"; timeout = "500ms"; rise = 2; fall = 2; jitter = 0;';
# Without slow start: who comes back has his share of the requests at once.
my $gate = PasGate->new(workers => 2, backends => \@pas, check => $check, pool => 'slow_start = "off";');
ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up" for @pas;

sub status_of
{
    my ($row) = grep { $_->{name} eq $_[0] } @{ $gate->status->{backends} };
    return $row;
}

# Requests of one kind on connections of their own, until one waits at pas1.
sub one_waits_at_pas1
{
    my ($method, @body) = @_;
    my @c;
    wait_for {
        my $c = $gate->connect;
        $c->write($c->build($method, $method eq 'GET' ? '/pas/get' : '/pas/post', @body));
        push @c, $c;
        return (status_of('pas1')->{in_flight} // 0) > 0;
    };
    return @c;
}

$pas[0]->ctl('mode=hang');
my @get = one_waits_at_pas1('GET');
ok $gate->wait_health('pas1', 'down'), 'the instance hangs: down';
my %by;
for my $c (@get) {
    my $r = $c->response('GET');
    $by{ ($r->{status} || $r->{why}) . ' ' . ($r->{h}{'x-instance'} // '') }++;
}
is_deeply [ keys %by ], ['200 pas2'], 'each GET was answered, by the other instance';
ok status_of('pas1')->{retries} + status_of('pas1')->{hedges} > 0, 'one of them had to move, or was hedged';

$pas[0]->ctl('mode=ok');
ok $gate->wait_health('pas1', 'up'), 'up again';
$pas[0]->ctl('mode=hang');
my @post = one_waits_at_pas1('POST', body => 'x=1');
ok $gate->wait_health('pas1', 'down'), 'down again';
is status_of('pas1')->{in_flight}, 1, 'a POST that was sent stays: it must not arrive twice';
$pas[0]->ctl('mode=ok');
ok $gate->wait_health('pas1', 'up'), 'and up';
$_->close for @post;

# Frozen, it closes nothing itself: that we keep no connection to it is our own doing.
wait_for { $gate->get('/pas/get'); (status_of('pas1')->{idle} // 0) > 0 };
ok status_of('pas1')->{idle} > 0, 'connections to it are kept';
kill 'STOP', $pas[0]{pid};
ok $gate->wait_health('pas1', 'down'), 'frozen: down';
ok wait_for { status_of('pas1')->{idle} == 0 }, 'and none is kept';
kill 'CONT', $pas[0]{pid};
$gate->stop_ok;

# A check on another port: the application may fail as it likes.
$gate = PasGate->new(backends => [ $pas[1] ], no_probe => 1,
    check => qq(type = "http"; path = "/ctl"; port = $pas[1]{ctl}; host = "ping.test"; interval = "200ms"; jitter = 0;));
ok $gate->wait_health('pas2', 'up'), 'checked on its control port';
$pas[1]->ctl('mode=500');
my ($row) = (status_of('pas2'));
ok wait_for { status_of('pas2')->{check}{probes} > $row->{check}{probes} + 3 }, 'checks go on';
is status_of('pas2')->{health}, 'up', 'and see nothing of the application';
$pas[1]->ctl('mode=ok');
$gate->stop_ok;
my $raw = PasGate::Scripted->new(id => 'raw', reply => sub { return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" });
$gate = PasGate->new(backends => [$raw], no_probe => 1, check => 'type = "http"; path = "/alive"; host = "ping.test"; interval = "200ms";');
ok $gate->wait_health('raw', 'up'), 'checked under another name';
ok((grep { m{^GET /alive HTTP/1\.1\r\n}m && /^Host: ping\.test\r$/m } $raw->seen), 'path and Host as configured');
$gate->stop_ok;
done_testing;
